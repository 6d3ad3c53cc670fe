"""A real SLURM of one node on this machine, without systemd: munge, slurmctld, slurmd.

Started by hand on the loopback interface, as root, from Debian's packages. Processors and GPUs are
declared, not real: jobs may ask for a GPU and find none.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

INSTALL = Path(__file__).resolve().parent / "install_slurm.sh"
SETTINGS = Path("/etc/slurm")
MARK = "# test cluster in "  # the first line of our settings, and the folder

# squeue lists finished jobs for MinJobAge seconds, which replaces an accounting database. Requeuing
# is allowed in order to test pre-emption. Killed jobs get KillWait seconds between SIGTERM and
# SIGKILL.
SLURM_CONF = """\
# test cluster in {folder}
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
PropagateResourceLimits=NONE
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=1,bf_interval=1,sched_min_interval=0
MinJobAge=7200
KillWait=10
OverTimeLimit=0
JobRequeue=1
InactiveLimit=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=500
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} \
ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE DefaultTime=10:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE DefaultTime=10:00 State=UP
"""
CGROUP_CONF = "CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\nConstrainDevices=no\n"


class Cluster:
    """The cluster's daemons and its folder of settings, state and logs.

    Parameters
    ----------
    folder
        Folder of its settings, state and logs.
    cpus, gpus, memory
        Resources that the node declares; memory in MiB.
    """

    def __init__(self, folder: Path, cpus: int, gpus: int, memory: int) -> None:
        self.folder = folder
        self.cpus = cpus
        self.gpus = gpus
        self.memory = memory
        self.host = socket.gethostname().partition(".")[0]
        self._running: list[int] = []

    def start(self) -> None:
        """Start every daemon and wait until a job has run."""
        clear_away()
        if succeeds("scontrol", "ping"):
            raise RuntimeError("a SLURM controller runs on this machine already")
        run(str(INSTALL), timeout=900)
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._start_munge()
        self._write_settings()
        for daemon, ready in (("slurmctld", ("scontrol", "ping")), ("slurmd", None)):
            start_daemon(daemon, *(("-N", self.host) if daemon == "slurmd" else ()))
            pid_file = self.folder / f"{daemon}.pid"
            wait_for(daemon, lambda file=pid_file: file.is_file() and bool(file.read_text()))  # type: ignore[misc]
            self._running.append(int(pid_file.read_text()))
            if ready:
                wait_for(daemon, lambda command=ready: succeeds(*command))  # type: ignore[misc]
        wait_for("the node", self._node_is_up)
        run("srun", "--partition", "cpu", "--time", "1", "true", timeout=60)

    def stop(self) -> None:
        """Cancel every job, end the daemons and put the machine's settings back."""
        if self._running:
            run("scancel", "--user", "root", check=False)
            wait_for("the jobs' end", lambda: not run("squeue", "-h").stdout.strip(), seconds=40)
        for pid in reversed(self._running):
            end_process(pid)
        self._running.clear()
        restore_settings()

    def _start_munge(self) -> None:
        if succeeds("munge", "-n"):
            return
        key = Path("/etc/munge/munge.key")
        if not key.is_file():
            key.write_bytes(os.urandom(128))
        shutil.chown(key, "munge", "munge")
        key.chmod(0o400)
        for place in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
            Path(place).mkdir(mode=0o755, exist_ok=True)
            shutil.chown(place, "munge", "munge")
        user = ("--reuid=munge", "--regid=munge", "--init-groups", "--reset-env")
        start_daemon("setpriv", *user, "/usr/sbin/munged", "--force")
        wait_for("munged", lambda: succeeds("munge", "-n"))
        self._running.append(int(Path("/run/munge/munged.pid").read_text()))

    def _write_settings(self) -> None:
        hosts = Path("/etc/hosts")
        if self.host not in hosts.read_text().split():
            with hosts.open("a") as file:
                file.write(f"127.0.0.1 {self.host}\n")
        # slurmd counts a GPU only where a device file stands for it
        devices = [self.folder / f"gpu{number}" for number in range(self.gpus)]
        for device in devices:
            if not device.exists():
                os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
        texts = {
            "slurm.conf": SLURM_CONF.format(**vars(self)),
            "gres.conf": "".join(f"NodeName={self.host} Name=gpu File={d}\n" for d in devices),
            "cgroup.conf": CGROUP_CONF,
        }
        SETTINGS.mkdir(exist_ok=True)
        for name, text in texts.items():
            target = SETTINGS / name
            if target.exists():
                target.rename(SETTINGS / f"{name}.before-test")
            target.write_text(text)

    def _node_is_up(self) -> bool:
        state = run("sinfo", "--noheader", "--Node", "--format=%T", check=False).stdout.split()
        if state and all(s.strip("*") in ("idle", "mixed", "allocated") for s in state):
            return True
        if state:  # drained or lost before a restart, according to the saved state
            change = ("scontrol", "update", f"nodename={self.host}", "state=resume")
            run(*change, check=False)
        return False


def clear_away() -> None:
    """Remove what a killed test run has left on this machine."""
    settings = SETTINGS / "slurm.conf"
    first = settings.read_text().partition("\n")[0] if settings.is_file() else ""
    if not first.startswith(MARK):
        return
    for daemon in ("slurmd", "slurmctld"):
        pid_file = Path(first.removeprefix(MARK)) / f"{daemon}.pid"
        pid = pid_file.read_text().strip() if pid_file.is_file() else ""
        name = Path(f"/proc/{pid}/comm")
        if pid and name.is_file() and name.read_text().strip() == daemon:
            end_process(int(pid))
    restore_settings()


def restore_settings() -> None:
    """Put the machine's own SLURM settings back."""
    for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
        (SETTINGS / name).unlink(missing_ok=True)
        kept = SETTINGS / f"{name}.before-test"
        if kept.exists():
            kept.rename(SETTINGS / name)


def start_daemon(*command: str) -> None:
    """Start a program that goes to the background by itself."""
    nothing = subprocess.DEVNULL
    subprocess.run(
        command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, check=True
    )


def end_process(pid: int) -> None:
    """Ask a process to end and wait until it has."""
    os.kill(pid, signal.SIGTERM)
    wait_for(f"the end of process {pid}", lambda: not Path(f"/proc/{pid}").exists())


def run(
    *command: str, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command; if it fails, the error contains its output."""
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}")
    return done


def succeeds(*command: str) -> bool:
    """Whether a command exists and succeeds."""
    return shutil.which(command[0]) is not None and run(*command, check=False).returncode == 0


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `condition` holds.

    Raises
    ------
    TimeoutError
        If it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)
