#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# preprocess.lock: sha256 49e12552899ea73d871776ae02549e8b882bd0321b7e7b607938ceb769d6bba6
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/preprocess.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/preprocess.lock > "$CONDA_PREFIX/ready"
