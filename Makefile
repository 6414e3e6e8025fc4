# Needs make and Python 3.11 or later, nothing else: everything is installed into .venv on the first call.
#   make PYTHON=/path/to/python3.12 ...      chooses the Python
#   make demo ARGS="--tamper"                passes arguments to the command
#   make test PYTEST="-k outbox" WORKERS=1   passes arguments to pytest

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo up check test pytest test-kafka test-keycloak map bench schemas format lock clean

BIN := .venv/bin
INSTALLED := .venv/.installed-$(shell pwd | cksum | cut -d' ' -f1)
PROJECTS := $(wildcard */pyproject.toml services/*/pyproject.toml deploy/*/pyproject.toml)
MEMBERS := contracts kit keystore gateway intake registry risk referral audit cli local
SOURCES := $(wildcard contracts/src kit/src keystore/src cli/src deploy/local/src services/*/src)
REPORTS := .cache/reports
WORKERS ?= 2
ARGS ?=
PYTEST ?=

help: ## show this list
	@echo "make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## install everything into .venv 安装

$(INSTALLED): requirements.lock $(PROJECTS)
	@PYTHON="$(PYTHON)" deploy/local/install.sh
	@touch $@

demo: $(INSTALLED) ## one record goes its whole way, shown live 演示
	@$(BIN)/doorstep demo $(ARGS)

up: $(INSTALLED) ## the whole stack, kept in ./data, until Ctrl-C 启动
	@$(BIN)/doorstep up $(ARGS)

test: check ## install what is needed and run everything 全部测试

check: $(INSTALLED) ## what CI runs: style, types, imports, schemas, tests, the map of requirements
	@echo "[1/6] ruff check" && $(BIN)/ruff check .
	@echo "[2/6] ruff format" && $(BIN)/ruff format --check .
	@echo "[3/6] mypy --strict" && $(BIN)/mypy $(SOURCES)
	@echo "[4/6] import contracts" && $(BIN)/lint-imports
	@echo "[5/6] schemas up to date" && $(BIN)/python -m doorstep.contracts.generate --check
	@echo "[6/6] pytest, $(WORKERS) at a time"
	@$(MAKE) --no-print-directory pytest

pytest: $(INSTALLED) ## the tests alone, without Apache Kafka and Keycloak
	@mkdir -p $(REPORTS)
	@$(BIN)/python -m pytest -m "not kafka and not keycloak" -n $(WORKERS) --dist loadfile --junitxml=$(REPORTS)/pytest.xml $(PYTEST)

test-kafka: $(INSTALLED) ## journeys and faults against Apache Kafka (needs java and mvn)
test-keycloak: $(INSTALLED) ## sign-in and tokens against Keycloak (needs java and mvn)

test-kafka test-keycloak: test-%:
	@mkdir -p $(REPORTS)
	@for tool in java mvn; do command -v $$tool >/dev/null || { \
		echo "错误：找不到 $$tool，make $@ 需要 JDK 17 或更高版本和 Maven。" >&2; \
		echo "Error: $$tool was not found; make $@ needs a JDK 17 or later and Maven." >&2; exit 2; }; done
	@$(BIN)/python -m pytest -m $* --junitxml=$(REPORTS)/$*.xml $(PYTEST)

map: $(INSTALLED) ## every requirement in docs/map.md has tests, and in the last run they passed
	@$(BIN)/python tests/architecture/check_map.py $(ARGS) $(wildcard $(REPORTS)/*.xml)

bench: $(INSTALLED) ## ceilings and the product, side by side
	@$(BIN)/python -m bench $(ARGS)

schemas: $(INSTALLED) ## generate the schemas of events and interfaces anew
	@$(BIN)/doorstep schemas

format: $(INSTALLED) ## put the sources into shape
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(INSTALLED) ## resolve requirements.lock anew
	@$(BIN)/python -m pip install -q "uv>=0.9"
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --group dev $(MEMBERS:%=--no-emit-package doorstep-%) \
		pyproject.toml -o requirements.lock
	@echo "requirements.lock: $$(grep -c '^[a-z].*==' requirements.lock)"

clean: ## remove .venv and caches, never data
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
