# Two commands do everything on a fresh machine with python3 and make:  make demo  ·  make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Bytecode is kept even where the environment forbids it: else each process compiles what it imports.
TESTING := WANDB_MODE=offline PYTHONDONTWRITEBYTECODE=

.PHONY: help demo test test-lowest faults lint results docs tutorials benchmark peers
help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[dev,docs,avatars,sweep,launch,diffusion,flow,huggingface,onnx,text]'
	@touch $(READY)

demo: $(READY)   ## train six methods' models on real digits, explain 200 test digits, write runs/demo/report.html
	$(BIN)/python train.py experiment=demo
	$(BIN)/python evaluate.py experiment=demo run_dir=runs/demo overwrite=true

test: $(READY)   ## the whole test suite, a process per core
	$(TESTING) $(BIN)/python -m pytest -n auto --dist worksteal

test-lowest:     ## the test suite with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/pip install --quiet --disable-pip-version-check -c constraints-lowest.txt \
		-e '.[dev,avatars,sweep,launch,diffusion,flow,huggingface,onnx,text]'
	$(VENV)-lowest/bin/pip check
	$(TESTING) $(VENV)-lowest/bin/python -m pytest -n auto --dist worksteal

faults: $(READY)   ## every kill, corruption, full disk, malicious file and collision, with a table of outcomes
	FAULTS=whole $(TESTING) $(BIN)/python -m pytest tests/faults -n auto --dist worksteal

lint: $(READY)   ## style, layers and types
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

results: $(READY)   ## RESULTS.md from its template and the published figures in results/
	$(BIN)/python -m counterfoil.run.study render

NOTEBOOKS := $(patsubst docs/tutorials/%.py,build/tutorials/%.ipynb,$(wildcard docs/tutorials/*.py))
build/tutorials/%.ipynb: docs/tutorials/%.py $(READY)
	$(TESTING) $(BIN)/python -m docsite.notebooks $*

# not --quiet: it drops the warnings that --strict counts
docs: $(READY) $(NOTEBOOKS)   ## the documentation site, into site/; a broken link or a missing docstring fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

tutorials: $(READY)   ## run the notebooks of docs/tutorials, and tell how long each takes
	$(TESTING) $(BIN)/python -m docsite.notebooks

benchmark: $(READY)   ## speed against the bare networks, as ratios in one run
	for case in search training strip; do $(BIN)/python benchmarks/speed.py $$case || exit 1; done

PEERS_READY := .venv-peers/.ready
$(PEERS_READY): benchmarks/peers/constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers/constraints.txt
	@touch $(PEERS_READY)

DATA ?= $(error DATA is not set; give the folder of MNIST: make peers DATA=FOLDER STORE=weights)
STORE ?= weights
peers: $(READY) $(PEERS_READY)   ## our methods beside alibi's and foolbox', which get an environment of their own
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/peers/peers.py data.root=$(DATA) store=$(STORE) $(PEERS)
