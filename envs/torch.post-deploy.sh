#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# torch.lock: sha256 60347bfc9bc3ac73e87e5032ebb521084d98ee8b0fbc979ea0c20a8ee7be98c6
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/torch.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/torch.lock > "$CONDA_PREFIX/ready"
