# All set-up is done here: python3 (3.11 to 3.13) and make are enough.
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# what the caller set up for an Airflow or a Prefect of their own is none of ours
unexport $(filter AIRFLOW_% PREFECT_%,$(.VARIABLES))
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 120

VENV := .venv
BIN := $(VENV)/bin
AIRFLOW := .venv-airflow
PREFECT := .venv-prefect
SAMPLE := .ostinato/sample/transactions
NEXT := .ostinato/sample/next

.PHONY: help run airflow prefect test lint bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: $(VENV)/.ready $(SAMPLE) $(NEXT) ## train, judge and promote a fraud model on made-up transactions; each call is a week later
	@$(BIN)/ostinato run fraud_detection -p source=$(SAMPLE) --as-of $$(cat $(NEXT))
	@$(BIN)/python -c 'import datetime as d, sys; now = d.date.fromisoformat(open(sys.argv[1]).read().strip()); \
	  print(min(now + d.timedelta(7), d.date(2026, 5, 1)))' $(NEXT) > $(NEXT).part && mv $(NEXT).part $(NEXT)

airflow: $(AIRFLOW)/.ready $(SAMPLE) ## an Airflow on this machine with the ready-made DAGs dropped in
	@$(AIRFLOW)/bin/python demo/start_airflow.py

prefect: $(PREFECT)/.ready $(SAMPLE) ## a Prefect on this machine with the ready-made flows deployed
	@$(PREFECT)/bin/python demo/start_prefect.py

test: lint $(AIRFLOW)/.ready $(PREFECT)/.ready ## everything once: style, types, layers; all tests without engines and on each; every template
	@$(BIN)/python tests/run_all.py $(PYTEST)

lint: $(VENV)/.ready ## style, types and import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.ready $(AIRFLOW)/.ready $(PREFECT)/.ready ## measure against hand-written code and write benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py $(BENCH)

lock: $(VENV)/.ready ## pin and hash requirements/*.txt anew
	$(BIN)/uv pip compile $(LOCKED) --upgrade --group dev --extra apprise --extra lightgbm --extra postgres --extra recs --extra templates -o requirements/dev.txt pyproject.toml
	cp requirements/dev.txt requirements/airflow.txt # what both hold stays the same version wherever the engine allows it
	$(BIN)/uv pip compile $(LOCKED) --group dev --extra airflow --extra postgres --extra recs --extra templates -o requirements/airflow.txt pyproject.toml
	cp requirements/dev.txt requirements/prefect.txt
	$(BIN)/uv pip compile $(LOCKED) --group dev --extra prefect --extra recs --extra templates --constraint requirements/prefect.in -o requirements/prefect.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCKED) --upgrade -o requirements/base.txt pyproject.toml
	echo uv | $(BIN)/uv pip compile $(LOCKED) --upgrade -o requirements/uv.txt -

LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
          --no-emit-index-url --no-emit-find-links

clean: ## remove environments and the workspace
	rm -rf .venv* .ostinato .airflow .prefect

$(SAMPLE): | $(VENV)/.ready
	@$(BIN)/ostinato data sample transactions --rows 200000 -o $@

$(NEXT): | $(SAMPLE)
	@echo 2026-03-20 > $@

# uv comes from pip, pinned like the rest; it installs in seconds what pip takes minutes for
$(VENV)/.ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@python3 -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v < (3, 14) and f"Python 3.11 to 3.13 is needed; python3 is {v[0]}.{v[1]}")'
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync -q --compile-bytecode -p $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	@$(BIN)/uv pip install -q --no-deps --no-build-isolation -p $(BIN)/python -e .
	@touch $@

# ostinato is not installed here: Airflow finds it in its plugins folder, as with someone who dropped it in
$(AIRFLOW)/.ready: requirements/airflow.txt | $(VENV)/.ready
	@echo "Setting up $(AIRFLOW), once"
	@test -x $(AIRFLOW)/bin/python || python3 -m venv --without-pip $(AIRFLOW)
	@$(BIN)/uv pip sync -q --compile-bytecode -p $(AIRFLOW)/bin/python --require-hashes requirements/airflow.txt
	@touch $@

# nor is it here: the flows are run from this folder
$(PREFECT)/.ready: requirements/prefect.txt | $(VENV)/.ready
	@echo "Setting up $(PREFECT), once"
	@test -x $(PREFECT)/bin/python || python3 -m venv --without-pip $(PREFECT)
	@$(BIN)/uv pip sync -q --compile-bytecode -p $(PREFECT)/bin/python --require-hashes requirements/prefect.txt
	@touch $@
