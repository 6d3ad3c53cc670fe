"""Where the package and the workflow's files are: in a clone, or installed by pip."""

from __future__ import annotations

import os
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

SCHEMAS = WORKFLOW / "schemas"
RESOURCES = WORKFLOW / "resources"


def prefer_clone() -> None:
    """Let child processes of a clone import the clone's package, even if another is installed.

    Snakemake puts the workflow's folder behind ``site-packages`` on the path of a script: without
    this, a script of the clone would run the installed package's code.
    """
    if IS_CLONE:
        present = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        wanted = [str(SOURCE), *(entry for entry in present if entry not in ("", str(SOURCE)))]
        os.environ["PYTHONPATH"] = os.pathsep.join(wanted)


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
