"""Where the package and the workflow's files are: in a clone, or installed by pip."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from ldae.errors import InputError

PACKAGE = Path(__file__).resolve().parent
"""Folder of the package ``ldae``."""

SOURCE = PACKAGE.parent
"""Folder from which ``import ldae`` works: the clone, or ``site-packages``."""

CARRIED = PACKAGE / "_workflow"
"""Where a wheel carries Snakefile, rules, scripts, studies and so on (see pyproject.toml)."""

IS_CLONE = not CARRIED.is_dir()
"""Whether the package lies in a clone of the repository, and not where pip installed it."""

WORKFLOW = SOURCE if IS_CLONE else CARRIED
"""Folder of Snakefile, config.yaml, rules, scripts, studies, envs and profiles."""

RESOURCES = WORKFLOW / "resources"


def leave_python_path() -> None:
    """Let this process and those that it starts import nothing from PYTHONPATH but this package.

    Cluster modules put packages there that would take the place of the environment's. The package
    itself stays where another one is installed: Snakemake puts the workflow's folder behind
    ``site-packages`` on the path of a script, so that a script of a clone would run the code of the
    installed one. Elsewhere it is left out, as is the folder that Python puts first by itself:
    Python asks the file system for every folder on its path at every import.
    """
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own = [SOURCE, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    foreign = {os.path.abspath(entry) for entry in entries if not _lies_in(entry, own)}
    sys.path[:] = [
        entry for entry in sys.path if not entry or os.path.abspath(entry) not in foreign
    ]
    given = any(Path(entry).resolve() == SOURCE for entry in entries)
    if given or (IS_CLONE and _another_is_installed()):
        os.environ["PYTHONPATH"] = str(SOURCE)
    else:
        os.environ.pop("PYTHONPATH", None)
    os.environ["PYTHONSAFEPATH"] = "1"


def _another_is_installed() -> bool:
    """Whether the environment holds a package of this one's name."""
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return any((Path(place) / PACKAGE.name).is_dir() for place in places)


def _lies_in(entry: str, folders: Iterable[Path]) -> bool:
    return any(Path(entry).resolve().is_relative_to(folder) for folder in folders)


def require_clone(what: str) -> None:
    """Refuse what only a clone of the repository can do.

    Parameters
    ----------
    what
        Subject of the message, such as ``software-deployment-method``.

    Raises
    ------
    InputError
        If the package was installed by pip.
    """
    if not IS_CLONE:
        raise InputError(
            what,
            "container images and conda environments are built from a clone of the repository",
            "Run the workflow from a clone, or without a software deployment method",
        )
