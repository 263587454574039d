# `make run` starts a gateway, `make demo` shows the whole job, `make test` checks everything.
# Nothing has to be prepared: each target makes the environment it needs (see scripts/environment.sh).
.PHONY: help run demo test test-model bench lint clean

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: ## start the gateway on this machine
	@scripts/environment.sh runtime
	@.venv/bin/homeport serve --show-key

demo: ## the main job, end to end: question, search, cited answer, ticket
	@scripts/demo.sh

test: ## set up what the tests need and run them all
	@scripts/environment.sh dev
	@scripts/environment.sh local
	@scripts/environment.sh openai3
	@scripts/environment.sh agents
	@scripts/environment.sh langchain
	@scripts/check.sh

test-model: ## the main job on the real local model (downloads 1.1 GB once)
	@scripts/environment.sh dev
	@scripts/environment.sh local
	@.venv/bin/homeport model pull
	@.venv/bin/python -m pytest tests/local_model tests/model --model

bench: ## measure against a bare pass-through proxy in the same run
	@scripts/environment.sh dev
	@scripts/environment.sh litellm || echo "Without LiteLLM's proxy, whose environment could not be made."
	@.venv/bin/python -m bench.run

lint: ## format, and check style, types and import contracts
	@scripts/environment.sh dev
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix . && .venv/bin/pyright && .venv/bin/lint-imports

clean: ## remove the environments and caches, never the data
	rm -rf .venv .venv-* build dist .pytest_cache .ruff_cache tests/node/node_modules
