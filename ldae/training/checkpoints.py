"""Files of trainings: weights after some steps, and the removal of checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

# Folder of the training curves, in the same folder as the checkpoints.
CURVES = "tensorboard"
WEIGHTS = "model.safetensors"


def snapshot_file(step: int) -> str:
    """Name of the weights after a step, in the folder of the model."""
    return f"step-{step}.safetensors"


def snapshot_step(path: Path) -> int:
    """Step of a file that :func:`snapshot_file` names."""
    return int(path.stem.removeprefix("step-"))


def remove_checkpoints(results: Path) -> None:
    """Remove the checkpoints of all finished trainings of a study, but not the training curves.

    Call this at the end of a successful run. Before that, checkpoints are needed: if a job is
    killed after the last step and before Snakemake has seen its result, only the checkpoint
    remains. A training without weights was interrupted and will resume from its checkpoint.

    Parameters
    ----------
    results
        Results folder; ``checkpoints/ldae-seed-0`` belongs to ``ldae/seed-0/``.
    """
    for identity in results.glob("checkpoints/*/*/"):
        training = identity.parent.name.replace("-seed-", "/seed-")
        if identity.name != CURVES and (results / training / WEIGHTS).is_file():
            shutil.rmtree(identity)
