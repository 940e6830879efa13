# Set-up is part of every target: a complete environment costs a second.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
BIN := .venv/bin

.PHONY: env restore-env test demo lint clean

env: ## .venv with the versions that work
	@$(PYTHON) tools/setup_env.py

restore-env: ## .venv for restoring photos alone: mmagic-inik restore
	@$(PYTHON) tools/setup_env.py --light

test: env ## tests and doctests, on two processes
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

demo: env ## train on sample photos, restore others, draw pictures
	@$(BIN)/python tools/demo.py

lint: env ## what pre-commit runs
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell

clean: ## remove the environment and what the demo made
	rm -rf .venv .venv.log data/demo work_dirs/iniknet_demo
