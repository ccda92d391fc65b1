# `make` lists the targets. Python's packages go into .venv, built servers into ~/.cache/chaos-steps.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
# The images of `make images`, and what tools/images/build reads.
IMAGES ?= $(shell sed -n 's|^ENTRYPOINT \["/usr/local/bin/\(.*\)"\]|\1|p' images/Containerfile)
REPOSITORY ?= ghcr.io/chaos-steps/chaos-steps
export ENGINE REPOSITORY ARCHIVES STAND_IN BUILD_ARGS
# make test ARGS='tests/judge -k window'; make bench ARGS=load
ARGS ?=

.PHONY: help setup venv demo test e2e bench images images-test locks generate check

help: ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: venv ## get everything the tests need: Python packages, servers built from Go or got from Maven, Debian packages
	@missing=0; tools/servers/debian || missing=1; tools/servers/build consul zipkin kubernetes || missing=1; exit $$missing

venv: .venv/.developer

demo: .venv/.demo ## run a whole experiment on this machine, about a minute (BRITTLE=1, BREAKER=1, ZIPKIN_URL=...: see README)
	demo/run $(if $(BRITTLE),--brittle) $(if $(BREAKER),--breaker) $(if $(ZIPKIN_URL),--zipkin '$(ZIPKIN_URL)')

test: setup ## set up, then run the tests beside one another (ARGS are for pytest; -n0 runs one at a time)
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

e2e: setup ## run the Pipelines on a real cluster (KUBECONFIG and E2E_IMAGE name it)
	tests/e2e/run $(ARGS)

bench: venv ## measure speed and memory, as ratios within one run
	$(BIN)/python -m bench $(ARGS)

images: ## build the images of the commands (ENGINE, REPOSITORY, ARCHIVES, ...: see tools/images/build; IMAGES for some)
	tools/images/build $(IMAGES)

images-test: setup images ## build the images, and run each of them with docker or podman
	$(BIN)/pytest tests/images $(ARGS)

locks: venv ## lock what the images install anew (ARGS=--upgrade for the newest versions)
	tools/images/lock $(ARGS)

generate: venv ## write Tasks, docs and schemas anew from the commands
	$(BIN)/python tools/generate.py

check: venv ## lint, types, generated files in sync
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/python tools/generate.py --check

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11 or newer found; install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Stamps: nothing is installed again until pyproject.toml changes. --group needs a newer pip than Python 3.11 brings.
.venv/.developer: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install -q -e '.[all,demo]' --group dev
	@touch $@ .venv/.demo

.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q -e '.[demo]'
	@touch $@
