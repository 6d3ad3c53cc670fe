"""The exported model whose weights a study's trainings start from (setting ``pretrained``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ldae.data.exported import AUTOENCODER, FROZEN, SCALE, SCRATCH, check_files, exported_files
from ldae.errors import InputError
from ldae.methods import Variant
from ldae.workflow.settings.networks import AveragedTraining, Continued

FREE = frozenset(AveragedTraining.model_fields) | frozenset(Continued.model_fields) | {
    "adversarial_start", "adversarial_weight", "anatomy_weight", "component_learning_rate",
    "discriminator_channels", "discriminator_layers", "discriminator_learning_rate",
    "discriminator_patch_size", "fill_in_whole_share", "kl_weight", "order_weight", "other_visit",
    "perceptual_weight", "perceptual_weights_file", "pretrained", "snr_gamma", "spectral_weight",
}  # fmt: skip
"""Settings of trainings, in which a network may differ from the one whose weights it starts from.

All others decide its sizes or what its input means.
"""

Settings = Mapping[str, Any]


def weights_of_network(config: Settings, variant: Variant) -> str | list[str]:
    """Weights that a network starts from; none if it starts from scratch.

    That is so, too, where the model has no such network.

    Parameters
    ----------
    config
        Complete settings of the study.
    variant
        The network as the study trains it, or an ablation of it.
    """
    return _file(config, variant.network.name, _own_section(variant, config))


def weights_of_autoencoder(config: Settings) -> str | list[str]:
    """Weights that the autoencoder starts from; none if it starts from scratch."""
    return _file(config, AUTOENCODER, config[AUTOENCODER])


def kept_scale(config: Settings) -> str | list[str]:
    """Scale of the latents of the model whose autoencoder this one starts from, if it does.

    Networks in its latents were trained at this scale.
    """
    return _file(config, SCALE, config[AUTOENCODER])


def _own_section(variant: Variant, config: Settings) -> Settings:
    """Section of the settings that has the name of the network; some have none."""
    return variant.settings(config).get(variant.network.name, {})


def _file(config: Settings, name: str, section: Settings) -> str | list[str]:
    folder = config["pretrained"]
    if folder is None or section.get("start", SCRATCH) == SCRATCH:
        return []
    try:
        path = exported_files(Path(folder)).get(name)
    except InputError:  # check_pretrained says so, where a run would need the file
        return []
    return [] if path is None else str(path)


def check_pretrained(config: Settings, variants: Iterable[Variant]) -> None:
    """Stop before the work when networks cannot start from the model that the settings name.

    Parameters
    ----------
    config
        Complete settings of the study.
    variants
        The networks that it trains.

    Raises
    ------
    InputError
        If the folder is no exported model or was changed, its networks have other sizes or another
        grid, or a network that shall stay as it is has no weights there.
    """
    if config["pretrained"] is None:
        return
    folder = Path(config["pretrained"])
    files = exported_files(folder)
    check_files(folder)
    model = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    wanted = [(AUTOENCODER, AUTOENCODER, {s: dict(config[s]) for s in (AUTOENCODER, "grid")})]
    wanted += [(v.name, v.network.name, v.settings(config)) for v in variants]
    for name, network, sections in wanted:
        start = sections.get(network, {}).get("start", SCRATCH)
        if start == FROZEN and network not in files:
            problem = f"the model in {folder} has no weights of {network}"
            raise InputError(f"{name}.start", problem, "Set it to scratch, or take another model")
        if start == SCRATCH or network not in files:
            continue
        for key, own, theirs in _differences(sections, model):
            owner = "" if name == network else f" of the ablation {name}"
            problem = f"{own}{owner} is not {theirs}, as in the model in {folder}"
            remedy = f"Give it this value, or set {network}.start to {SCRATCH}"
            raise InputError(key, problem, remedy)


def _differences(sections: Settings, model: Settings) -> Iterator[tuple[str, Any, Any]]:
    """Settings with another value in the model, as ``section.key``, with both values."""
    for section, values in sections.items():
        theirs = model.get(section, {})
        for key in values.keys() & theirs.keys() - FREE:
            if values[key] != theirs[key]:
                yield f"{section}.{key}", values[key], theirs[key]
