"""Trained models by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ldae.diffusion.sampler import MULTISTEP
from ldae.diffusion.schedule import NoiseSchedule
from ldae.models.base import DiffusionAutoencoder
from ldae.models.joint import load_joint
from ldae.models.ldae import load_ldae, load_prior
from ldae.models.voxel_dae import load_voxel_dae

MULTISTEP_SUFFIX = "_multistep"
"""Names that end so are another model's networks, sampled to second order."""


def load_models(
    names: Iterable[str],
    files: Mapping[str, str],
    diffusion: dict[str, Any],
    shape: tuple[int, int, int],
    device: torch.device,
) -> dict[str, DiffusionAutoencoder]:
    """Trained models by name.

    Parameters
    ----------
    names
        Among ``ldae``, ``ldae_joint``, ``prior`` and ``voxel_dae``, and ``ldae_multistep`` and
        ``voxel_dae_multistep``: the same networks, sampled to second order.
    files
        File of each network, and in latent space those of ``autoencoder`` and ``scale``; ``ldae``
        needs ``prior`` too.
    diffusion
        Config section ``diffusion``.
    shape
        Grid (H, W, D) of the scans.
    device
        Where the networks are put.
    """
    schedule = NoiseSchedule(**diffusion).to(device)
    paths = {name: Path(path) for name, path in files.items() if isinstance(path, str)}
    loaded: dict[str, DiffusionAutoencoder] = {}
    models = {}
    for name in names:
        network = name.removesuffix(MULTISTEP_SUFFIX)
        if network not in loaded:
            loaded[network] = _LOADERS[network](paths, schedule, shape, device)
        models[name] = model = copy.copy(loaded[network])  # both samplers share the networks
        if name != network:
            model.name, model.sampler = name, MULTISTEP
    return models


_LOADERS: dict[str, Callable[..., DiffusionAutoencoder]] = {
    "ldae": load_ldae,
    "ldae_joint": load_joint,
    "prior": load_prior,
    "voxel_dae": load_voxel_dae,
}
