#!/bin/sh
# Inside an image, while it is built: install the lock's packages into /opt/ldae and set its variables.
#
#   install.sh auto|cpu|cuda|cuda12
#
# is the build of torch; auto is the CPU build where pip can find it, cuda12 is for older drivers.
set -eu
cd /opt/install
if [ -f /hostpip/settings/pip.conf ]; then
    export PIP_CONFIG_FILE=/hostpip/settings/pip.conf
    [ ! -f /hostpip/settings/ca.crt ] || export PIP_CERT=/hostpip/settings/ca.crt
fi
python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "the base needs Python 3.11")'
command -v git > /dev/null || { echo "the base needs git" >&2; exit 1; }
python3 -m venv /opt/ldae
install="/opt/ldae/bin/python -m pip install --disable-pip-version-check --no-cache-dir --no-deps \
    --require-hashes --requirement"

case $1 in
    auto) $install torch-cpu.lock || true ;;
    cpu) $install torch-cpu.lock ;;
esac
$install packages.lock
[ "$1" != cuda12 ] || $install cuda12.lock
version=/opt/ldae/lib/python3.11/site-packages/torch/version.py
if grep -q '^cuda.*= .[0-9]' $version; then
    [ "$1" = cuda12 ] || $install cuda.lock
    # by which NCCL uses InfiniBand between nodes
    if ! ldconfig -p | grep -q libibverbs.so.1; then
        { apt-get update && apt-get install --yes --no-install-recommends libibverbs1 \
            ibverbs-providers; } || echo "without libibverbs, NCCL uses TCP between nodes" >&2
        rm -rf /var/lib/apt/lists/*
    fi
elif [ "$1" = cuda ]; then
    echo "pip found a CPU build of torch where a CUDA build is wanted" >&2
    exit 1
fi

# The home folder of a job is its working folder: caches of programs go elsewhere.
cat >> "$APPTAINER_ENVIRONMENT" << 'EOF'
export PATH=/opt/ldae/bin:$PATH LC_ALL=C.UTF-8
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
export XDG_CACHE_HOME=/tmp/ldae-cache-$(id -u) XDG_CONFIG_HOME=/tmp/ldae-cache-$(id -u)
export CUDA_CACHE_PATH=/tmp/ldae-cache-$(id -u)/cuda
EOF
