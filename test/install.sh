#!/usr/bin/env bash
# Installs what this machine lacks: one line per step, nothing where nothing
# is missing, and nothing inside the clone.
#
#   test/install.sh runtime   PostgreSQL's server and clients, an S3 server, a C compiler for -race
#   test/install.sh lint      golangci-lint, shellcheck, yamllint
#
# Programs built here go to ${WALSHIFT_CACHE:-~/.cache/walshift}/bin, what the
# steps print goes to install.log beside it and is shown when a step fails.
set -euo pipefail

readonly versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
readonly golangci=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
readonly attempts=3

cache=${WALSHIFT_CACHE:-$HOME/.cache/walshift}
mkdir -p "$cache/bin"
cache=$(cd "$cache" && pwd)
log=$cache/install.log

die() {
  printf 'install: %s\n' "$*" >&2
  exit 1
}

# step LABEL COMMAND… runs the command with its output in the log, says what it
# does and how long that took, and shows the end of the log if it fails.
step() {
  local label=$1 begin=$SECONDS
  shift
  printf 'install: %s ... ' "$label"
  if "$@" >"$log" 2>&1 </dev/null 9>&-; then
    printf '%d s\n' "$((SECONDS - begin))"
    return
  fi
  printf 'failed\n'
  tail -n 30 "$log" >&2
  die "$label failed; the whole output is in $log"
}

# retry COMMAND… tries a command that needs the network a few times.
retry() {
  local try
  for ((try = 1; try < attempts; try++)); do
    "$@" && return
    printf 'attempt %d of %d failed\n' "$try" "$attempts"
    sleep "$((try * 3))"
  done
  "$@"
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo -n "$@" || sudo "$@"
  fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# apt_install PACKAGE… fetches the package lists only where the packages can't
# be had without: on a bare machine there are none, or outdated ones.
apt_install() {
  apt_get install --no-install-recommends "$@" && return
  retry apt_get update && retry apt_get install --no-install-recommends "$@"
}

# install_postgres leaves no server running: installing Debian's package makes
# and starts a cluster of its own unless createcluster.conf says otherwise. The
# file is put back afterwards.
install_postgres() {
  local conf=/etc/postgresql-common/createcluster.conf
  apt_install postgresql-common || return
  as_root cp -p "$conf" "$conf.walshift" || return
  printf 'create_main_cluster = false\n' | as_root tee -a "$conf" || return
  local failed=0
  apt_install postgresql postgresql-contrib || failed=1
  as_root mv "$conf.walshift" "$conf"
  return "$failed"
}

# go_install PACKAGE@VERSION replaces the program in one step, so that neither a
# cut-off build nor a second run beside this one leaves half a file.
go_install() {
  local name dir
  name=$(basename "${1%@*}")
  dir=$(mktemp -d "$cache/build.XXXXXX")
  if retry env GOBIN="$dir" GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
    go install -trimpath -ldflags '-s -w' "$1"; then
    mv "$dir/$name" "$cache/bin/$name"
    rmdir "$dir"
    return
  fi
  rm -rf "$dir"
  return 1
}

# has_go_tool PACKAGE@VERSION tells whether the cache holds exactly that version.
has_go_tool() {
  local built
  built=$(go version -m "$cache/bin/$(basename "${1%@*}")" 2>/dev/null) || return 1
  grep -Eq "^[[:space:]]mod[[:space:]].*[[:space:]]${1#*@}([[:space:]]|\$)" <<<"$built"
}

has_postgres() {
  [[ -n ${WALSHIFT_PG_BIN:-} ]] && return
  local file found=0
  for file in /usr/lib/postgresql/*/bin/postgres; do
    # postgresql-contrib has been part of the server package since version 10.
    [[ -x $file && -x ${file%postgres}initdb && -x ${file%postgres}pgbench ]] && found=1
  done
  ((found))
}

need_apt() {
  command -v apt-get >/dev/null ||
    die "$1 is missing and this is no Debian: install it by hand${2:+, $2}"
  ((EUID == 0)) || command -v sudo >/dev/null ||
    die "$1 is missing and there is no sudo: have root run: apt-get install $1"
}

runtime() {
  if ! has_postgres; then
    need_apt 'postgresql postgresql-contrib' 'or set WALSHIFT_PG_BIN to the folder of its programs'
    step 'PostgreSQL, server and clients (apt-get; no cluster is created)' install_postgres
  fi
  if ! command -v gcc >/dev/null || [[ ! -e /usr/include/stdlib.h ]]; then
    need_apt 'gcc libc6-dev'
    step 'gcc and libc6-dev, for the race detector (apt-get)' apt_install gcc libc6-dev
  fi
  if [[ -z ${WALSHIFT_VERSITYGW:-} ]] && ! has_go_tool "$versitygw"; then
    step "S3 server versitygw ${versitygw#*@} (go install; takes minutes once)" go_install "$versitygw"
  fi
}

lint() {
  local tool
  for tool in shellcheck yamllint; do
    if ! command -v "$tool" >/dev/null; then
      need_apt "$tool"
      step "$tool (apt-get)" apt_install "$tool"
    fi
  done
  if ! has_go_tool "$golangci"; then
    step "golangci-lint ${golangci#*@} (go install; takes minutes once)" go_install "$golangci"
  fi
}

main() {
  command -v go >/dev/null || die 'go is not in PATH: install Go 1.26 or later, see https://go.dev/dl'
  if command -v flock >/dev/null; then
    exec 9>"$cache/install.lock"
    flock 9
    rm -rf "$cache"/build.* # of runs that were cut off
  fi
  case ${1:-} in
    runtime) runtime ;;
    lint) lint ;;
    *) die 'usage: test/install.sh runtime|lint' ;;
  esac
}

main "$@"
