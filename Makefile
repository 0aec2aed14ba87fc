# Everything a person does with a checkout. Needs Python 3.11 or newer, make, and nothing else.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -ec
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PACKAGES := routing inventory services tests

# The first of these names that is Python 3.11 or newer makes the environment; PYTHON=… overrides.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$name; break; fi; done)

.PHONY: help
help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

# One environment, filled in steps: what only some commands need is installed when they are asked
# for. A stamp file per lock means that a set-up environment costs nothing, and a changed lock is
# noticed.

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "nom needs Python 3.11 or newer, and found none (python3 here is: \
	$$(python3 --version 2>&1 || true)). Install it, or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV) with $(PYTHON) -m venv; on Debian \
	and Ubuntu that needs the package python3-venv." >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.demo: requirements-demo.lock $(VENV)/.runtime
	@$(PIP) install --require-hashes -r requirements-demo.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Setting up the tools for tests …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: run
run: $(VENV)/.runtime ## Start the service on a database of its own, with a small network to try
	@exec $(BIN)/nom serve --demonstration

# A process for each processor, each with a PostgreSQL of its own; whoever is done first takes over
# some of what others have before them. PARALLEL= runs one test after the other.
PARALLEL = --numprocesses=logical --maxprocesses=4 --dist=worksteal

.PHONY: test
test: lint ## Check everything: lint, types, contracts, tests (PYTEST="tests/routing -x")
	@echo "Compiling the optimizer where that was never done (about a minute) …"
	@$(BIN)/python -m routing.warm
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

.PHONY: lint
lint: $(VENV)/.dev ## Check what needs no running: lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev ## Format the code and repair what lint can repair
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: demo
demo: $(VENV)/.demo ## Replay real baskets over a real network (DEMO="--baskets 10000")
	@exec $(BIN)/nom demo $(DEMO)

.PHONY: drill
drill: $(VENV)/.dev ## Practise backup and restore on a throw-away database
	@$(BIN)/python -m pytest tests/services/test_backup_drill.py

.PHONY: bench
bench: $(VENV)/.dev ## Measure the service beside what it is compared with (BENCH="--quick")
	@$(BIN)/python -m tests.benchmarks run $(BENCH)

.PHONY: bench-check
bench-check: $(VENV)/.dev ## Compare a short run's ratios with the committed baseline
	@$(BIN)/python -m tests.benchmarks check $(BENCH)

.PHONY: bench-routing
bench-routing: $(VENV)/.demo $(VENV)/.dev ## Compare policies with perfect hindsight (POLICIES="--seeds 5")
	@$(BIN)/python -m routing.warm
	@$(BIN)/python -m tests.benchmarks.policies $(POLICIES)

COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet \
	--universal --python-version 3.11 --generate-hashes --strip-extras --no-annotate \
	--no-emit-index-url --no-emit-find-links --group setup $(UPGRADE)

.PHONY: lock
lock: $(BIN)/python ## Pin the dependencies again (UPGRADE=--upgrade for newer ones)
	@$(PIP) install 'uv>=0.13'
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --extra demo --constraint requirements.lock --output-file requirements-demo.lock
	@$(COMPILE) --extra demo --group dev --constraint requirements-demo.lock \
		--output-file requirements-dev.lock

.PHONY: build
build: $(VENV)/.dev ## Build the wheel and the source distribution into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation

.PHONY: wheel-check
wheel-check: build ## Install the wheel into an empty environment and allocate one order there
	@$(BIN)/python tests/wheel_check.py

.PHONY: clean
clean: ## Remove what make has made, except the data in .nom
	@rm -rf $(VENV) dist build reports .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf .import_linter_cache
	@find routing inventory services tests -name __pycache__ -prune -exec rm -rf {} +
