# Two commands are enough on a machine with Python 3.11 or later: `make figures` and `make test`.
# `make help` lists the rest.

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v))) python3)
BIN := .venv/bin
READY := .venv/ready
INSTALL := $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r
# Checks crates; some packages are older there than .venv has them.
CHECK := .crate-check
# Builds the documentation; needs none of .venv's packages.
DOCS := .docs
# Checks and builds the code; nothing of a study runs in it.
DEV := .dev
LOCKS := envs/local.lock envs/cuda.lock envs/torch-cpu.lock
CODE := ldae scripts tests envs containers benchmarks
# A study of one's own: make figures STUDY=studies/ixi.yaml CONFIG="bids_folder=/data/ixi"; STUDY may
# name several files, merged in this order: of a key in several, the last one counts.
STUDY ?=
CONFIG ?=
# Folder of its results, as its files name it.
RESULTS = $(shell sed -n 's/^  results: *\([^ \#]*\).*/\1/p' config.yaml $(STUDY) | tail -n 1)

.DEFAULT_GOAL := help
.PHONY: help figures crate containers test hpc-test docs hooks lint format types lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

# Without an NVIDIA driver, the CPU build of torch is taken where pip can find it; else PyPI's build,
# whose CUDA libraries are then needed even to import it.
$(READY): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=…")'
	@echo "Setting up .venv (once, a few minutes)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@command -v nvidia-smi > /dev/null || $(INSTALL) envs/torch-cpu.lock > /dev/null 2>&1 || true
	@$(INSTALL) envs/local.lock
	@$(BIN)/python -m ldae.provenance.environment envs/local.lock > .venv/locks
	@if grep -q '^cuda.*= .[0-9]' $(BIN)/../lib/python3*/site-packages/torch/version.py; then \
	    echo "Adding the CUDA libraries"; \
	    $(INSTALL) envs/cuda.lock; \
	    $(BIN)/python -m ldae.provenance.environment envs/cuda.lock >> .venv/locks; fi
	@mv .venv/locks $@

$(CHECK)/ready $(DOCS)/ready $(DEV)/ready: .%/ready: envs/%.lock
	@echo "Setting up .$* (once, half a minute)"
	@rm -rf .$*
	@$(PYTHON) -m venv .$*
	@.$*/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

figures: $(READY)  ## run the study and end with results/report.html
	@$(BIN)/snakemake $(if $(STUDY),--configfile $(STUDY)) $(if $(CONFIG),--config $(CONFIG))

crate: $(READY) $(CHECK)/ready  ## write the study's crate and check it
	@$(BIN)/snakemake crate $(if $(STUDY),--configfile $(STUDY)) $(if $(CONFIG),--config $(CONFIG))
	@$(CHECK)/bin/python envs/check_crate.py $(RESULTS)/crate

containers: $(READY)  ## build the images of every stage with Apptainer
	@$(BIN)/python containers/build.py $(if $(TORCH),--torch $(TORCH)) $(if $(BASE),--base $(BASE)) $(if $(MIRROR),--mirror $(MIRROR))

hpc-test: $(READY)  ## install Apptainer and SLURM here (as root) and run the study on them
	@$(BIN)/python -m pytest -m hpc $(PYTEST) tests/hpc

test: $(READY) $(CHECK)/ready $(DEV)/ready  ## run every test but hpc-test
	@$(BIN)/python -m pytest -n 2 --dist loadfile

docs: $(DOCS)/ready  ## build the documentation into site/index.html
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

hooks: $(READY) $(DEV)/ready  ## check every commit before it is made
	@$(DEV)/bin/pre-commit install

lint: $(READY) $(DEV)/ready  ## check style, spelling and imports of code and workflow
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/snakefmt --check Snakefile rules tests/hpc
	@$(BIN)/snakemake --lint
	@$(DEV)/bin/codespell
	@$(DEV)/bin/lint-imports --no-cache

format: $(READY)  ## put code and workflow into style
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/snakefmt Snakefile rules tests/hpc

types: $(READY)  ## check types
	@$(BIN)/mypy ldae

lock: $(READY)  ## resolve envs/*.in anew
	@$(BIN)/python envs/lock.py

clean:  ## remove the environment, images and caches; results stay
	@rm -rf .venv $(CHECK) $(DOCS) $(DEV) site .pytest_cache .mypy_cache .ruff_cache .snakemake containers/*.sif containers/*.log containers/digests.tsv
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
