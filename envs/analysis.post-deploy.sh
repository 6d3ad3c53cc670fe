#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# analysis.lock: sha256 a138a48ec3a9002e9d0968a4b450104be046ae108fd62731ec54e356d35a8588
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/analysis.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/analysis.lock > "$CONDA_PREFIX/ready"
