# Two commands are enough on a machine with Python 3.11 or later: `make figures` and `make test`.
# `make help` lists the rest.

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v))) python3)
BIN := .venv/bin
READY := .venv/ready
INSTALL := $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r
# Environment of the crate checker, which needs older versions of some packages than .venv.
CHECK := .crate-check
# Environment of the documentation, which needs none of the packages in .venv.
DOCS := .docs
# Checks and builds the code; nothing of a study runs in it.
DEV := .dev
LOCKS := envs/local.lock envs/cuda.lock envs/cuda12.lock envs/torch-cpu.lock
# Build of torch: cuda12 in .venv and images, and cpu, cuda or auto in images. Without it .venv has the
# CUDA 12 build where the driver of this machine is too old for that of the locks.
TORCH ?=
OLD_DRIVER = $(shell version=$$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2> /dev/null | head -n 1); \
    [ "$${version%%.*}" -lt 580 ] 2> /dev/null && echo "$$version")
CUDA12 = $(if $(TORCH),$(filter cuda12,$(TORCH)),$(OLD_DRIVER))
CODE := ldae scripts tests envs containers benchmarks
# Settings of a study: make figures STUDY=studies/ixi.yaml CONFIG="bids_folder=/data/ixi"
# STUDY may list several files, which are merged in this order; a later file overrides an earlier one.
STUDY ?=
CONFIG ?=
# Options of the benchmarks: make bench BENCH="--only reconstruction" BASELINE=earlier/bench.json
BENCH ?=
BASELINE ?=
# Results folder of the study, read from its settings.
RESULTS = $(shell sed -n 's/^  results: *\([^ \#]*\).*/\1/p' config.yaml $(STUDY) | tail -n 1)

.DEFAULT_GOAL := help
.PHONY: help figures final crate containers test gpu-test hpc-test bench docs hooks lint format types settings lock clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

# Without an NVIDIA driver, the CPU build of torch is installed if pip finds it. Otherwise PyPI's build
# is installed, which cannot be imported without its CUDA libraries.
$(READY): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=…")'
	@echo "Setting up .venv (once, a few minutes)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@command -v nvidia-smi > /dev/null || $(INSTALL) envs/torch-cpu.lock > /dev/null 2>&1 || true
	@$(INSTALL) envs/local.lock
	@$(BIN)/python -m ldae.provenance.environment envs/local.lock > .venv/locks
	@if [ -n "$(CUDA12)" ]; then \
	    echo "Adding torch for CUDA 12$(if $(TORCH),, (driver $(OLD_DRIVER) is older than 580))"; \
	    $(INSTALL) envs/cuda12.lock; \
	    $(BIN)/python -m ldae.provenance.environment envs/cuda12.lock >> .venv/locks; \
	elif grep -q '^cuda.*= .[0-9]' $(BIN)/../lib/python3*/site-packages/torch/version.py; then \
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

figures: $(READY)  ## run the study on validation participants and build results/report.html
	@$(BIN)/snakemake $(if $(STUDY),--configfile $(STUDY)) $(if $(CONFIG),--config $(CONFIG))

final: $(READY)  ## run the study with the numbers of its test participants
	@$(BIN)/snakemake $(if $(STUDY),--configfile $(STUDY)) --config final=true $(CONFIG)

crate: $(READY) $(CHECK)/ready  ## write and check the crate of the study
	@$(BIN)/snakemake crate $(if $(STUDY),--configfile $(STUDY)) $(if $(CONFIG),--config $(CONFIG))
	@$(CHECK)/bin/python envs/check_crate.py $(RESULTS)/crate

containers: $(READY)  ## build the container images of all stages with Apptainer
	@$(BIN)/python containers/build.py $(if $(TORCH),--torch $(TORCH)) $(if $(BASE),--base $(BASE)) $(if $(MIRROR),--mirror $(MIRROR)) $(if $(PROGRAMS),--programs)

gpu-test: $(READY)  ## measure what only a GPU can show, in at most 12 minutes
	@$(BIN)/python -m benchmarks.gpu_test

hpc-test: $(READY)  ## install Apptainer and SLURM on this machine (as root) and test with them
	@$(BIN)/python -m pytest -m hpc $(PYTEST) tests/hpc

test: $(READY) $(CHECK)/ready $(DEV)/ready  ## run all tests except hpc-test
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

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

format: $(READY)  ## format code and workflow
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/snakefmt Snakefile rules tests/hpc

bench: $(READY)  ## measure speed on an idle machine; BASELINE=… lists what got slower
	@$(BIN)/python -m benchmarks.bench $(if $(BASELINE),--baseline $(BASELINE)) $(BENCH)

types: $(READY)  ## check types
	@$(BIN)/mypy ldae

settings: $(READY)  ## make schema, comments and reference page from the settings' models
	@$(BIN)/python -m ldae.workflow.settings

lock: $(READY)  ## update the lock files from envs/*.in
	@$(BIN)/python envs/lock.py

clean:  ## remove environments, images and caches, but not results
	@rm -rf .venv $(CHECK) $(DOCS) $(DEV) site .pytest_cache .mypy_cache .ruff_cache .snakemake containers/*.sif containers/*.log containers/digests.tsv
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
