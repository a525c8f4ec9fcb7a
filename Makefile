# Every target is one line of what .ci/run does, so that what passes here
# passes there. `make` alone is the loop while writing code.

GO       ?= go
# Tools live outside the tree and outside GOPATH/bin, each at the version that
# scripts/tools.sh pins.
TOOLS    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/chronik-ci/bin
PACKAGES ?= ./...
# What a record runs through.
BENCHED  ?= ./internal/wire ./internal/record ./internal/api ./internal/partition ./internal/isr ./internal/wal ./internal/segment ./internal/replication

.PHONY: all build test race lint fmt tidy generate e2e sim storm sim-long startup-long faults goals soak figures peers peers-short bench release-check ci clean

all: build test lint

build: ## one static binary, ./bin/chronik
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/chronik ./cmd/chronik

test: ## everything but the foreign clients
	$(GO) vet $(PACKAGES)
	$(GO) test $(PACKAGES)

race: ## the same under the race detector (needs a C compiler)
	$(GO) test -race $(PACKAGES)

lint: ## golangci-lint at the pinned version
	scripts/tools.sh golangci-lint
	$(TOOLS)/golangci-lint run $(PACKAGES)
	$(TOOLS)/golangci-lint fmt --diff $(PACKAGES)

fmt: ## rewrite the sources as the linter wants them
	scripts/tools.sh golangci-lint
	$(TOOLS)/golangci-lint fmt $(PACKAGES)

tidy: ## go.mod and go.sum say what the code needs, no more
	$(GO) mod tidy -diff

generate: ## completions/ and docs/cli/ from the command tree
	scripts/generate.sh

e2e: ## kcat and Apache Kafka's own tools against three real brokers
	scripts/clients.sh
	$(GO) test -tags e2e -count=1 ./test/e2e/...

sim: ## 200,000 random schedules of a cluster, in some minutes
	$(GO) test -count=1 -timeout 15m -run TestSchedules ./internal/sim -sim.n 200000

storm: ## goal 7: every operation of a 10,000 operation run of a broker, failed in each of six ways; minutes
	$(GO) test -count=1 -timeout 60m -run "TestStorm$$" ./internal/partition -storm.all

sim-long: ## 20 million of them, others every time, in hours
	$(GO) test -count=1 -timeout 0 -run TestSchedules ./internal/sim -sim.n 20000000 -sim.first $$(date +%s)00000000

startup-long: ## three and five brokers in every order, with delays of up to 10 s; a quarter of an hour
	$(GO) test -count=1 -timeout 60m -parallel 6 -v ./test/startup -startup.all -startup.limit 1s

faults: ## brokers cut off, killed, frozen, on failing disks; Linux and root, a few minutes
	scripts/faults.sh
	$(GO) test -tags faults -count=1 -p 1 -timeout 30m ./test/faults/...

goals: ## the goals of docs/reliability.md in full, many hours; GOAL=5 runs one; FLAGS="-goals.for 1h" bounds each
	scripts/faults.sh
	mkdir -p bin
	$(GO) test -tags faults -count=1 -timeout 0 -v -run '^TestGoal$(or $(GOAL),[0-9]+)[A-Z]' ./test/faults -goals.long -goals.results $(CURDIR)/bin/goals.jsonl $(FLAGS)

soak: ## faults composed at random under load; FOR=1h, SEED=0 draws one
	scripts/faults.sh
	mkdir -p bin
	$(GO) test -tags faults -count=1 -timeout 0 -v -run '^TestSoak$$' ./test/faults -goals.long -goals.results $(CURDIR)/bin/goals.jsonl -faults.for $(or $(FOR),1h) -faults.seed $(or $(SEED),0) $(FLAGS)

figures: ## latency, throughput, start-up, failover, memory, recovery; half an hour, on a quiet machine
	$(GO) test -tags figures -count=1 -timeout 60m -v ./test/figures | grep '^{'

peers: ## side by side with Apache Kafka and NATS, in turns; three hours, on a quiet machine; goes on where it was stopped
	scripts/peers.sh
	mkdir -p bin
	$(GO) test -tags peers -count=1 -timeout 6h -v ./test/peers -results $(CURDIR)/bin/peers.jsonl -resume -docs $(CURDIR)/docs/benchmarks.md

peers-short: ## the same, only to see that it works; three minutes, and no figures to quote
	scripts/peers.sh
	$(GO) test -tags peers -count=1 -timeout 10m -v ./test/peers -short

bench: ## Go benchmarks of the hot pieces, with allocations; for benchstat
	$(GO) test -run '^$$' -bench . -benchmem $(BENCHED)

release-check: ## goreleaser's own check (building goreleaser takes minutes, once)
	scripts/tools.sh goreleaser
	$(TOOLS)/goreleaser check

ci: ## all of it, as the build server does
	.ci/run

clean: ## what the targets above built
	rm -rf bin dist manpages
