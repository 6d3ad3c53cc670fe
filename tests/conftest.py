"""Helpers for tests that run the workflow."""

import gc
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from filelock import FileLock
from python_server import CLIENT
from tiny_study import TinyStudy

from ldae.methods import NETWORKS

# A GPU rounds differently from the processor on which reference results were computed.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Toy arrays are too small to share. Where two processes of tests have two threads each on two
# cores, threads that wait for each other take several times the processor time of the work.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ROOT = Path(__file__).resolve().parents[1]
PARTS = ["ldae", "rules", "scripts", "schemas", "envs", "profiles", "resources", "studies",
         "containers"]  # fmt: skip
# Container images are large, and build products belong to the original folder.
BUILT = ("__pycache__", "*.sif", "*.log", "digests.tsv")

# Two processes of tests take one file after the other, these first, so that both end together. The
# first one makes the micro study, which the last ones need: they would only wait for it.
FIRST_FILES = ("test_micro.py", "test_fruits.py", "test_interruption.py", "test_plan.py",
               "test_batches.py", "test_code_digest.py", "test_file_cases.py",
               "test_preprocessing_pipeline.py",
               "test_commands.py", "test_manipulation.py", "test_effects.py", "test_training.py",
               "test_transfer.py", "test_interpolation.py", "test_stand_ins.py", "test_audit.py",
               "test_replay.py")  # fmt: skip

# Training of networks that the micro study does not name.
BRIEF = {"batch_size": 4, "n_steps": 4, "n_validations": 2}


def pytest_configure(config: pytest.Config) -> None:
    """Hide a SLURM of this machine from tests that are not of SLURM.

    Snakemake's plugin asks its controller at every start, and waits for nine seconds if it is down.
    """
    if config.option.markexpr != "hpc":
        os.environ["SLURM_CONF"] = os.devnull


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep Python from looking for garbage among modules and tests, which stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first that take longest."""
    place = {name: number for number, name in enumerate(FIRST_FILES)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def micro_settings() -> str:
    """Settings of the micro study; networks that it does not name are trained as shortly."""
    text = (ROOT / "tests/workflow/micro.yaml").read_text(encoding="utf-8")
    others = sorted(
        {network.name for network in NETWORKS if network.look} - set(yaml.safe_load(text))
    )
    return text + "".join(f"{name}: {json.dumps(BRIEF)}\n" for name in others)


def copy_workflow(folder: Path) -> Path:
    """Copy the workflow without results into a folder, to be run and changed."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(*BUILT))
    for name in ("Snakefile", "config.yaml", "CITATION.cff"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "micro.yaml").write_text(micro_settings(), encoding="utf-8")
    (folder / "slurm").symlink_to("profiles/slurm")
    return folder


@cache
def _snakemake_server() -> subprocess.Popen[str]:
    """The process that runs Snakemake for this one; it ends with the end of its input."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "snakemake_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def _prepared_python() -> Iterator[Path]:
    """An interpreter whose programs find their libraries imported."""
    with TemporaryDirectory() as place, socket.socket(socket.AF_UNIX) as listener:
        address, client = Path(place) / "socket", Path(place) / "python"
        client.write_text(CLIENT.format(python=sys.executable, address=str(address)))
        client.chmod(0o700)
        listener.bind(str(address))
        listener.listen()
        command = [sys.executable, str(ROOT / "tests" / "python_server.py"), str(listener.fileno())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]):
            listener.close()  # if the server fails, its clients are to fail too
            yield client


def run_snakemake(
    folder: Path, *arguments: str, umask: int = 0o022, prepared: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` in a copy of the workflow, on two cores.

    `prepared` has its many scripts find their libraries imported.
    """
    if prepared:
        with _prepared_python() as python:
            return _run_snakemake(folder, arguments, umask, str(python))
    return _run_snakemake(folder, arguments, umask, sys.executable)


def _run_snakemake(
    folder: Path, arguments: Sequence[str], umask: int, python: str
) -> subprocess.CompletedProcess[str]:
    command = ["--cores", "2", *arguments]
    server = _snakemake_server()
    with TemporaryDirectory() as place:
        shown = {name: str(Path(place) / name) for name in ("stdout", "stderr")}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        request: dict[str, Any] = {"folder": str(folder), "arguments": command}
        request["environment"] = environment
        request |= {"python": python, "umask": umask}
        assert server.stdin is not None and server.stdout is not None
        print(json.dumps(request | shown), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        texts = [Path(file).read_text(encoding="utf-8") for file in shown.values()]
    return subprocess.CompletedProcess(command, status, *texts)


def commit_workflow(folder: Path) -> None:
    """Turn the copy into a git clone with one commit, which its jobs then record."""
    ignored = ["results/", ".snakemake/", "__pycache__/", "*.txt", "*.yaml.orig"]
    (folder / ".gitignore").write_text("\n".join(ignored) + "\n")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "Workflow")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


# Starting Python takes longer than the jobs of the micro study: run two at a time, one thread each.
RULES = sorted(
    name
    for path in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^(?:use rule \w+ as|rule) (\w+)", path.read_text(), re.MULTILINE)
)
MICRO = ("--configfile", "micro.yaml", "--set-threads", *[f"{rule}=1" for rule in RULES], "--")


@pytest.fixture(scope="session")
def untouched_study(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Clone of the workflow with the results of the micro study; it must not be changed."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # shared by all processes of this test run
        shared = shared.parent
    folder, notes = shared / "micro", shared / "micro.txt"
    with FileLock(shared / "micro.lock"):
        if not notes.exists():
            assert not folder.exists(), "the micro study failed in another process"
            folder.mkdir()
            commit_workflow(copy_workflow(folder))
            # as in a clone that a group shares
            done = run_snakemake(folder, *MICRO, umask=0o002, prepared=True)
            assert done.returncode == 0, done.stderr[-4000:]
            notes.write_text(done.stderr)
    return folder


@pytest.fixture(scope="session")
def micro_study(untouched_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the micro study with Snakemake's metadata, for tests that change it."""
    folder = tmp_path_factory.mktemp("changed") / "study"
    locks = shutil.ignore_patterns("locks")
    shutil.copytree(untouched_study, folder, symlinks=True, ignore=locks)
    shutil.copy(untouched_study.with_suffix(".txt"), folder / "stderr.txt")
    return folder


@pytest.fixture(scope="session")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the workflow for dry runs."""
    return copy_workflow(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="session")
def public_study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """Records and files of a study with public labels; it must not be changed."""
    return TinyStudy(tmp_path_factory.mktemp("public"), public=True)


@pytest.fixture(scope="session")
def restricted_study(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    """Records and files of a study with pseudonyms; it must not be changed."""
    return TinyStudy(tmp_path_factory.mktemp("restricted"), public=False)
