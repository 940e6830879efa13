# Set-up is part of every target: a complete environment costs a second.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
BIN := .venv/bin

.PHONY: env restore-env test test-long demo say-demo docs train-shipped keep-state lint clean

env: ## .venv with the versions that work
	@$(PYTHON) tools/setup_env.py

restore-env: ## .venv for restoring photos alone: mmagic-inik restore
	@$(PYTHON) tools/setup_env.py --light

test: env ## tests and doctests, on two processes
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not long'

test-long: env ## those of whole tools and trainings
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m long

demo: say-demo env ## train on sample photos, restore others, draw pictures
	@$(BIN)/python tools/demo.py

say-demo:
	@echo 'make demo: the set-up, if it is not complete (4 to 10 minutes, once); then a real photo is restored,'
	@echo 'a small INIKNet is trained on sample photos (three to seven minutes), and restores what it has not seen.'

docs: env ## the documentation, in docs/_build
	@$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	@echo docs/_build/index.html

# The training whose weights are shipped, wherever it stands.
RECIPE := iniknet_light_synthetic
STATE := benchmarks/weights/$(RECIPE)_state.pth
ITERS ?= 40000

train-shipped: env ## go on with it on sharp photos: DATA=FOLDER, ITERS in all
	@test -d "$(DATA)" || { echo 'train-shipped: name a folder of sharp photos: make train-shipped DATA=FOLDER' >&2; exit 1; }
	ITERS=$(ITERS) $(BIN)/python tools/train.py configs/$(RECIPE).py --resume --cfg-options $(if $(wildcard $(STATE)),load_from=$(STATE)) data_root="$(DATA)" train_dataloader.dataset.pipeline.0.use_cache=True

keep-state: env ## replace the committed state by what it has become since
	$(BIN)/python tools/keep_state.py work_dirs/$(RECIPE) $(STATE)

lint: env ## what pre-commit runs
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell && $(BIN)/mypy

clean: ## remove the environment and what the demo made
	rm -rf .venv .venv.log data/demo work_dirs/iniknet_demo docs/_build dist
