# Every command of the project. `make` alone explains.
#
# Nothing but git, make and a Python >= 3.11 is needed: `make setup` installs the rest into
# ./.venv and into the per-user cache. A recipe never asks a registry by address; pip, uv and
# go use whatever this machine is configured for.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin

.PHONY: help setup binaries demo test test-unit soak chaos bench check format generate fresh clean

help: ## Show this help
	@echo "Gati and Catalyst operators. Start with: make demo"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "make demo KEEP=1          leave the demo's cluster up and say how to use it"
	@echo "make test ARGS='-k lease' pass arguments to pytest"
	@echo "make chaos REPLAY=plan.json  run one plan of the fault rig again"
	@echo "make test ARGS='tests/cluster --context kind-dev --yes'  test in an existing cluster"

setup: .venv/.ready ## Create ./.venv with every command of the project

.venv/.ready: requirements.lock pyproject.toml scripts/setup.py
	@bash scripts/find-python scripts/setup.py
	@touch $@

binaries: setup ## Build the control plane's binaries into the per-user cache (once, 6-10 min)
	@$(BIN)/devcluster build

demo: binaries ## The main job on a real control plane, with the samples
	@$(BIN)/python -m demo $(if $(KEEP),--keep) $(ARGS)

test: binaries ## All tests: unit, world, and the real control plane
	@$(BIN)/python -m pytest -n 3 --dist loadgroup --durations 15 $(ARGS)

test-unit: setup ## The tests that need no control plane (seconds)
	@$(BIN)/python -m pytest -n 2 tests/unit tests/world $(ARGS)

soak: binaries ## A thousand handlers at rest until every watch was opened anew (about 25 min)
	@$(BIN)/python -m pytest -m soak tests/cluster $(ARGS)

chaos: binaries ## Break everything around the operator, and the operator too (about 45 min)
	@$(BIN)/python -m chaos $(if $(REPLAY),replay $(REPLAY),run $(ARGS))

bench: binaries ## Measure the operator against bare writes (25-35 min) into docs/benchmarks.md
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group plots
	@$(BIN)/python -m bench run $(ARGS)
	@$(BIN)/python -m bench report

check: setup ## Format, lint, types, structure contracts, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry src
	@$(BIN)/python -m commands.generate --check
	@$(BIN)/python -m scripts.tables --check
	@bash scripts/check-repository

format: setup ## Format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: setup ## Write the generated files anew (CRDs, reference, tables in docs)
	@$(BIN)/python -m commands.generate
	@$(BIN)/python -m scripts.tables

lock: setup ## Pin the dependencies anew
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	  --python-version 3.11 --extra devcluster --group dev pyproject.toml -o requirements.lock

fresh: ## Clone as another user with an empty home and run make demo and make test there (root)
	@bash scripts/fresh

clean: ## Remove ./.venv, what was built here, and what dead clusters left behind
	@if [ -x $(BIN)/devcluster ]; then $(BIN)/devcluster prune || true; fi
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
