"""The package as pip installs it: its version, its requirements, and what the wheel carries."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from conftest import copy_workflow, run_snakemake
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import ldae
from ldae import paths

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BUILDER = ROOT / ".dev/bin/python"
CARRIED = "ldae/_workflow/"


def test_version_authors_and_changelog_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ldae.__version__
    release = Version(ldae.__version__).base_version
    headings = re.findall(r"^## \[(\S+)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == release
    (holder,) = re.findall(r"Copyright \(c\) \d+ (.*)", (ROOT / "LICENSE").read_text())
    names = [author["name"] for author in citation["authors"]]
    assert names == [holder] == [author["name"] for author in PROJECT["authors"]]


def requirements(*lists: list[str]) -> dict[str, Requirement]:
    """Requirements by the name of their package."""
    return {canonicalize_name(r.name): r for one in lists for r in map(Requirement, one)}


def test_requirements_admit_the_versions_that_the_tests_run_with() -> None:
    asked = requirements(PROJECT["dependencies"], *EXTRAS.values())
    assert asked.pop("ldae").extras == {"workflow"}, "development needs what the workflow needs"
    locked: dict[str, set[Version]] = {}
    for name in ("local", "cuda", "dev"):
        text = (ROOT / f"envs/{name}.lock").read_text()
        for package, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M):
            locked.setdefault(canonicalize_name(package), set()).add(Version(version))
    for name, requirement in asked.items():
        assert str(requirement.specifier).startswith(">="), requirement
        assert any(v in requirement.specifier for v in locked[name]), name


# Needed by what is imported, though no module here imports it.
INDIRECT = {
    "einops",  # attention of MONAI's networks
    "tensorboard",  # the logger of trainings
    "snakemake-executor-plugin-slurm",
    "snakemake-interface-logger-plugins",
    "torchvision",
}

# In the environment of the preprocessing alone (ldae/packages.py).
OF_A_STAGE = {"ants"}


def test_what_is_imported_is_required_and_nothing_else() -> None:
    asked = set(requirements(PROJECT["dependencies"], EXTRAS["workflow"], EXTRAS["gpu"]))
    providers = packages_distributions()
    imported = set()
    for path in (ROOT / "ldae").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for module in {name.partition(".")[0] for name in names} - {"ldae"} - OF_A_STAGE:
                if module not in sys.stdlib_module_names:
                    packages = set(map(canonicalize_name, providers.get(module, [module])))
                    assert packages & asked, f"{path.name} imports {module}"
                    imported |= packages
    assert asked - imported <= INDIRECT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be uploaded."""
    if not BUILDER.is_file():
        pytest.skip("hatchling is not installed; `make test` does it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [BUILDER, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("ldae-*-py3-none-any.whl")
    return path


def test_the_wheel_carries_the_workflow_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    folders = ("envs", "profiles", "resources", "rules", "schemas", "scripts", "studies")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("Snakefile", "config.yaml", "CITATION.cff")]
    expected = {CARRIED + path.relative_to(ROOT).as_posix() for path in files}
    package = [path for path in (ROOT / "ldae").rglob("*") if path.is_file()]
    expected |= {path.relative_to(ROOT).as_posix() for path in package}
    assert held == {name for name in expected if "__pycache__" not in name}
    assert f"version {ldae.__version__}" in wheel.name.replace("ldae-", "version ")


@pytest.mark.workflow
def test_the_installed_package_plans_a_study(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", site, wheel], check=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(work), "PYTHONPATH": str(site)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [site / "bin/ldae", *arguments],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert run("--version").stdout == f"ldae {ldae.__version__}\n"
    done = run("run", "--study", "coarse_latents", "-n")
    assert done.returncode == 0, done.stderr
    assert f"{site}/{CARRIED}studies/coarse_latents.yaml" in done.stderr
    assert "results/coarse_latents/report.html" in done.stdout
    done = run("run", "--software-deployment-method", "conda", "--cores", "1")
    assert done.returncode == 1 and "built from a clone of the repository" in done.stderr


def test_packages_of_a_cluster_module_do_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module"
    inside = Path(sys.prefix) / "lib"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(module), "", str(inside), "."]))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", [*sys.path, str(module), str(inside), str(Path.cwd())])
    paths.leave_python_path()
    assert os.environ["PYTHONPATH"] == str(paths.SOURCE)
    assert str(module) not in sys.path and str(inside) in sys.path


@pytest.mark.parametrize(
    ("is_clone", "is_installed", "stays"),
    [(True, False, False), (True, True, True), (False, True, False)],
)
def test_jobs_search_the_clone_first_only_where_another_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    is_clone: bool, is_installed: bool, stays: bool,
) -> None:  # fmt: skip
    """Each folder in front of the environment's costs a call of the file system per import."""
    if is_installed:
        (tmp_path / "ldae").mkdir()
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(paths, "IS_CLONE", is_clone)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "module"))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    paths.leave_python_path()
    assert os.environ.get("PYTHONPATH") == (str(paths.SOURCE) if stays else None)
    assert os.environ["PYTHONSAFEPATH"] == "1"


@pytest.mark.workflow
def test_jobs_of_a_clone_run_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a package of the same name is installed."""
    installed = tmp_path / "installed"
    (installed / "ldae").mkdir(parents=True)
    (installed / "ldae/__init__.py").write_text("raise ImportError('the installed one')\n")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    done = run_snakemake(copy_workflow(tmp_path / "clone"), "results/config.yaml")
    assert done.returncode == 0, done.stderr
