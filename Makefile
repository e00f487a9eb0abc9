# Two commands matter: `make run` starts the whole product, `make test` proves it.
# Everything installs into .venv, from the versions that constraints.txt names.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SHELL = /bin/bash

.PHONY: help run test lint bench test-faults install clean
help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/.server: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server]'
	@touch $@

$(BIN)/.dev: $(BIN)/.server
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(BIN)/.server  ## set up .venv with the product

run: $(BIN)/.server  ## start everything on http://127.0.0.1:8321, data in .data
	@MONITORING_DATA_DIR="$${MONITORING_DATA_DIR:-$(CURDIR)/.data}" exec $(BIN)/monitoring up

test: $(BIN)/.dev  ## unit, contract and end-to-end tests, with a short form of the faults
	$(BIN)/python -m pytest -n 2 --dist=worksteal -q $(ARGS)

test-faults: $(BIN)/.dev  ## the long form: FAULTS=300 EVENTS=5000000 SEED=1
	$(BIN)/python -m tests.faults --faults $(or $(FAULTS),300) --events $(or $(EVENTS),5000000) --seed $(or $(SEED),1)

lint: $(BIN)/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(BIN)/.dev  ## throughput, latency, memory; EVENTS=1000000, table and bench/results.json
	$(BIN)/python -m bench $(ARGS)

clean:  ## remove what the build made (never .data)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
