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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/walshift, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/walshift ./cmd/walshift

# The grammar package wraps a generated parser of a million lines: building it
# with the race detector takes minutes, and there is nothing concurrent in it.
.PHONY: test
test: runtime ## Run all tests, unit and end to end, with the race detector
	go test -timeout 20m ./test/redshift/grammar
	go test -race -timeout 20m $$(go list ./... | grep -v /test/redshift/grammar)

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

.PHONY: test-big
test-big: runtime ## The tests that are too big for test: a million objects in the log
	WALSHIFT_OBJECTS=1000000 go test -count=1 -timeout 2h -v -run '^TestLastAmongManyObjects$$' ./sink/stage

.PHONY: kills
kills: runtime ## Kill the daemon at N (20) random moments under load and compare
	WALSHIFT_KILLS=$(N) go test -count=1 -timeout 4h -v -run '^TestRandomKills$$' ./test/e2e

.PHONY: chaos
chaos: runtime ## Kill it at every seam, and take away each neighbour, with CHANGES (2000000) of backlog
	WALSHIFT_CHANGES=$(CHANGES) go test -count=1 -timeout 1h -v \
		-run '^Test(Seams|TargetFaults|CaptureWithoutWarehouse|ApplyParksOnPermanentError|S8FeedbackGoesOn|SourceRestart|S20FalseDrained|Shutdown)$$' ./test/e2e

.PHONY: clean
clean: ## Remove what was built in this folder
	rm -rf bin

.PHONY: runtime
runtime:
	@test/install.sh runtime
