# All that a developer of Polyarch types. Each target does its own set-up, says what it installs, and does nothing twice.
# `make` or `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The Python to make the virtual environment with (3.11 or later), and what else to tell pytest: make test ARGS="-k push"
PYTHON ?= python3
ARGS ?=
FUZZ ?=
export PYTHON

venv := .venv
bin := $(venv)/bin
pip := $(bin)/python -m pip --disable-pip-version-check install --quiet --retries 5

## For everyone

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^## /{printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(venv)/runtime.stamp ## One image for four platforms: built, run, pushed and pulled, in under two minutes
	@$(bin)/python -m scripts.demo

.PHONY: test
test: lint test-packages ## The linters and every test
	$(bin)/pytest -n 2 --dist loadgroup $(ARGS)

## For developers

.PHONY: venv
venv: $(venv)/dev.stamp ## The virtual environment with all that development needs

.PHONY: lint
lint: $(venv)/dev.stamp ## ruff, mypy, import-linter, and whether the generated pages are fresh
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
docs: $(venv)/dev.stamp ## Writes the generated pages of docs again
	$(bin)/python -m scripts.reference
	$(bin)/python -m scripts.rooms

.PHONY: picture
picture: $(venv)/runtime.stamp ## Draws docs/pictures from a real terminal
	@scripts/system_packages.sh pictures
	$(bin)/python -m scripts.picture

.PHONY: bench
bench: $(venv)/dev.stamp ## Measures beside the peers, and writes docs/performance.md (with ARGS: what they say)
	@scripts/system_packages.sh demo bench
	$(bin)/python -m bench $(or $(ARGS),--json docs/performance.json --page docs/performance.md)

.PHONY: soak
soak: $(venv)/dev.stamp test-packages ## Kills, full disks, crowds, bad networks and hostile bytes for 15 minutes; docs/reliability.md
	$(bin)/python -m tests.reliability $(ARGS)

.PHONY: witness
witness: $(venv)/dev.stamp test-packages ## Builds every case of the table with BuildKit too, as root; FUZZ=500: that many random Dockerfiles
	$(bin)/python -m tests.builds.$(if $(FUZZ),fuzz $(FUZZ),buildkit) $(ARGS)

.PHONY: apps
apps: $(venv)/dev.stamp test-packages ## Builds 28 applications for two platforms, starts them and compares them with BuildKit's, as root
	$(bin)/python -m tests.apps $(ARGS)

.PHONY: findings
findings: ## Runs what findings/ says of other people's tools, which needs root and several minutes
	@for script in findings/*.sh; do echo "$$script"; bash "$$script"; done

.PHONY: lock
lock: ## Writes requirements/*.txt anew from pyproject.toml (ARGS=--upgrade: at newer versions)
	scripts/lock.sh $(ARGS)

.PHONY: clean
clean: ## Removes the virtual environment and what the tools left behind
	rm -rf $(venv) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# Set-up. A stamp is renewed when the lock or pyproject.toml is newer; the packages of the machine are looked at each time.

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
