.DEFAULT_GOAL := help
.PHONY: help setup run test check format serve bench soak lock clean

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
WORKERS ?= 3

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment with every locked dependency, hashes checked

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.*
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: setup ## the demo city, from landing files to correction orders (DEMO="--people 2000": a smaller one)
	$(BIN)/shuyuan demo $(DEMO)
	$(BIN)/shuyuan run

test: setup ## all tests
	$(BIN)/pytest -n $(WORKERS) -m "not soak"

check: setup ## format, lint, types, layers, catalogue
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shuyuan catalog check

format: setup ## mend format and simple lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: setup ## Dagster UI on http://127.0.0.1:3000
	$(BIN)/shuyuan serve

bench: setup ## every benchmark at its default size
	@for name in whole_city ingest validate findings arbitrate increment repairs identity identity_city reverify; do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

soak: setup ## long fault and scale campaigns
	$(BIN)/pytest -m soak --timeout 7200

lock: ## resolve requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean: ## remove the virtual environment and caches (never ./data)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
