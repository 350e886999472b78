.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

GOLANGCI_LINT := bin/golangci-lint-v2.15.0
FUZZTIME ?= 10s
BENCHTIME ?= 1s
COSTTIME ?= 1000x

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build ./bin/caio
	go build -trimpath -o bin/caio ./cmd/caio

.PHONY: web
web: ## Build ./bin/verify.html, the page that checks evidence in a browser
	go run ./verify/web -o bin/verify.html

.PHONY: demo
demo: ## Run the demonstration: requests routed and refused, with proofs
	go run ./cmd/caio demo

.PHONY: test
test: ## Run every test that this machine can
	@if [ -z "$${CAIO_TEST_POSTGRES:-}" ]; then echo "NOTE: there is no PostgreSQL store to test yet; SQLite only"; fi
	@if ! command -v chromium chromium-browser google-chrome chrome >/dev/null; then echo "NOTE: there is no Chromium; the page of verify/web is not tested in a browser"; fi
	go test ./...

.PHONY: race
race: ## Run the tests under the race detector, but for those that drive the built program
	go test -race -timeout 20m $$(go list ./... | grep -v /cmd/caio$$)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check the code's form
	$(GOLANGCI_LINT) run
	go run ./cmd/caio policy check policies

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(@:bin/golangci-lint-%=%)
	mv bin/golangci-lint $@

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (default 10s) each
	@found=0; \
	for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			found=$$((found+1)); echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
		done; \
	done; \
	if [ $$found = 0 ]; then echo "no fuzz target found" >&2; exit 1; fi; \
	echo "$$found fuzz targets ran"

.PHONY: bench
bench: ## Measure decisions, decisions decided again, and the HTTP path, as a table
	@mkdir -p artifacts
	go test -run '^$$' -bench '^(BenchmarkDecide|BenchmarkImpact|BenchmarkHTTP)$$' -benchtime $(BENCHTIME) ./engine ./server > artifacts/bench.txt || { cat artifacts/bench.txt; exit 1; }
	@awk 'BEGIN { printf "%-48s %14s %12s %12s\n", "", "time", "memory", "allocations" } \
		/^Benchmark/ { n++; sub(/-[0-9]+$$/, "", $$1); printf "%-48s %11.0f µs", substr($$1, 10), $$3/1000; \
			if (NF > 4) printf " %9.0f KiB %12d", $$5/1024, $$7; print "" } \
		END { if (!n) { print "no benchmark ran"; exit 1 } }' artifacts/bench.txt

.PHONY: cost
cost: ## Measure what the proof adds to a decision, COSTTIME (default 1000x) of each kind
	@mkdir -p artifacts
	go test -run '^$$' -bench '^BenchmarkCost$$' -benchtime $(COSTTIME) ./server > artifacts/cost.txt || { cat artifacts/cost.txt; exit 1; }
	@awk 'BEGIN { printf "%-44s %12s %12s %12s\n", "a decision", "time", "processor", "on disk" } \
		/^Benchmark/ { n++; sub(/-[0-9]+$$/, "", $$1); sub(/^BenchmarkCost\//, "", $$1); for (i = 3; i < NF; i += 2) of[$$(i+1)] = $$i; \
			printf "%-44s %9.0f µs %9.0f µs %10.1f KB\n", $$1, of["ns/op"]/1000, of["cpu-ns/op"]/1000, of["disk-B/op"]/1000 } \
		END { if (!n) { print "no benchmark ran"; exit 1 } }' artifacts/cost.txt

.PHONY: validate
validate: lint race ## Everything that has to be true before a change is merged

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin artifacts caio-demo
