"""Checks of the ablations: their names, what they may change, and that they change something."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ldae.errors import InputError
from ldae.methods import Network, study_methods, study_networks
from ldae.workflow.settings.checks import Fault

Config = dict[str, Any]

FOLDERS = (
    "benchmarks", "checkpoints", "codes", "cohort", "crate", "examples", "figures", "latents",
    "logs", "manifest", "methods", "preprocessed", "probes", "provenance", "qc", "records",
    "scores", "split", "tables", "truth", "volumes",
)  # fmt: skip
"""Folders of the results, beside which the folder of an ablation lies."""


def find_ablation_faults(config: Config, check: Callable[[Config], object]) -> Iterator[Fault]:
    """What is wrong with the ablations of a study whose other settings are valid.

    Parameters
    ----------
    config
        Complete settings.
    check
        Raises :class:`InputError` where settings are not valid; each ablation's are tried.
    """
    networks = study_networks(config)
    taken = {*networks, *study_methods({**config, "ablations": {}})}
    for name, ablation in config["ablations"].items():
        path = ("ablations", name)
        yield from _name_faults(name, taken, networks)
        network = networks.get(ablation["network"])
        if network is None or network.encoder is None:
            coded = [n.name for n in networks.values() if n.encoder is not None]
            near = difflib.get_close_matches(ablation["network"], coded, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(coded)}"
            problem = f"there is no network {ablation['network']} with a semantic code"
            yield Fault((*path, "network"), problem, remedy)
            continue
        yield from _change_faults(name, ablation["change"], network, networks, config, check)


def _name_faults(name: str, taken: set[str], networks: Mapping[str, Network]) -> Iterator[Fault]:
    """A name that a method, a network or a folder of the results has."""
    of_variant = any(name.startswith(f"{network}_of_") for network in networks)
    if name in taken or name in FOLDERS or of_variant:
        yield Fault(("ablations", name), "the name is taken", "Choose another")


def _change_faults(
    name: str,
    change: Mapping[str, Mapping[str, Any]],
    network: Network,
    networks: Mapping[str, Network],
    config: Config,
    check: Callable[[Config], object],
) -> Iterator[Fault]:
    """Changed sections that are not the network's, and changed settings that are not valid."""
    path = ("ablations", name, "change")
    below = [] if network.stands_on is None else list(networks[network.stands_on].changeable)
    allowed = list(dict.fromkeys([*network.changeable, *below]))
    for section in change:
        if section not in allowed:
            yield Fault(
                (*path, section),
                f"{network.name} is not trained with {section}",
                f"Change one of {', '.join(allowed)}",
            )
            return
    changed = {section: {**config[section], **values} for section, values in change.items()}
    if all(config[section] == settings for section, settings in changed.items()):
        yield Fault(path, "it changes nothing", "Give another value, or take it out")
    try:
        check({**config, **changed, "ablations": {}})
    except InputError as error:
        yield Fault(path, error.problem, error.remedy)
