# Every target sets up what it needs; nothing but Python >= 3.11, make and the package registries is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
UV_VERSION := 0.13.9
PIP_AUDIT_VERSION := 2.10.1
MEMBERS := schemas transport runtime processors sdk gateway cli simulation testing
STAMP  := $(VENV)/.installed
BROKER  := tests/contract tests/integration
QUICK   := tests/unit tests/property tests/models tests/simulation tests/typing
PROPERTIES := $$(grep -rl --include='test_*.py' hypothesis tests/unit tests/property)
# Tests with a broker wait more than they work: two for each core.
SIDE_BY_SIDE ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
SEEDS   ?= 2000
FROM    ?= 0
MINUTES ?= 30
ROUNDS  ?= 10
export UV_PYTHON_DOWNLOADS = never
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help install dev demo test sim search soak soak-workers verify bench bench-peers lock audit-deps clean fix format lint types contracts

help:            ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

$(UV):
	$(PYTHON) -c 'import sys; sys.exit("Symphainy needs Python 3.11 or newer, this is %s; set PYTHON=..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): requirements.lock pyproject.toml $(MEMBERS:%=%/pyproject.toml) | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $(STAMP)

install: $(STAMP) ## Virtual environment with the locked packages

dev: $(STAMP)    ## Start the whole system, submit the demo intents, run until Ctrl-C
	$(BIN)/symphainy dev --demo

demo: $(STAMP)   ## The same, then stop; exits with the demo's result
	$(BIN)/symphainy demo

test: $(STAMP)   ## All tests, on real local Kafka and Valkey; simulated days first
	$(BIN)/symphainy-sim --seeds $(SEEDS)
	$(BIN)/pytest -n logical --dist worksteal $(QUICK)
	$(BIN)/pytest -n $(SIDE_BY_SIDE) --dist loadfile $(BROKER)
	$(BIN)/pytest $(QUICK:%=--ignore=%) $(BROKER:%=--ignore=%)

sim: $(STAMP)    ## Simulated days of the whole system: SEEDS=2000, FROM=0
	$(BIN)/symphainy-sim --seeds $(SEEDS) --from $(FROM)

search: $(STAMP) ## New examples for the properties, ROUNDS=10 times over (make test draws the same each time)
	for round in $$(seq $(ROUNDS)); do HYPOTHESIS_PROFILE=search $(BIN)/pytest -q -n logical $(PROPERTIES) || exit; done

soak: $(STAMP)   ## Chaos on real processes for MINUTES=30
	$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)

SAGAS = $(BIN)/python -m tests.chaos.soak --minutes 10 --round 600 --rate 18 --workers 3 --kind chaos.stepped

soak-workers: $(STAMP) ## 10,000 handlers of three steps while workers are killed, then while they are paused
	$(SAGAS) --fault "worker killed" --rest 0.2 1
	$(SAGAS) --fault "worker paused for long" --rest 1 5

verify: format lint types contracts test ## The one gate

format: $(STAMP) ## Check the formatting (fix: make fix)
	$(BIN)/ruff format --check .

fix: $(STAMP)    ## Format, and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)   ## Lint
	$(BIN)/ruff check .

types: $(STAMP)  ## Strict types, tests included
	$(BIN)/mypy

contracts: $(STAMP) ## Floors and purity
	$(BIN)/lint-imports

BENCHES ?= owner policy backtest audit identity privacy wal replay recover

bench: $(STAMP)  ## The system beside a bare Kafka pipeline, then each part against its targets: BENCHES="wal replay"
	$(BIN)/python -m bench
	@set -e; for one in $(BENCHES); do echo "bench.$$one"; $(BIN)/python -m bench.$$one; done

bench-peers: $(STAMP) ## The system beside Restate, DBOS and Temporal, in one run
	bench/peers/run.sh $(if $(PEERS),--peers $(PEERS)) $(if $(WORKLOADS),--workloads $(WORKLOADS))

lock: $(UV)      ## Resolve requirements.lock anew (hash-pinned, without addresses)
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --quiet \
		--custom-compile-command 'make lock' $(MEMBERS:%=%/pyproject.toml) --group dev \
		$(addprefix --no-emit-package=symphainy-,schemas transport runtime processors gateway cli simulation testing) \
		--no-emit-package=symphainy -o requirements.lock

audit-deps: $(UV) ## Ask for advisories about what is locked; needs the network
	$(UV) tool run pip-audit==$(PIP_AUDIT_VERSION) --requirement requirements.lock --require-hashes --disable-pip --strict

clean:           ## Remove the virtual environment and local data
	rm -rf $(VENV) .symphainy
