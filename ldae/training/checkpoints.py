"""The checkpoints that trainings leave beside the results, seen from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

# Folder of a training's curves, beside its checkpoints.
CURVES = "tensorboard"
WEIGHTS = "model.safetensors"


def remove_checkpoints(results: Path) -> None:
    """Remove the checkpoints of every finished training of a study; the curves stay.

    For the end of a run in which all went well: until then a finished training's checkpoint is what
    is left of it should its job be killed before Snakemake has seen the result. A training whose
    weights are not there was interrupted in another run, and goes on from its checkpoint.

    Parameters
    ----------
    results
        Folder of the study; ``checkpoints/ldae-seed-0`` belongs to ``ldae/seed-0/``.
    """
    for identity in results.glob("checkpoints/*/*/"):
        training = identity.parent.name.replace("-seed-", "/seed-")
        if identity.name != CURVES and (results / training / WEIGHTS).is_file():
            shutil.rmtree(identity)
