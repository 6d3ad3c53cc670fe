"""In a container or conda environment, only what it holds.

Snakemake appends the folders of its own packages to the path of a script, also inside a container:
a package that the image lacks would silently come from the host. Importing :mod:`ldae` inside a
script takes these folders off the path again, and forgets what was loaded from them, so that the
job fails instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ldae.paths import IS_CLONE, SOURCE


def keep_to_environment() -> None:
    """Take host folders off ``sys.path`` and forget modules loaded from them.

    Does nothing outside a script of Snakemake, a container or a conda environment.
    """
    if "snakemake" not in vars(sys.modules["__main__"]) or not _in_environment():
        return
    places = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix)}
    sys.path[:] = [entry for entry in sys.path if _belongs(entry, places)]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = name.partition(".")[0] == __package__ or name == "__main__"
        if file and not ours and not _belongs(file, places):
            del sys.modules[name]


def _in_environment() -> bool:
    """Whether this process runs in a container or in a conda environment."""
    container = "APPTAINER_CONTAINER" in os.environ or "SINGULARITY_CONTAINER" in os.environ
    return container or (Path(sys.prefix) / "conda-meta").is_dir()


def _belongs(entry: str, places: set[Path]) -> bool:
    """Whether a folder or file is the repository's own or lies in the environment."""
    path = Path(entry or ".").resolve()
    ours = IS_CLONE and path == SOURCE
    return ours or any(path.is_relative_to(place) for place in places)
