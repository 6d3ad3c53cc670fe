"""Fixtures of the tests on a cluster: Apptainer, images, SLURM, and copies of the workflow.

Everything is real and set up on this machine, which requires root and Debian's packages. Nothing is
installed or started before a test needs it. ``LDAE_HPC_KEEP=1`` keeps the folder for inspection.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster import Cluster, run
from conftest import ROOT, RULES, copy_workflow

HERE = Path(__file__).resolve().parent
# Outside /tmp, which every container sees, so that folders that are not mounted are invisible.
PLACE = Path("/srv")
# Profile of the site. Starting Python takes longer than the jobs of the micro study, so each job
# gets one thread.
SITE = {
    "default-resources": {"slurm_partition": "cpu", "mem_mb": 1000, "runtime": 10},
    "slurm-status-command": "squeue",  # there is no accounting database
    "slurm-init-seconds-before-status-checks": 3,
    "slurm-keep-successful-logs": True,
    "latency-wait": 10,
    "set-threads": {rule: 1 for rule in RULES},
}


def what_is_missing() -> str:
    """Reason why these tests cannot run here; empty if they can."""
    if os.geteuid() != 0:
        return "they require root"
    if shutil.which("apt-get") is None:
        return "they require apt-get"
    return ""


@pytest.fixture(scope="session")
def images() -> Path:
    """Folder of the repository's images, built with the CPU build of torch."""
    run(str(HERE / "install_apptainer.sh"), timeout=900)
    wanted = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
    mirrors = run(*wanted, "Created-By: Packages", "Label: Debian").stdout.split()
    build = (sys.executable, str(ROOT / "containers/build.py"), "--torch", "cpu")
    run(*build, "--base", "debootstrap", "--mirror", mirrors[0], timeout=1800)
    return ROOT / "containers"


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """Folder for the cluster and the workflows."""
    folder = Path(tempfile.mkdtemp(prefix="ldae-hpc-", dir=PLACE))
    folder.chmod(0o755)
    yield folder
    if "LDAE_HPC_KEEP" not in os.environ:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def cluster(place: Path) -> Iterator[Cluster]:
    """SLURM cluster of one node that declares four processors and two GPUs."""
    cluster = Cluster(place / "slurm", cpus=4, gpus=2, memory=500_000)
    cluster.start()
    yield cluster
    cluster.stop()


class Study:
    """A copy of the workflow, a git repository of its own, with the micro study.

    Parameters
    ----------
    folder
        Folder to create.
    images
        Folder with the images.
    """

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        copy_workflow(folder)
        # The table is copied because a job does not see the targets of links outside this folder.
        shutil.copy2(images / "digests.tsv", folder / "containers")
        for path in images.glob("*.sif"):
            (folder / "containers" / path.name).symlink_to(path)
        with (folder / "micro.yaml").open("a") as file:  # its GPUs are files: torch sees none
            file.write("\ngpu: {required: false}\n")
        (folder / "site").mkdir()
        (folder / "site/profile.v9+.yaml").write_text(yaml.safe_dump(SITE))
        (folder / ".gitignore").write_text("/results/\n/.snakemake/\n*.sif\ndigests.tsv\n*.log\n")
        git = ("git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@test")
        run(*git, "init", "--quiet")
        run(*git, "add", "--all")
        run(*git, "commit", "--quiet", "--message", "A copy to test with")
        self.commit = run(*git, "rev-parse", "HEAD").stdout.strip()

    @property
    def results(self) -> Path:
        """Results of the micro study."""
        return self.folder / "results/micro"

    def command(self, *arguments: str, cluster: bool = True) -> list[str]:
        """``snakemake`` on the cluster in containers, or on this machine without any."""
        threads = [f"{rule}=1" for rule in RULES]
        how = (
            ["--profile", "slurm", "--profile", "site"]
            if cluster
            else ["--cores", "2", "--set-threads"]
        )
        command = [sys.executable, "-m", "snakemake", *how, *([] if cluster else threads)]
        return [*command, "--configfile", "micro.yaml", *arguments]

    def run(self, *arguments: str, cluster: bool = True, timeout: float = 1500) -> str:
        """Run ``snakemake`` to its end and return its output.

        Raises
        ------
        RuntimeError
            If it fails.
        """
        process = self.start(*arguments, cluster=cluster)
        return self.end(process, timeout)

    def start(self, *arguments: str, cluster: bool = True) -> subprocess.Popen[str]:
        """Start ``snakemake``."""
        # Containers do not see the host's choice of BLAS kernels, each of which rounds differently.
        hidden = ("PYTEST", "OPENBLAS_", "MKL_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        # background jobs of a shell ignore SIGINT, and their children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        path = f"{self.folder / 'bin'}:{environment['PATH']}"
        if not cluster:  # else every job waits for a controller that is not started yet
            environment["SLURM_CONF"] = os.devnull
        return subprocess.Popen(
            self.command(*arguments, cluster=cluster),
            cwd=self.folder,
            env=environment | {"LDAE_HOST_ONLY": "secret", "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], timeout: float = 1500, code: int = 0) -> str:
        """Wait for the end of a started ``snakemake`` and return its output."""
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            raise RuntimeError(f"snakemake did not end: {said[-6000:]}") from None
        if process.returncode != code:
            raise RuntimeError(f"snakemake ended with {process.returncode}: {said[-6000:]}")
        return said


def wait_until(what: str, condition: object, seconds: float = 120) -> None:
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.3)


@pytest.fixture(scope="session")
def local(place: Path, images: Path) -> Study:
    """The micro study, run on this machine without containers."""
    study = Study(place / "local", images)
    study.run(cluster=False)
    return study


@pytest.fixture(scope="session")
def on_cluster(place: Path, images: Path, cluster: Cluster) -> Study:
    """The micro study, run on the cluster in containers."""
    study = Study(place / "cluster", images)
    (study.folder / "said.txt").write_text(study.run(timeout=2400))
    return study
