#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# analysis.lock: sha256 6564e663a1835f6b91ee7d2adbfa2873e9d0a725820ae4a021abcf6bcf981a39
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/analysis.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
