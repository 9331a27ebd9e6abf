# The commands of the project. `make` alone lists them.
SHELL := /bin/bash
BIN := .venv/bin
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup setup-run run services test test-full test-provider check bench lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv and install everything that is locked
	@scripts/setup dev

setup-run:
	@scripts/setup run

# A variable would come before what a .env says.
ifeq ($(wildcard .env),)
run: export SEMEL_DATABASE_URL ?= sqlite:///var/semel.db
# The page shows links that sign people in: only where nobody asks for another address or a mail server.
ifeq ($(SEMEL_HOST)$(SEMEL_SMTP_URL),)
run: export SEMEL_MAIL_PAGE ?= true
endif
endif
run: setup-run ## start a server on 127.0.0.1:8000 over an SQLite file in var/
	@mkdir -p -m 700 var
	@$(BIN)/semel migrate
	@$(BIN)/semel serve

services: setup
	@scripts/install-test-services

test: services ## run every test (JOBS=2 at a time)
	@$(BIN)/python -m pytest --quiet --numprocesses $(JOBS) --dist worksteal

test-full: export SEMEL_TEST_SCALE = full
# Large counts take longer: what ends a test that hangs must not end one that works.
test-full: export PYTEST_TIMEOUT = 900
test-full: test ## run every test with the large counts

test-provider: setup ## run the provider contract on a provider of yours (docs/how-to/supabase.md, docs/how-to/keycloak.md)
	@$(BIN)/python -m pytest --quiet tests/providers/yours.py

check: setup ## lint, format, types, layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: services ## measure, as ratios of a bare statement, side by side
	@$(BIN)/python -m benchmarks

lock: setup ## write requirements/*.txt anew (FLAGS=--upgrade takes the newest versions)
	@scripts/lock $(FLAGS)

clean: ## remove all that these commands made
	rm -rf .venv var dist .coverage .coverage.* htmlcov .hypothesis .schemathesis .*_cache
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
