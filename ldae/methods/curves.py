"""Networks whose training a study follows, and what each is after some steps.

A followed network leaves its weights after the steps that the section ``curves`` of the settings
names. Each of these snapshots is measured like a finished network, by a job of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ldae.methods.kinds import Method
from ldae.methods.study import Variant, study_methods, study_variants

MEASURED = ("reconstruction", "manipulation", "interpolation")
"""Evaluations of a snapshot, beside the probes of its code."""


@dataclass(frozen=True)
class Snapshot:
    """A followed network after some steps of its training.

    Attributes
    ----------
    name
        Name of its code; at the end of the training the network's own.
    step
        Number of steps; None at the end of the training.
    variant
        The followed network.
    method
        What is measured of it: the network's method, under the snapshot's name.
    """

    name: str
    step: int | None
    variant: Variant
    method: Method


def snapshot_name(network: str, step: int) -> str:
    """Name of a network after some steps of its training."""
    return f"{network}_at_{step}"


def study_snapshots(config: Mapping[str, Any]) -> dict[str, Snapshot]:
    """Snapshots of every followed network of a study by name, in the order of their steps.

    Parameters
    ----------
    config
        Complete settings of the study.
    """
    followed, steps = config["curves"]["networks"], sorted(config["curves"]["steps"])
    if not followed:
        return {}
    variants, methods = study_variants(config), study_methods(config)
    found: dict[str, Snapshot] = {}
    for network in followed:
        variant = variants[network]
        # an ablation is measured as the network that it changes
        base = methods[methods[network].ablation_of or network]
        evaluations = tuple(name for name in base.evaluations if name in MEASURED)
        for step in (*steps, None):
            name = network if step is None else snapshot_name(network, step)
            method = replace(base, name=name, evaluations=evaluations)
            found[name] = Snapshot(name, step, variant, method)
    return found
