"""Semantic encoders by the setting ``encoder.backbone``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ldae.networks.semantic_encoder import SemanticEncoder
from ldae.networks.volume_encoder import VolumeEncoder
from ldae.networks.weights import freeze, read_weights, save_weights

BACKBONES: dict[str, type[SemanticEncoder] | type[VolumeEncoder]] = {
    "slices": SemanticEncoder,
    "volume": VolumeEncoder,
}
"""Encoder for each value of ``encoder.backbone``; the first is the encoder of the paper."""

PREFIX = "encoder."
"""Begins the names of an encoder's weights inside a saved model."""


def encoder_architecture(
    settings: Mapping[str, Any], shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Arguments of :func:`make_encoder`, from config section ``encoder`` and the grid (H, W, D)."""
    names = ["backbone", "dim_y"]
    if settings["backbone"] == "volume":
        names += ["window", "stride", "n_bins", "channels"]
        own: dict[str, Any] = {"shape": list(shape)}
    else:
        names += ["slab", "depths", "widths", "patch_size", "n_heads"]
        relative = settings["z_score_input"]
        own = {"n_slices": shape[2], "standard_shape": list(shape) if relative else None}
    return {name: settings[name] for name in names} | own


def make_encoder(architecture: Mapping[str, Any]) -> SemanticEncoder | VolumeEncoder:
    """New encoder with an architecture from :func:`encoder_architecture`."""
    arguments = {name: value for name, value in architecture.items() if name != "backbone"}
    return BACKBONES[architecture["backbone"]](**arguments)


def save_encoder(
    path: Path, encoder: SemanticEncoder | VolumeEncoder, architecture: Mapping[str, Any]
) -> None:
    """Write a semantic encoder alone, for :func:`load_encoder`."""
    state = {f"{PREFIX}{name}": value for name, value in encoder.state_dict().items()}
    save_weights(path, state, {"encoder": dict(architecture)})


def load_encoder(path: Path, device: torch.device) -> SemanticEncoder | VolumeEncoder:
    """Semantic encoder of any saved model that has one, frozen, in eval mode, on `device`."""
    state, architecture = read_weights(path)
    encoder = make_encoder(architecture["encoder"])
    encoder.load_state_dict(
        {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    )
    freeze(encoder)
    return encoder.to(device)
