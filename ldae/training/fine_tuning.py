"""Further training of the recommended network on another cohort, from the weights that it has."""

from __future__ import annotations

import torch

from ldae.diffusion.schedule import NoiseSchedule
from ldae.networks.anatomical import (
    AnatomicalNetwork,
    load_anatomical_network,
    save_anatomical_network,
)
from ldae.training.anatomical import AnatomicalTraining
from ldae.training.fit import file_identity, fingerprint, fit, resolve_steps
from ldae.training.histograms import histograms_of
from ldae.training.job import Sections, TrainingData, TrainingJob


def fine_tune_anatomical(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train a network on, from the weights on which it stands, and save its averaged weights.

    What was measured on the first cohort stays: standardisations, and the places and bins of the
    histograms. No label is used; of participants with several visits, the time between them.

    Parameters
    ----------
    data
        Scans of the other cohort, their latents, and the weights.
    sections
        Config sections ``ldae_anatomical``, with the number of further steps, and ``diffusion``.
    job
        Seed and output files of the training.

    Raises
    ------
    ValueError
        If `data` has no weights, or there are no training scans.
    """
    if data.stands_on is None:
        raise ValueError("there are no weights to train on from")
    torch.manual_seed(job.seed)
    trained = load_anatomical_network(data.stands_on, torch.device("cpu"))
    network = AnatomicalNetwork(**trained.architecture)  # the loaded one stays frozen
    network.load_state_dict(trained.state_dict())
    store, latents, diffusion = data.store, data.latents, sections["diffusion"]
    settings = resolve_steps(sections["ldae_anatomical"], len(latents.rows("train")))
    histograms = histograms_of(network.encoder.histograms, store, store.rows())
    histograms = network.encoder.standard(histograms)
    schedule = NoiseSchedule(**diffusion)
    module = AnatomicalTraining(
        network, store, latents, histograms, settings, job.seed, schedule
    )  # fmt: skip
    weights = file_identity(data.stands_on)
    identity = fingerprint(job, settings, diffusion, weights, store.digest(), latents.digest())
    fit(module, "fine_tune", job, identity, save_anatomical_network)
