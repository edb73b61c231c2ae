# Short names for what is typed often. `make help` lists them.

.PHONY: help build test lint doc generate dev image e2e scale nemesis failover sim soak fuzz mutants bench ci

help: ## List the targets.
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | expand -t 12

build: ## Build everything, optimised.
	cargo build --workspace --release

test: ## Run all tests.
	cargo test --workspace

lint: ## Check formatting, lints and dependencies.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo deny --config .deny.toml check bans licenses sources

doc: ## Build the documentation; broken links fail.
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

generate: ## Write the generated files again.
	cargo xtask crds

dev: ## Run a group on this machine.
	cargo run --release -- dev config/samples/partitiongroup.yaml

image: ## Build the image, without a container engine.
	.ci/image

e2e: ## Test on Kubernetes: on the cluster of KUBECONFIG, or on one that is brought up here (root, Go).
	tests/e2e/run

scale: ## Measure the operator with many groups, which needs Go: make scale COUNT=1000
	CLUSTER=$${CLUSTER:-$(CURDIR)/target/cluster} tests/e2e/cluster/install
	CLUSTER_BIN=$${CLUSTER_BIN:-$${CLUSTER:-$(CURDIR)/target/cluster}/bin} SYNOD_SCALE_GROUPS=$(or $(COUNT),1000) \
		cargo test --release --package synod-tests --features cluster --test apiserver many_groups -- --nocapture

nemesis: ## Pause real processes and cut their network for long: make nemesis SECONDS=600
	SYNOD_PROCESSES_SECONDS=$(or $(SECONDS),600) cargo test --package synod-tests --test processes -- --nocapture

failover: ## Measure how long writes stop when a leader is killed: make failover KILLS=21
	cargo build --release --package synod-cli
	cargo run --release --package synod-tests --example failover -- $(or $(KILLS),21)

sim: ## Replay one simulated run: make sim SEED=42
	SYNOD_SIM_SEED=$(SEED) SYNOD_SIM_TRACE=1 cargo test --release --package synod-testkit --test sim -- --nocapture

soak: ## Simulate many runs: make soak SEEDS=100000
	SYNOD_SIM_SEEDS=$(or $(SEEDS),100000) cargo test --release --package synod-testkit --test sim -- --nocapture

fuzz: ## Look for bytes that break a decoder, with a nightly toolchain: make fuzz DECODER=manifest
	cd tests/fuzz && cargo +nightly fuzz run --fuzz-dir . $(DECODER) corpus/$(DECODER)

mutants: ## Put known bugs into a copy and see whether the tests find them
	cargo xtask mutants

bench: ## Measure against etcd, which needs Go: make bench ARGUMENTS="--rounds 1 --keys 10000"
	cargo build --release --package synod-cli
	cargo bench --profile dev --package synod-tests --bench etcd -- $(ARGUMENTS)

ci: ## Everything that must hold.
	.ci/run
