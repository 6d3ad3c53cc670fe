"""Trained models by the methods that use them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ldae.diffusion.schedule import NoiseSchedule
from ldae.methods import Methods
from ldae.models.base import DiffusionAutoencoder
from ldae.references import resolve


def load_models(
    methods: Methods,
    loaders: Mapping[str, str],
    files: Mapping[str, Any],
    diffusion: Mapping[str, Any],
    shape: tuple[int, int, int],
    device: torch.device,
) -> dict[str, DiffusionAutoencoder]:
    """The trained model of every method, in their order.

    Methods with one network share its weights and differ in their sampler.

    Parameters
    ----------
    methods
        Methods that diffuse (:meth:`ldae.methods.Methods.models`).
    loaders
        ``module:function`` that loads each network (:attr:`ldae.methods.Network.model`).
    files
        File of each network, of what it stands on, and in latent space those of ``autoencoder`` and
        ``scale``; other names are passed over.
    diffusion
        Config section ``diffusion``.
    shape
        Grid (H, W, D) of the scans.
    device
        Where the networks are put.
    """
    schedule = NoiseSchedule(**diffusion).to(device)
    paths = {name: Path(path) for name, path in files.items() if isinstance(path, str)}
    networks = dict.fromkeys(method.network for method in methods.values() if method.network)
    loaded = {name: resolve(loaders[name])(paths, schedule, shape, device) for name in networks}
    models: dict[str, DiffusionAutoencoder] = {}
    for name, method in methods.items():
        if method.network is None or method.sampler is None:
            raise ValueError(f"{name} is no trained model")
        models[name] = model = copy.copy(loaded[method.network])
        model.sampler = resolve(method.sampler)
    return models
