# One command for each habit. `make` or `make help` lists them; each sets up what it needs by itself.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Passed on to the command: `make demo ARGS=--json`, `make test ARGS=-x`.
ARGS ?=
# The lab's Odoo: 19 unless told, `make demo ODOO=14`.
ODOO ?=
# Test processes side by side; each has services of its own.
PROCESSES ?= 2
ODOO_OPTION := $(if $(ODOO),--odoo $(ODOO))

# A sync, a sensor's run, a worker: all are processes of their own. Where bytecode is not kept, each of them compiles the
# project anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@echo "unierp-assets: keeps a shop, TOTTER and UniERP (Odoo) in agreement"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ODOO=14 takes Odoo 14 instead of 19; ARGS='...' is passed on to the command."

.PHONY: setup
setup: $(STAMP) ## Make .venv with the project and its development tools in it

# A change of what is to be installed, and nothing else, installs anew. uv takes seconds where pip takes minutes; it reads
# other settings than pip, so where only pip is told how to reach the packages, pip does it.
INSTALL := -c constraints.txt -e '.[dev]'
$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null && uv venv --quiet --allow-existing --python '>=3.11,<3.13' $(VENV) \
	    && uv pip install --quiet --compile-bytecode --python $(BIN)/python $(INSTALL); then \
	  echo "Installed into $(VENV) with uv"; \
	else \
	  python=; \
	  for name in python3.12 python3.11 python3 python; do \
	    if $$name -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
	    then python=$$name; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then echo "Python 3.11 or 3.12 is needed, and none is on the PATH." >&2; exit 1; fi; \
	  if ! $(BIN)/python -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
	  then echo "Creating $(VENV) ..."; $$python -m venv --clear $(VENV); fi; \
	  echo "Installing into $(VENV) ..."; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv; \
	  $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(INSTALL) \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(INSTALL); \
	fi
	@touch $@

.PHONY: demo
demo: $(STAMP) ## A shop's sample into a real Odoo, reconciled to the cent
	@$(BIN)/unierp demo $(ODOO_OPTION) $(ARGS)

.PHONY: ui
ui: $(STAMP) ## Open Dagster on the running lab
	@$(BIN)/unierp ui $(ARGS)

.PHONY: test
test: lint ## Check the code, then run every test: units, warehouse, Odoo 19 and 14
	@$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --chaos-seed $(or $(SEED),1) --cov=unierp_assets.sync --cov=unierp_assets.odoo --cov=unierp_assets.entities \
	  --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

# How often a sync is killed, how many calls go over a faulty network, and what makes all of it happen again.
KILLS ?= 120
CALLS ?= 5000
SEED ?=

.PHONY: chaos
chaos: $(STAMP) ## Kill syncs, servers and connections by the hundred (KILLS=, CALLS=, SEQUENCES=, SEED=)
	@$(BIN)/pytest tests/chaos -v -rA --odoo $(or $(ODOO),19) --chaos-kills $(KILLS) --chaos-calls $(CALLS) \
	  --chaos-sequences $(or $(SEQUENCES),30) \
	  $(if $(SEED),--chaos-seed $(SEED)) -o timeout=14400 $(ARGS)

.PHONY: long
long: $(STAMP) ## The tests that take minutes each: Dagster by itself, through changes and outages
	@$(BIN)/pytest -m long --odoo $(or $(ODOO),19) -s -rA -o timeout=3600 $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style, formatting, types and the import rule
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -p unierp_assets
	@$(BIN)/lint-imports --no-logo

.PHONY: bench
bench: $(STAMP) ## Measure against the usual import tools
	@$(BIN)/unierp bench --page docs/benchmarks.md $(ODOO_OPTION) $(ARGS)

.PHONY: docs
docs: $(STAMP) ## Write the generated pages of docs/ anew
	@$(BIN)/unierp docs $(ARGS)

.PHONY: down
down: ## Stop what the lab started
	@if [ -x $(BIN)/unierp ]; then $(BIN)/unierp lab down $(ARGS); fi

.PHONY: clean
clean: ## Stop the lab, remove its data, the caches of the tools and .venv (the user's cache stays)
	@if [ -x $(BIN)/unierp ]; then $(BIN)/unierp lab reset --yes; fi
	@rm -rf .unierp $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
