"""The checkpoints that trainings leave beside the results, seen from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

# Folder of a training's curves, beside its checkpoints.
CURVES = "tensorboard"


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of every training below `folder`; the curves stay.

    For the end of a run in which all went well: until then a finished training's checkpoint is what
    is left of it should its job be killed before Snakemake has seen the result.
    """
    for identity in folder.glob("*/*/"):
        if identity.name != CURVES:
            shutil.rmtree(identity)
