SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Where the usual installation of Go puts it, should PATH not say so.
export PATH := $(PATH):/usr/local/go/bin

# The version is linked in below; Go's own stamp would fail where git refuses
# to read a clone that belongs to another user.
GOFLAGS += -buildvcs=false
export GOFLAGS

WALSHIFT_CACHE ?= $(HOME)/.cache/walshift
export WALSHIFT_CACHE

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 20s
N        ?= 20
CHANGES  ?= 2000000

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/walshift, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/walshift ./cmd/walshift

# The grammar package wraps a generated parser of a million lines: building it
# with the race detector takes minutes, and there is nothing concurrent in it.
# test/statements uses it too, and comes last: it holds the lists of statements
# against those that the servers of all other tests were sent. What was
# collected stays in the cache for make statements.
STATEMENTS := $(WALSHIFT_CACHE)/statements

.PHONY: test
test: runtime ## Run all tests, unit and end to end, with the race detector
	@collected=$$(mktemp -d); \
	trap 'rm -rf "$(STATEMENTS)"; mkdir -p "$(WALSHIFT_CACHE)"; mv "$$collected" "$(STATEMENTS)"' EXIT; \
	export WALSHIFT_STATEMENTS=$$collected; \
	go test -timeout 20m ./test/redshift/grammar; \
	go test -race -timeout 45m $$(go list ./... | grep -Ev '/test/(redshift/grammar|statements)$$'); \
	WALSHIFT_COLLECTED=$$collected go test -timeout 20m ./test/statements

.PHONY: statements
statements: ## Bring docs/statements-*.md up to the last run of test (PRUNE=1 removes what it hasn't sent)
	go run ./test/statements/update -from "$(STATEMENTS)" $(if $(PRUNE),-prune)

# Variables given to make reach the program by its environment, so that no
# command line but make's own holds the password.
.PHONY: live-redshift
live-redshift: runtime ## Run the conformance cases and the main job on a real cluster: DSN= BUCKET= IAM_ROLE= (REGION= ENDPOINT=)
	@mkdir -p bin
	@go run ./test/live -report bin/live-redshift.md

.PHONY: generate
generate: ## Write what comes from the code: README's table of keys, sample, metrics, error codes
	go test -count=1 ./cmd/walshift -run '^(TestGenerated|TestMetricsDoc)$$' -update
	UPDATE_GOLDEN=1 go test -count=1 ./test/codes -run '^TestPage$$'

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | while IFS=: read -r file target; do \
		echo "$${target#func } in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null; \
	done

.PHONY: lint
lint: ## Run the linters over Go, shell scripts and YAML
	@test/install.sh lint
	go mod verify
	go vet ./...
	"$(WALSHIFT_CACHE)/bin/golangci-lint" run ./...
	git ls-files -z --cached --others --exclude-standard -- '*.sh' .ci/run | xargs -0 -r shellcheck
	git ls-files -z --cached --others --exclude-standard -- '*.yml' '*.yaml' | xargs -0 -r yamllint --strict

.PHONY: demo
demo: runtime ## Replicate a live pgbench database and compare both sides
	@go run ./test/demo

.PHONY: bench
bench: runtime ## Measure the drain of a backlog against pg_recvlogical
	@go run ./test/bench

# The stand-in's own server stays what runtime installed: it needs 15 or later.
MAJORS  ?= 13 14 16 17 18
SERVERS := $(if $(filter 0,$(shell id -u)),/var/cache/walshift,$(WALSHIFT_CACHE))/postgres
.PHONY: test-all
test-all: runtime ## Run the tests of the source side and end to end on PostgreSQL 13, 14, 16, 17 and 18 (MAJORS=, RUN=)
	@test/install.sh postgres $(MAJORS)
	@for major in $(MAJORS); do \
		bin=$(SERVERS)/$$major/bin; \
		echo "PostgreSQL $$major"; \
		WALSHIFT_PG_BIN=$$bin go test -count=1 -timeout 30m $(if $(RUN),-run '$(RUN)') ./replicator/source ./replicator/fold ./replicator/pgoutput; \
		WALSHIFT_SOURCE_PG_BIN=$$bin go test -count=1 -timeout 60m $(if $(RUN),-run '$(RUN)') ./test/e2e; \
	done

.PHONY: test-big
test-big: runtime ## The tests that are too big for test: a million objects in the log, a transaction of five million rows
	WALSHIFT_OBJECTS=1000000 go test -count=1 -timeout 2h -v -run '^TestLastAmongManyObjects$$' ./sink/stage
	WALSHIFT_BIG_ROWS=5000000 WALSHIFT_BIG_MEMORY=256 go test -count=1 -timeout 4h -v -run '^TestS9HugeTransaction$$' ./test/e2e

.PHONY: kills
kills: runtime ## Kill the daemon at N (20) random moments under load and compare
	WALSHIFT_KILLS=$(N) go test -count=1 -timeout 4h -v -run '^TestRandomKills$$' ./test/e2e

.PHONY: chaos
chaos: runtime ## Kill it at every seam, and take away each neighbour, with CHANGES (2000000) of backlog
	WALSHIFT_CHANGES=$(CHANGES) go test -count=1 -timeout 1h -v \
		-run '^Test(Seams|TargetFaults|CaptureWithoutWarehouse|ApplyParksOnPermanentError|S8FeedbackGoesOn|SourceRestart|S20FalseDrained|Shutdown)$$' ./test/e2e

SECONDS ?= 1800
.PHONY: soak
soak: runtime ## Random workloads compared commit by commit for SECONDS (1800)
	WALSHIFT_SOAK_SECONDS=$(SECONDS) go test -count=1 -timeout 24h -v -run '^TestRandomWorkload$$' ./test/e2e

.PHONY: mutants
mutants: runtime ## Put small faults into the program; a test must fail for each
	go run ./test/mutants

.PHONY: clean
clean: ## Remove what was built in this folder
	rm -rf bin

.PHONY: runtime
runtime:
	@test/install.sh runtime
