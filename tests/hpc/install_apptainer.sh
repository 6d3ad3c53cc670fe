#!/usr/bin/env bash
# Install Apptainer on a Debian machine that has no package of it (Debian 12), as root.
#
#   tests/hpc/install_apptainer.sh
#
# Debian carries Apptainer in sid only, built against a newer C library. The package is taken from
# there and gets that library as a private copy, so that nothing else on the machine changes and
# `apt-get purge apptainer` removes it all. Mirrors are those of the machine's own apt.
# Installs nothing if Apptainer is available already. Fails if it cannot be installed or cannot run a
# container; the last line of the output is the reason.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# Tests with an image of one program and its libraries, which needs loop devices, namespaces and its
# own network.
try_image() {
    local box
    box=$(mktemp -d)
    for file in /bin/true $(ldd /bin/true | grep -o '/[^ ]*'); do
        cp --parents --dereference "$file" "$box"
    done
    mksquashfs "$box" "$box.sqfs" -quiet -no-progress > /dev/null
    apptainer --silent exec --net --network none "$box.sqfs" /bin/true \
        || { echo "Apptainer cannot run containers on this machine" >&2; exit 1; }
    rm -rf "$box" "$box.sqfs"
}

if apptainer --version 2> /dev/null; then try_image; exit 0; fi
[ "$(id -u)" = 0 ] || { echo "Apptainer is missing, and installing it needs root" >&2; exit 1; }
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "only amd64 is supported" >&2; exit 1; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)

"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends \
    patchelf binutils debootstrap squashfs-tools fuse3 squashfuse uidmap fakeroot ca-certificates \
    > /dev/null
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || { echo "apt names no Debian mirror" >&2; exit 1; }

# --- both packages, through an apt state of their own ---------------------------------------------
mkdir -p "$folder"/{lists/partial,cache/archives/partial,packages}
chown -R _apt "$folder"/{lists,cache,packages}
for suite in sid trixie; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done > "$folder/sources.list"
own=(-o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
     -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
     -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" -o Acquire::Languages=none)
"${apt[@]}" "${own[@]}" update
(cd "$folder/packages" && "${apt[@]}" "${own[@]}" download apptainer/sid libc6/trixie)

# --- the C library beside the programs that need it -----------------------------------------------
tree=$folder/tree
dpkg-deb -R "$folder"/packages/apptainer_*.deb "$tree"
dpkg-deb -x "$folder"/packages/libc6_*.deb "$folder/libc"
private=/usr/lib/x86_64-linux-gnu/apptainer/glibc
mkdir -p "$tree$private"
find "$folder/libc" -type f \( -name 'ld-linux-x86-64.so.2' -o -name 'lib*.so.[0-9]*' \) \
    -exec install -m 755 -t "$tree$private" {} +
programs=("$tree/usr/bin/apptainer" "$tree/usr/lib/x86_64-linux-gnu/apptainer/bin/starter")
for program in "${programs[@]}"; do
    patchelf --set-interpreter "$private/ld-linux-x86-64.so.2" --set-rpath "$private" "$program"
done

# Root in a virtual machine or a container often lacks some capabilities. Apptainer requests all of
# them by default. Its configuration can change that for `exec` but not for `build`, which uses the
# built-in default; this is changed from "full" to "file", which reads a list.
permitted=$((16#$(awk '/^CapPrm/ {print $2}' /proc/self/status)))
last=$(cat /proc/sys/kernel/cap_last_cap)
lacks=$(((1 << (last + 1)) - 1 != permitted))
if [ "$lacks" = 1 ]; then
    for program in "${programs[@]}"; do
        sed -i 's/default:"full" authorized:"full,file,no"/default:"file" authorized:"full,file,no"/' \
            "$program"
    done
fi

sed -i -E -e 's/^(Version: .*)$/\1+private.glibc/' -e '/^(Static-)?Built-Using:/d' \
    -e '/^Depends:/s/libc6 \(>= [^)]*\)/libc6/' "$tree/DEBIAN/control"
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) \
    > "$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$tree" "$folder/apptainer.deb" > /dev/null
"${apt[@]}" install -y --allow-downgrades "$folder/apptainer.deb" > /dev/null

if [ "$lacks" = 1 ]; then
    # names in the order of their numbers, as capsh of libcap prints them
    python3 - "$permitted" > /etc/apptainer/capability.json << 'EOF'
import json
import sys

NAMES = """
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio
    sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time
    sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
    wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
""".split()
permitted = int(sys.argv[1])
mine = [f"CAP_{name.upper()}" for bit, name in enumerate(NAMES) if permitted >> bit & 1]
json.dump({"users": {"root": mine}, "groups": {}}, sys.stdout)
EOF
    apptainer config global --set "root default capabilities" file
fi
apptainer --version
try_image
