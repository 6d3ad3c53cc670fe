"""Checks of the learning curves: networks that can be followed, and steps that they have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from ldae.methods import Methods, study_methods, study_variants
from ldae.methods.curves import snapshot_name
from ldae.workflow.settings.checks import Fault

Config = dict[str, Any]


def find_curve_faults(config: Config) -> Iterator[Fault]:
    """What is wrong with the learning curves of a study whose other settings are valid.

    Parameters
    ----------
    config
        Complete settings.
    """
    curves = config["curves"]
    if not curves["networks"]:
        return
    methods, variants = study_methods(config), study_variants(config)
    known = [name for name in variants if _diffuses(methods, name)]
    for place, network in enumerate(curves["networks"]):
        path = ("curves", "networks", place)
        if network not in known:
            near = difflib.get_close_matches(network, known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Use some of {', '.join(known)}"
            problem = f"{network} is no network with a semantic code that diffuses"
            yield Fault(path, problem, remedy)
        elif network in curves["networks"][:place]:
            yield Fault(path, f"{network} stands there twice", "Give every network once")
        else:
            yield from _step_faults(config, network)


def _diffuses(methods: Methods, name: str) -> bool:
    """Whether a network is the one of a method that diffuses with a semantic code."""
    if name not in methods:
        return False
    base = methods[methods[name].ablation_of or name]
    return base.codes is not None and base.sampler is not None


def _step_faults(config: Config, network: str) -> Iterator[Fault]:
    """Steps that the training of a followed network does not have, and names that are taken."""
    variant, path = study_variants(config)[network], ("curves", "steps")
    n_steps = variant.settings(config)[variant.network.name]["n_steps"]
    for step in config["curves"]["steps"]:
        # with a length in epochs the training says so, before its first step
        if n_steps is not None and step >= n_steps:
            problem = f"{step} is not before the last step of {network}, {n_steps}"
            yield Fault(path, problem, f"Take it out, or raise {variant.network.name}.n_steps")
        if snapshot_name(network, step) in study_variants(config):
            problem = f"{snapshot_name(network, step)} is the name of an ablation"
            yield Fault(path, problem, "Give the ablation another name")
