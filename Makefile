# Everything starts from Python 3.11+ and make; the rest is fetched into this folder.
# `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

export PATH := $(CURDIR)/$(BIN):$(PATH)

# --- environment: stamps make a warm start instant ------------------------------------------------------------

RUNTIME := $(VENV)/.runtime
LLM := $(VENV)/.llm
POSTGRES := $(VENV)/.postgres
DEV := $(VENV)/.dev
NODE := node_modules/.stamp
BROWSER := $(VENV)/.browser

$(VENV)/pyvenv.cfg:
	scripts/uv venv --quiet --allow-existing --python '>=3.11' $(VENV)

$(RUNTIME): requirements/runtime.lock | $(VENV)/pyvenv.cfg
	scripts/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<
	touch $@

$(LLM): requirements/llm.lock | $(RUNTIME)
	scripts/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<
	touch $@

$(POSTGRES): requirements/postgres.lock | $(RUNTIME)
	scripts/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $<
	touch $@

$(DEV): requirements/dev.lock requirements/llm.lock requirements/postgres.lock requirements/runtime.lock | $(VENV)/pyvenv.cfg
	scripts/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $<
	touch $(RUNTIME) $(LLM) $(POSTGRES) $@

$(NODE): package.json package-lock.json $(DEV)
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(BROWSER): Makefile $(DEV) playwright/support/chromium.py
	$(BIN)/python playwright/support/chromium.py
	scripts/system-package strace
	scripts/system-package nginx
	scripts/system-package firefox-esr firefox
	scripts/system-package postgresql initdb
	touch $@

# --- for people ------------------------------------------------------------------------------------------------

# Only those who ask for a model, or for another database than SQLite, wait for what that needs.
MODEL := $(filter openai:% openai-chat:% openai-responses:% anthropic:% ollama:%,$(DURABLE_CHAT_AGENT))
DATABASE := $(filter postgresql:% postgresql+asyncpg:%,$(DURABLE_CHAT_DATABASE_URL))

.PHONY: help run llm test check test-long bench demo screenshot lock audit clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(RUNTIME) $(if $(MODEL),$(LLM)) $(if $(DATABASE),$(POSTGRES)) ## serve on http://127.0.0.1:8000; ARGS='--port 9000 --access open' adds options
	$(BIN)/python -m webapp serve $(ARGS)

llm: $(LLM) ## install what an agent made with pydantic-ai needs

test: $(DEV) $(NODE) $(BROWSER) ## everything: linters, types, Python, JavaScript, real browsers
	$(BIN)/python scripts/lanes.py static script python browser

check: $(DEV) $(NODE) ## linters, types and unit tests, in under a minute
	$(BIN)/python scripts/lanes.py static script unit

test-long: $(DEV) $(NODE) $(BROWSER) ## what takes longer than a coffee
	$(BIN)/python scripts/lanes.py --serial long browser-long

bench: $(DEV) $(NODE) $(BROWSER) ## print the numbers
	$(BIN)/python -m benchmarks $(ARGS)

demo: $(DEV) $(BROWSER) ## watch two browsers converge (recorded when there is no display)
	$(BIN)/python -m scripts.demo $(ARGS)

screenshot: $(DEV) $(BROWSER) ## take the README's picture again
	UPDATE_SCREENSHOTS=1 $(BIN)/python -m pytest -q playwright/test_screenshot.py

lock: ## resolve the lock files again
	scripts/lock

audit: ## look the locked versions up in the advisory databases
	scripts/uv tool run pip-audit --disable-pip --require-hashes -r requirements/llm.lock -r requirements/postgres.lock

clean: ## remove what make has fetched; ./data stays
	rm -rf $(VENV) .tools node_modules build dist test-results
