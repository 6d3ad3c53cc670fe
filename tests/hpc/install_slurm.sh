#!/bin/sh
# Install Debian's SLURM where it is missing, as root, without starting it.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
packages="munge slurmctld slurmd slurm-client"
# shellcheck disable=SC2086
if dpkg -s $packages > /dev/null 2>&1; then exit 0; fi
[ "$(id -u)" = 0 ] || { echo "SLURM is missing, and installing it needs root" >&2; exit 1; }
apt="apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3"
$apt update
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $packages > /dev/null
