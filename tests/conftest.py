"""Helpers for tests that run the workflow."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["ldae", "rules", "scripts", "schemas", "envs", "profiles", "resources", "studies",
         "containers"]  # fmt: skip
# Images are large, and what is built belongs to the place where it was built.
BUILT = ("__pycache__", "*.sif", "*.log", "digests.tsv")

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def copy_workflow(folder: Path) -> Path:
    """Copy of the workflow without results, to run and to change."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(*BUILT))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "tests/workflow/micro.yaml", folder / "micro.yaml")
    (folder / "slurm").symlink_to("profiles/slurm")
    return folder


def run_snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`snakemake` in a copy of the workflow, on two cores."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Workflow in which nothing is run, for dry runs."""
    return copy_workflow(tmp_path_factory.mktemp("plan"))
