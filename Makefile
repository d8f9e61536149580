# Vigo: `make demo` shows the whole system at work, `make test` proves it.
SHELL := /bin/sh
VERSION ?= 0.1.0-dev
LDFLAGS := -s -w -X main.version=$(VERSION)
# The pages grpc can serve about its calls need html/template, which the agent has no use for.
TAGS := grpcnotrace
export CGO_ENABLED ?= 0

.PHONY: help build demo test race lint docs bench load rollout size fuzz fleet screenshots clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build bin/vigo and bin/vigo-agent
	go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: build ## the whole system in one go: push, converge, drift, tampering; KEEP=1 leaves it running
	@go build -o out/demo ./test/demo
	@exec out/demo -bin bin $(if $(KEEP),-keep)

test: ## every test that needs no root
	go vet ./...
	go test -timeout 20m ./...

# olareg 0.2.2 writes "this repository is there" under its lock, always the same value, and reads it without one
# (dirRepo.exists, internal/store/dir.go). That does no harm and is not ours, so the detector does not look into olareg; it
# still sees what our code does through it.
race: ## the same under the race detector (needs gcc)
	CGO_ENABLED=1 go test -race -gcflags='github.com/olareg/olareg/...=-race=false' -timeout 20m ./pkg/...

lint: ## gofmt, vet (also the agent for 32 bits), staticcheck
	@test -z "$$(gofmt -l cmd pkg test)" || { gofmt -l cmd pkg test; exit 1; }
	go vet ./...
	GOARCH=arm GOARM=7 go vet ./cmd/vigo-agent
	go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...

docs: ## generate docs/reference from the code
	go test ./pkg/manual ./pkg/cli ./pkg/api -run Reference -update
	go test ./test/attack -run TestList -update
	VIGO_UPDATE=1 go test -p 1 ./pkg/reporting ./pkg/hub ./pkg/controller ./pkg/ocistore/registry -run MetricsPage

bench: build ## our figures beside physical limits and peers
	go run ./test/bench -bin bin

load: build ## the service under the load of a simulated fleet: silence, kill -9, no database; NODES=1000 INTERVAL=2s
	@mkdir -p out
	VIGO_BIN=$(CURDIR)/bin VIGO_LOAD_NODES=$(NODES) VIGO_LOAD_INTERVAL=$(INTERVAL) VIGO_LOAD_TABLE=$(CURDIR)/out/load.md \
		go test -count=1 -timeout 60m -parallel 1 ./test/load
	@cat out/load.md

rollout: build ## a rollout over simulated agents and the real service beside `vigo rollout simulate`; NODES=10000 INTERVAL=15s
	VIGO_BIN=$(CURDIR)/bin VIGO_ROLLOUT_NODES=$(or $(NODES),10000) VIGO_ROLLOUT_INTERVAL=$(or $(INTERVAL),15s) \
		go test -count=1 -timeout 60m -parallel 1 -v ./test/rollouts -run OverTheWire

size: ## binary sizes per platform, and the agent's idle memory
	go run ./test/size

fuzz: ## each fuzz target for 20 s
	@sh test/fuzz.sh 20s

fleet: build ## booted Debian machines (needs root)
	VIGO_FLEET=1 VIGO_BIN=$(CURDIR)/bin go test -count=1 -timeout 25m ./test/fleet/... ./test/e2e/...

screenshots: ## pictures of the dashboard (needs chromium)
	VIGO_BROWSER=1 VIGO_SCREENSHOTS=$(CURDIR)/docs/screenshots go test -count=1 ./test/browser -run Screenshots

clean: ## remove what was built
	rm -rf bin out
