"""A model whose network is trained on, for some steps, on the training scans of another cohort."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ldae.data.exported import AUTOENCODER, SCALE
from ldae.data.volumes import VolumeStore
from ldae.deployment.model import Model
from ldae.errors import InputError

NETWORK = "ldae_anatomical"
"""The network that can be trained on: the recommended one."""

CHECKPOINT_MINUTES = 10.0


def check_fine_tuning(source: Model, n_steps: int) -> None:
    """Check that a model can be trained on.

    Raises
    ------
    InputError
        If its network is not the recommended one, or there are no steps.
    """
    if n_steps < 1:
        raise InputError("--fine-tune", f"{n_steps} is no number of steps", "Give for example 100")
    if source.artefact.network.name != NETWORK:
        problem = f"{source.method.name} cannot be trained on"
        raise InputError("--fine-tune", problem, f"Choose a method of the network {NETWORK}")


def fine_tune(
    source: Model,
    files: Mapping[str, Path],
    store: VolumeStore,
    settings: Mapping[str, Any],
    n_steps: int,
    folder: Path,
) -> tuple[Model, float]:
    """The model after some further steps on the training scans of another cohort, without labels.

    Its autoencoder, latent scale and probes stay as they are.

    Parameters
    ----------
    source
        The trained model.
    files
        ``volumes``, ``masks`` and ``index``: the packed scans of the other cohort.
    store
        The same scans, opened.
    settings
        Complete settings of the other cohort's study, for its seed and ``micro_batch``.
    n_steps
        Number of steps. All other settings of the training are those of the source.
    folder
        Where the weights are written; the model reads them there when it is first used.

    Returns
    -------
    The model, and the seconds that latents and training took.
    """
    from ldae.models.latents import encode_latents
    from ldae.networks.autoencoder import load_autoencoder
    from ldae.training.anatomical import train_ldae_anatomical
    from ldae.training.job import TrainingData, TrainingJob

    begun = time.perf_counter()
    artefact = source.artefact
    latents = {"mu": folder / "mu.npy", "sigma": folder / "sigma.npy"}
    autoencoder = load_autoencoder(artefact.files[AUTOENCODER], source.device)
    size = int(settings["evaluation"]["micro_batch"])
    encode_latents(autoencoder, store, size, source.device, latents["mu"], latents["sigma"])
    sections = artefact.variant.settings(source.config)
    sections[NETWORK] |= {"n_steps": n_steps, "n_epochs": None, "start": "pretrained"}
    weights = folder / "model.safetensors"
    train_ldae_anatomical(
        TrainingData(
            **files, **latents, scale=artefact.files[SCALE], pretrained=artefact.files[NETWORK]
        ),
        sections,
        TrainingJob(
            seed=int(settings["seed"]),
            model_path=weights,
            metrics_path=folder / "metrics.csv",
            work_dir=folder / "work",
            checkpoint_minutes=CHECKPOINT_MINUTES,
            code="",  # nothing is resumed
        ),
    )
    tuned = replace(artefact, files={**artefact.files, NETWORK: weights})
    return Model(tuned, source.device), time.perf_counter() - begun
