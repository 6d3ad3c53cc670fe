"""Networks and methods of one study: those of this package, of plugins, and ablations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

from ldae.errors import InputError
from ldae.methods.collection import Methods
from ldae.methods.kinds import Look, Method, Network, Role
from ldae.methods.registry import METHODS, NETWORKS
from ldae.references import import_named

PLUGIN_GROUP = "ldae.methods"
"""Entry point group of packages that bring methods of their own."""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """A network as the study trains it, or as an ablation changes it.

    Attributes
    ----------
    name
        Its folder under the results.
    network
        What is trained.
    change
        Changed settings by section; empty for the study's own.
    stands_on
        The variant whose weights it needs.
    """

    name: str
    network: Network
    change: Mapping[str, Mapping[str, Any]]
    stands_on: str | None

    def settings(self, config: Settings) -> dict[str, dict[str, Any]]:
        """The sections that its training reads, with its changes."""
        return {s: {**config[s], **self.change.get(s, {})} for s in self.network.sections}


def study_networks(config: Settings) -> dict[str, Network]:
    """Networks that a study can train by name: those of this package and of its plugins."""
    found: dict[str, Network] = {}
    for network in (*NETWORKS, *(n for p in plugins(config) for n in p.networks)):
        if network.name in found:
            raise InputError(f"network {network.name}", "the name is taken", "Choose another")
        found[network.name] = network
    return found


def unwanted_networks(config: Settings) -> set[str]:
    """Optional networks that a study neither asks for, nor follows, nor ablates.

    Parameters
    ----------
    config
        Complete settings of the study.

    Raises
    ------
    InputError
        If ``variants`` names what is no optional network.
    """
    optional = {name for name, network in study_networks(config).items() if network.optional}
    wanted = set(config.get("variants", ()))
    followed = set(config.get("curves", {}).get("networks", ()))
    if unknown := sorted(wanted - optional):
        raise InputError(
            "variants",
            f"{unknown[0]} is no variant",
            f"Choose among {', '.join(sorted(optional))}",
        )
    ablated = {ablation["network"] for ablation in config["ablations"].values()}
    return optional - wanted - followed - ablated


def study_variants(config: Settings) -> dict[str, Variant]:
    """Every network of a study as it is trained, ablations among them, by name.

    An ablation that changes what its network stands on gets a network of its own to stand on.

    Parameters
    ----------
    config
        Complete settings of the study.
    """
    networks = study_networks(config)
    unwanted = unwanted_networks(config)
    trained = [network for name, network in networks.items() if name not in unwanted]
    variants = {n.name: Variant(n.name, n, {}, n.stands_on) for n in trained}
    for name, ablation in config["ablations"].items():
        network, change = networks[ablation["network"]], ablation["change"]
        below = network.stands_on
        if below is not None and set(change) & set(networks[below].changeable):
            own = f"{below}_of_{name}"
            variants[own] = Variant(own, networks[below], change, networks[below].stands_on)
            below = own
        variants[name] = Variant(name, network, change, below)
    return variants


def study_methods(config: Settings) -> Methods:
    """Every method of a study: those of this package and its plugins, harmonised ones, ablations.

    Parameters
    ----------
    config
        Complete settings of the study.
    """
    known = Methods([*METHODS, *(m for p in plugins(config) for m in p.methods)])
    ablations = [
        replace(
            _ablation(name, known[ablation["network"]], i, ablation.get("label")),
            change=describe_change(config, name),
        )
        for i, (name, ablation) in enumerate(config["ablations"].items())
    ]
    unwanted = unwanted_networks(config)
    own = [m for m in known.values() if m.network not in unwanted]
    harmonised = [
        _harmonised(method, by)
        for by in config.get("probes", {}).get("harmonise", ())
        for method in own
        if method.codes is not None and method.role is not Role.TRUTH
    ]
    return Methods([*own, *harmonised, *ablations])


HARMONISERS = {"combat": "ComBat"}
"""What readers call each way to take the effects of sites out of codes."""


def _harmonised(base: Method, by: str) -> Method:
    """The method whose codes are those of another one without the effects of sites."""
    look = replace(base.look, label=f"{base.look.label}, {HARMONISERS[by]}")
    return Method(
        f"{base.name}_{by}", Role.HARMONISED, look,
        codes=base.codes, harmonises=base.name, needs=base.needs,
    )  # fmt: skip


ABLATION_MARKERS = ("<", ">", "h", "H", "8", "*")


def _ablation(name: str, base: Method, number: int, label: str | None) -> Method:
    """The method of an ablation: codes of a changed network, otherwise its base."""
    words = name.removeprefix(f"{base.name}_").replace("_", " ")
    marker = ABLATION_MARKERS[number % len(ABLATION_MARKERS)]
    look = Look(label or f"{base.look.label}, {words}", base.look.color, marker)
    return replace(
        base,
        name=name,
        look=look,
        evaluations=(),
        edit=None,
        network=name,
        ablation_of=base.name,
        start=None,
    )


def describe_change(config: Settings, ablation: str) -> str:
    """What an ablation changes, as ``encoder.dim_y 96 → 16; …``."""
    return "; ".join(
        f"{section}.{key} {json.dumps(config[section][key])} → {json.dumps(value)}"
        for section, values in config["ablations"][ablation]["change"].items()
        for key, value in values.items()
    )


@dataclass(frozen=True)
class Plugin:
    """Methods and networks of one's own, from outside this package."""

    methods: tuple[Method, ...]
    networks: tuple[Network, ...]


def plugins(config: Settings) -> list[Plugin]:
    """What the entry points and the setting ``plugins`` bring.

    Parameters
    ----------
    config
        Complete settings; ``plugins`` names modules (``mylab.methods``) or files (``mine.py``).

    Raises
    ------
    InputError
        If a module cannot be imported.
    """
    modules = [point.load() for point in entry_points(group=PLUGIN_GROUP)]
    modules += [import_named(name) for name in config.get("plugins", ())]
    return [
        Plugin(tuple(getattr(m, "METHODS", ())), tuple(getattr(m, "NETWORKS", ()))) for m in modules
    ]
