"""The semantic encoder that the settings ask for: made, shown the cohort, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ldae.networks.semantic_encoder import SemanticEncoder, load_imagenet_backbone
from ldae.networks.standard import adopt_standard, measure_standard
from ldae.networks.volume_encoder import VolumeEncoder, measure_volume_standard
from ldae.networks.weights import freeze, read_weights

if TYPE_CHECKING:
    from ldae.volumes import VolumeStore

BACKBONES: dict[str, type[SemanticEncoder] | type[VolumeEncoder]] = {
    "slices": SemanticEncoder,
    "volume": VolumeEncoder,
}
"""Encoder by the setting ``encoder.backbone``; the first is the paper's."""


def encoder_architecture(
    settings: Mapping[str, Any], shape: tuple[int, int, int]
) -> dict[str, Any]:
    """What :func:`make_encoder` needs, from config section ``encoder`` and the grid (H, W, D)."""
    names = ["backbone", "dim_y"]
    if settings["backbone"] == "volume":
        names += ["window", "stride", "n_bins", "channels"]
        own: dict[str, Any] = {"shape": list(shape)}
    else:
        names += ["slab", "depths", "widths", "patch_size", "n_heads"]
        relative = settings["relative_to_cohort"]
        own = {"n_slices": shape[2], "standard_shape": list(shape) if relative else None}
    return {name: settings[name] for name in names} | own


def make_encoder(architecture: Mapping[str, Any]) -> SemanticEncoder | VolumeEncoder:
    """A new encoder of an architecture by :func:`encoder_architecture`."""
    arguments = {name: value for name, value in architecture.items() if name != "backbone"}
    return BACKBONES[architecture["backbone"]](**arguments)


def show_cohort(encoder: SemanticEncoder | VolumeEncoder, store: VolumeStore) -> None:
    """Give a new encoder what it knows of the training people before training, in place."""
    if isinstance(encoder, VolumeEncoder):
        measure_volume_standard(encoder, store)
    elif encoder.standard is not None:
        adopt_standard(encoder, measure_standard(store))


def prepare_encoder(
    encoder: SemanticEncoder | VolumeEncoder, settings: Mapping[str, Any], store: VolumeStore
) -> None:
    """Give a new encoder what its training starts from: the cohort and ImageNet's weights.

    Parameters
    ----------
    encoder
        Made of the settings' architecture; changed in place.
    settings
        Config section ``encoder``.
    store
        The packed scans.
    """
    show_cohort(encoder, store)
    if settings["pretrained"] is not None and isinstance(encoder, SemanticEncoder):
        load_imagenet_backbone(encoder, Path(settings["pretrained"]))


def untrained_encoder(
    settings: Mapping[str, Any], store: VolumeStore, seed: int, device: torch.device
) -> SemanticEncoder | VolumeEncoder:
    """The semantic encoder as initialised from `seed`, frozen: the probes' floor.

    Parameters
    ----------
    settings
        Config section ``encoder``.
    store
        The packed scans.
    seed
        Of the initial weights.
    device
        Where to put it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(encoder_architecture(settings, store.shape))
    show_cohort(encoder, store)
    freeze(encoder)
    return encoder.to(device)


def load_encoder(path: Path, device: torch.device) -> SemanticEncoder | VolumeEncoder:
    """The semantic encoder inside any saved model that has one, frozen and in eval mode."""
    state, architecture = read_weights(path)
    encoder = make_encoder(architecture["encoder"])
    prefix = "encoder."
    encoder.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    freeze(encoder)
    return encoder.to(device)
