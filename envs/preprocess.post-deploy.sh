#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# preprocess.lock: sha256 b4f57b85b01a7b4f15f9b9e57ac04399841c4d102574069eb8ab865d216d7f96
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/preprocess.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/preprocess.lock > "$CONDA_PREFIX/ready"
