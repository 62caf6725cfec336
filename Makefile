# The commands of a developer. Each target sets itself up, says what it installs, and does nothing twice.
# `make` or `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# PYTHON makes the virtual environment (3.11 or later); ARGS are further arguments of pytest: make test ARGS="-k push"
PYTHON ?= python3
ARGS ?=
FUZZ ?=
export PYTHON

venv := .venv
bin := $(venv)/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet --retries 5

## For everyone

.PHONY: help
help: ## Shows this list
	@awk -F ':.*## ' '/^## /{printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(venv)/runtime.stamp ## Builds, tests, runs, pushes and pulls one image for four platforms, in under two minutes
	@$(bin)/python -m scripts.demo

.PHONY: test
test: lint test-packages ## Runs the linters and every test
	$(bin)/pytest -n 2 --dist loadgroup $(ARGS)

## For developers

.PHONY: venv
venv: $(venv)/dev.stamp ## Makes the virtual environment for development

.PHONY: lint
lint: $(venv)/dev.stamp ## Runs ruff, mypy and import-linter, and checks the generated pages
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports --no-cache
	$(bin)/python -m scripts.reference --check
	$(bin)/python -m scripts.rooms --check

.PHONY: format
format: $(venv)/dev.stamp ## Formats the code and applies ruff's safe fixes
	$(bin)/ruff check --fix
	$(bin)/ruff format

.PHONY: docs
docs: $(venv)/dev.stamp ## Writes the generated pages of docs
	$(bin)/python -m scripts.reference
	$(bin)/python -m scripts.rooms
	$(bin)/python -m tests.serve.spec --page

.PHONY: spec-oracle
spec-oracle: $(venv)/dev.stamp ## Asks docker-registry again about every clause of the distribution specification
	$(bin)/python -m tests.serve.spec

.PHONY: bake-oracle
bake-oracle: $(venv)/dev.stamp ## Asks docker buildx again about every bake file of the tests, and new random ones
	$(bin)/python -m tests.bake $(ARGS)

.PHONY: compose-oracle
compose-oracle: $(venv)/dev.stamp ## Asks docker compose again about every compose file of the tests, and new random ones
	$(bin)/python -m tests.compose $(ARGS)

.PHONY: picture
picture: $(venv)/dev.stamp ## Draws docs/pictures from a real terminal and a real browser
	@scripts/system_packages.sh pictures
	$(bin)/python -m scripts.picture
	$(bin)/python -m tests.page docs/pictures/page.png

.PHONY: bench
bench: $(venv)/dev.stamp ## Measures Polyarch and its peers and writes docs/performance.md; ARGS=NAME: one workload, without writing
	@scripts/system_packages.sh demo bench
	$(bin)/python -m bench $(or $(ARGS),--json docs/performance.json --page docs/performance.md)

.PHONY: farm-test
farm-test: $(venv)/dev.stamp test-packages ## Tests the faults of farms that take long: slow members, other versions, wrong clocks, cluster classes
	$(bin)/pytest -n 2 tests/farm/long_faults.py $(ARGS)

.PHONY: farm-scale
farm-scale: $(venv)/dev.stamp test-packages ## Measures what a farm costs, as root; writes docs/reference/farm-scale.md; ARGS='--only distant': one part
	$(bin)/python -m bench.farm --json docs/farm-scale.json --page docs/reference/farm-scale.md --picture docs/pictures/farm-scale.svg $(ARGS)

.PHONY: soak
soak: $(venv)/dev.stamp test-packages ## Tests kills, full disks, bad networks and hostile bytes for 20 minutes; writes docs/reliability.md
	$(bin)/python -m tests.reliability $(ARGS)

.PHONY: witness
witness: $(venv)/dev.stamp test-packages ## Compares every case of the table with BuildKit, as root; FUZZ=500: 500 random Dockerfiles
	$(bin)/python -m tests.builds.$(if $(FUZZ),fuzz $(FUZZ),buildkit) $(ARGS)

.PHONY: readers
readers: $(venv)/dev.stamp test-packages ## Gives a real layer to every program and library that reads gzip or zstd
	@scripts/system_packages.sh readers
	$(bin)/python -m tests.layers.readers

.PHONY: apps
apps: $(venv)/dev.stamp test-packages ## Builds 28 applications, tests them and compares them with BuildKit's images, as root
	$(bin)/python -m tests.apps $(ARGS)

.PHONY: container-test
container-test: $(venv)/dev.stamp test-packages ## Builds Polyarch's own image for four platforms, and builds in it, as root; ARGS=linux/amd64: for one
	$(bin)/python -m tests.container $(ARGS)

.PHONY: clients
clients: $(venv)/dev.stamp test-packages ## Runs eight programs that call docker, with Polyarch as docker; ARGS=NAME: one
	@scripts/system_packages.sh clients
	$(bin)/python -m tests.clients $(ARGS)

.PHONY: serve-clients
serve-clients: $(venv)/dev.stamp test-packages ## Lets eleven clients push to and pull from `polyarch serve`, docker as root; ARGS=NAME: one
	$(bin)/python -m tests.serve.clients $(ARGS)

.PHONY: init-test
init-test: $(venv)/dev.stamp test-packages ## Builds and runs what `init` writes for Go, Rust, Java, Node.js and Python, as root
	$(bin)/python -m tests.scaffold $(ARGS)

.PHONY: sbom-oracle
sbom-oracle: $(venv)/dev.stamp test-packages ## Compares what `sbom` finds with syft, as root; ARGS=--record: write its answers for the tests
	$(bin)/python -m tests.attest.oracle $(ARGS)

.PHONY: emulated
emulated: $(venv)/dev.stamp test-packages ## Measures what programs do under qemu (docs/reference/emulated.md), as root; ARGS='--emulators DIR': others
	$(bin)/python -m tests.emulated $(ARGS)

.PHONY: findings
findings: ## Runs the scripts of findings/ about other projects' tools; needs root and several minutes
	@for script in findings/*.sh; do echo "$$script"; bash "$$script"; done

.PHONY: lock
lock: ## Writes requirements/*.txt from pyproject.toml; ARGS=--upgrade: with newer versions
	scripts/lock.sh $(ARGS)

.PHONY: clean
clean: ## Removes the virtual environment and the caches of the tools
	rm -rf $(venv) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# Set-up. A stamp is made again if the lock or pyproject.toml is newer. The machine's packages are checked each time.

.PHONY: demo-packages test-packages
demo-packages:
	@scripts/system_packages.sh demo
test-packages:
	@scripts/system_packages.sh demo test

$(venv)/runtime.stamp: requirements/runtime.txt requirements/build.txt pyproject.toml | demo-packages
	@echo "Installing into $(venv), with pip: $$(sed -n 's/^\([^ #]*\)==.*/\1/p' requirements/runtime.txt requirements/build.txt | tr '\n' ' ')and Polyarch itself"
	@test -x $(bin)/python || $(PYTHON) -m venv $(venv)
	@$(pip) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(pip) --no-deps --no-build-isolation -e .
	@touch $@

$(venv)/dev.stamp: requirements/dev.txt $(venv)/runtime.stamp
	@echo "Installing into $(venv), with pip: $$(sed -n 's/^\([^ #]*\)==.*/\1/p' requirements/dev.txt | tr '\n' ' ')"
	@$(pip) --require-hashes -r requirements/dev.txt
	@touch $@
