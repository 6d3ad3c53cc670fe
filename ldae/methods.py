"""Networks that a study trains once per training seed, and ablations of them.

A network that is added stands here, in its training rule and in a section of the settings;
everything that follows (paths, codes, probes, tables) takes it from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SECTIONS: dict[str, tuple[str, ...]] = {
    "prior": ("prior",),
    "ldae": ("ldae", "encoder", "prior"),
    "ldae_joint": ("ldae_joint",),
    "voxel_dae": ("voxel_dae", "encoder"),
    "supervised": ("supervised", "encoder"),
    "untrained": ("encoder",),
    "residual": ("residual",),
}
"""Each network that depends on the training seed, and the sections of the settings it reads."""

CODED = ("ldae", "ldae_joint", "voxel_dae", "supervised", "untrained")
"""Those that have a semantic code, in the order of the tables; an ablation is one of these."""

VOXEL_MODELS = ("voxel_dae", "voxel_dae_multistep")
"""Models in voxel space, by either sampler. Their steps cost many times more than others'."""

PRIOR_OF = "prior_of_"
"""Begins the name of a prior that only one ablation stands on."""

Settings = Mapping[str, Any]


def base_network(config: Settings, network: str) -> str:
    """The network that an ablation changes; any other network is its own.

    Parameters
    ----------
    config
        Complete settings of the study.
    network
        Name of a network or of an ablation.
    """
    return str(config["ablations"].get(network, {}).get("network", network))


def prior_of(config: Settings, network: str) -> str:
    """Name of the prior that a network stands on: its own where an ablation changes the prior."""
    return f"{PRIOR_OF}{network}" if "prior" in _change(config, network) else "prior"


def networks_like(config: Settings, network: str) -> tuple[str, ...]:
    """A network and its variants, all trained by one rule."""
    if network == "prior":
        return tuple(dict.fromkeys(["prior", *(prior_of(config, n) for n in config["ablations"])]))
    return (network, *(n for n in config["ablations"] if base_network(config, n) == network))


def changed_section(config: Settings, network: str, section: str) -> dict[str, Any]:
    """Settings of a section, as a network or an ablation of it has them.

    Parameters
    ----------
    config
        Complete settings of the study.
    network
        Name of a network, of an ablation, or of an ablation's prior (:func:`prior_of`).
    section
        Name of the section.
    """
    change = _change(config, network.removeprefix(PRIOR_OF))
    return {**config[section], **change.get(section, {})}


def describe_change(config: Settings, ablation: str) -> str:
    """What an ablation changes, as ``encoder.dim_y 96 → 16; …``."""
    return "; ".join(
        f"{section}.{key} {_spell(config[section][key])} → {_spell(value)}"
        for section, values in _change(config, ablation).items()
        for key, value in values.items()
    )


def _change(config: Settings, network: str) -> dict[str, dict[str, Any]]:
    return dict(config["ablations"].get(network, {}).get("change", {}))


def _spell(value: object) -> str:
    """A setting as it stands in a file of settings."""
    return json.dumps(value)
