# Two commands matter: `make run` starts the whole product, `make test` proves it.
# Everything installs into .venv, in the versions that constraints.txt names.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV ?= .venv
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help run demo test lint bench bench-sdk bench-search bench-metrics bench-api bench-protocols bench-scale soak overload \
  test-faults test-faults-cluster test-faults-notify test-clickhouse test-compat test-browser dashboard dashboard-check \
  bandit audit \
  test-browser-short screenshots docs install clean
help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# A bare machine says here what it lacks; a .venv whose Python has gone is made anew.
$(BIN)/.server: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks the venv module: install it (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "setting up $(VENV), once" >&2; $(PYTHON) -m venv --clear $(VENV); }
	$(PIP_INSTALL) -e '.[server]'
	@touch $@

$(BIN)/.dev: $(BIN)/.server
	$(PIP_INSTALL) -e '.[dev]'
	@$(PIP_INSTALL) -e '.[engine]' || echo "chdb cannot be installed here: the tests on ClickHouse are skipped" >&2
	@touch $@

install: $(BIN)/.server  ## set up .venv with the product

run: $(BIN)/.server  ## start everything on http://127.0.0.1:8321, data in .data
	@MONITORING_DATA_DIR="$${MONITORING_DATA_DIR:-$(CURDIR)/.data}" exec $(BIN)/monitoring up

demo: $(BIN)/.server  ## play an LLM platform into what `make run` started: ARGS="--history 6h --forever"
	@MONITORING_DATA_DIR="$${MONITORING_DATA_DIR:-$(CURDIR)/.data}" exec $(BIN)/monitoring demo $(ARGS)

test: $(BIN)/.dev  ## unit, contract and end-to-end tests, with a short form of the faults
	$(BIN)/python -m pytest -n 2 --dist=worksteal -q -m 'not compat' $(ARGS)

test-faults: $(BIN)/.dev  ## the long form: FAULTS=300 EVENTS=5000000 SEED=1
	$(BIN)/python -m tests.faults --faults $(or $(FAULTS),300) --events $(or $(EVENTS),5000000) --seed $(or $(SEED),1)

test-faults-cluster: $(BIN)/.dev  ## the same over a cluster of six nodes: FAULTS=60 EVENTS=500000 SEED=1
	$(BIN)/python -m tests.faults --cluster --faults $(or $(FAULTS),60) --events $(or $(EVENTS),500000) --seed $(or $(SEED),1)

test-clickhouse: $(BIN)/.dev  ## the long form of the comparison of stores: EXAMPLES=100, each of some fifty queries
	CLICKHOUSE_EXAMPLES=$(or $(EXAMPLES),100) $(BIN)/python -m pytest -q --timeout 7200 tests/pipeline/store/clickhouse $(ARGS)

test-compat: $(BIN)/.dev  ## beside other people's programs, such as Debian's prometheus: QUERIES=400 SEED=1
	QUERIES=$(or $(QUERIES),400) SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -m compat $(ARGS)

test-faults-notify: $(BIN)/.dev  ## the long form for notifications: FAULTS=200 SEED=1
	NOTIFY_FAULTS=$(or $(FAULTS),200) FAULT_SEED=$(or $(SEED),1) \
	  $(BIN)/python -m pytest -q -s tests/consumers/test_notify_faults.py

lint: $(BIN)/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bandit: $(BIN)/.dev  ## looks for usual weaknesses in the code
	$(BIN)/bandit -q -c pyproject.toml -r monitoring producers pipeline consumers api

audit: bandit  ## and asks an advisory service on the internet about every pinned package
	$(PIP_INSTALL) -e '.[audit]'
	$(BIN)/pip-audit --progress-spinner off --disable-pip --no-deps -r constraints.txt

bench: $(BIN)/.dev  ## throughput, latency, memory; EVENTS=1000000, table and bench/results.json
	$(BIN)/python -m bench $(ARGS)

bench-scale: $(BIN)/.dev  ## 1, 2, 4 and 8 drains over eight partitions: events a second, cost, hand-over; ARGS="--events 100000"
	$(BIN)/python -m bench.scale $(ARGS)

$(BIN)/.bench: $(BIN)/.dev
	$(PIP_INSTALL) -e '.[bench]'
	@touch $@

bench-sdk: $(BIN)/.bench  ## what a log call, a request, an import cost, beside other libraries; bench/results-sdk.json
	$(BIN)/python -m bench.sdk $(ARGS)

bench-search: $(BIN)/.dev  ## searching ten million events while ingest runs; ARGS=--short for one million
	$(BIN)/python -m bench.search $(ARGS)

bench-metrics: $(BIN)/.dev  ## what metrics take in, keep and answer, beside prometheus; ARGS=--short for a tenth
	$(BIN)/python -m bench.metric_query $(ARGS)

bench-protocols: $(BIN)/.dev  ## events a second over HTTP, by protocol; ARGS="--events 1000000 --only otlp"
	$(BIN)/python -m bench.protocols $(ARGS)

bench-api: $(BIN)/.dev  ## the HTTP API: ingest, and 50 readers while events flow; bench/results-api.json
	$(BIN)/python -m bench.api $(ARGS)

overload: $(BIN)/.dev  ## ten times what the drains take for MINUTES=10, and whether all else goes on; bench/results-overload.json
	$(BIN)/python -m bench.overload --minutes $(or $(MINUTES),10) $(ARGS)

soak: $(BIN)/.dev  ## the product under mixed load for HOURS=1, and whether anything grows; bench/results-soak.json
	$(BIN)/python -m bench.soak --hours $(or $(HOURS),1) $(ARGS)

api/dashboard/node_modules/.installed: api/dashboard/package.json api/dashboard/package-lock.json
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' \
	  2>/dev/null || { echo "Node 20.19 or newer is needed, and only to change the dashboard" >&2; exit 1; }
	cd api/dashboard && npm ci --no-fund --no-audit
	@touch $@

dashboard: api/dashboard/node_modules/.installed  ## build api/static/ from api/dashboard/ (needs Node; the build is committed)
	cd api/dashboard && npm run build

dashboard-check: api/dashboard/node_modules/.installed  ## the dashboard's types and unit tests; whether the committed build is its source's
	cd api/dashboard && npm run check && npm test && npm run check-build

test-browser: $(BIN)/.server api/dashboard/node_modules/.installed  ## the dashboard in Debian's chromium; PAYLOADS=500 ROWS=100000 ALERT=1 SHOTS=folder
	PYTHON=$(CURDIR)/$(BIN)/python node --test --test-concurrency=1 tests/browser/dashboard.test.mjs

test-browser-short: $(BIN)/.server api/dashboard/node_modules/.installed  ## the same in a short form: every page, a login, a search, an alert from the phone
	PYTHON=$(CURDIR)/$(BIN)/python node --test --test-concurrency=1 \
	  --test-name-pattern='failed request: desktop|logs in|clicking narrows|from the phone' tests/browser/dashboard.test.mjs

screenshots: $(BIN)/.server api/dashboard/node_modules/.installed  ## renew docs/images/; URL=… KEY=… of an instance that runs, or one is played
	URL="$(URL)" KEY="$(KEY)" PYTHON=$(CURDIR)/$(BIN)/python node tests/browser/screenshots.mjs

docs: $(BIN)/.dev  ## write the generated parts of docs/ anew
	$(BIN)/python -m tests.reference

clean:  ## remove what the build made (never .data)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
