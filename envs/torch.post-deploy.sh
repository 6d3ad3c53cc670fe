#!/bin/bash
# Run by Snakemake inside the conda environment of this name. Made by envs/lock.py.
# torch.lock: sha256 b318876c39ca13a9804f24db73394c3bf8de778dad049777c3455c34a4ef0730
set -euo pipefail
install="python -m pip install --no-deps --require-hashes --requirement"
$install envs/torch.lock
if grep -q '^cuda.*= .[0-9]' "$CONDA_PREFIX"/lib/python3*/site-packages/torch/version.py; then
    $install envs/cuda.lock
fi
# by which the records of jobs name the lock
python -m ldae.provenance.environment envs/torch.lock > "$CONDA_PREFIX/ready"
