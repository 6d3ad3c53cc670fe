"""Arguments of the trials of a study's trainings; only the standard library is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ldae.methods import Variant

AUTOENCODER = "ldae.training.autoencoder:train_autoencoder"


def study_trials(config: Mapping[str, Any], variants: Iterable[Variant]) -> dict[str, Any]:
    """Arguments of :func:`ldae.workflow.doctor.trials.try_trainings`.

    Parameters
    ----------
    config
        Complete settings of the study.
    variants
        What it trains beside the autoencoder. Ablations are left out: their networks differ little.
    """
    sections = {"autoencoder": config["autoencoder"]}
    trainings = {"autoencoder": {"train": AUTOENCODER, "sections": sections, "stands_on": None}}
    for variant in variants:
        if variant.network.look is not None and not variant.change:
            trainings[variant.name] = {
                "train": variant.network.train,
                "sections": variant.settings(dict(config)),
                "stands_on": variant.stands_on,
            }
    return {"trainings": trainings, "shape": config["grid"]["shape"]}
