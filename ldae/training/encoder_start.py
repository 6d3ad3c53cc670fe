"""Initialisation of a semantic encoder: cohort statistics and ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ldae.leakage import note_fitted
from ldae.networks.encoders import encoder_architecture, make_encoder, save_encoder
from ldae.networks.semantic_encoder import SemanticEncoder, load_imagenet_backbone
from ldae.networks.volume_encoder import VolumeEncoder
from ldae.networks.weights import freeze
from ldae.training.fit import fit_nothing
from ldae.training.histograms import histogram_standard, histograms_of, training_brain
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.standard import adopt_standard, measure_standard

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore


def show_cohort(encoder: SemanticEncoder | VolumeEncoder, store: VolumeStore) -> None:
    """Set the statistics of the training scans that a new encoder needs, in place."""
    if isinstance(encoder, VolumeEncoder):
        measure_volume_standard(encoder, store)
    elif encoder.standard is not None:
        adopt_standard(encoder, measure_standard(store))


def prepare_encoder(
    encoder: SemanticEncoder | VolumeEncoder, settings: Mapping[str, Any], store: VolumeStore
) -> None:
    """Initialise a new encoder: statistics of the training scans, and ImageNet weights if given.

    Parameters
    ----------
    encoder
        Encoder with the architecture of the settings; changed in place.
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
    """Frozen semantic encoder with random initial weights, a lower bound for the probes.

    Parameters
    ----------
    settings
        Config section ``encoder``.
    store
        The packed scans.
    seed
        Seed of the initial weights.
    device
        Device of the encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = make_encoder(encoder_architecture(settings, store.shape))
    show_cohort(encoder, store)
    freeze(encoder)
    return encoder.to(device)


def save_untrained_encoder(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Save a semantic encoder with random initial weights, a lower bound for the probes.

    Parameters
    ----------
    data
        The packed scans.
    sections
        Config section ``encoder``.
    job
        Seed and output files of the training.
    """
    encoder = untrained_encoder(sections["encoder"], data.store, job.seed, torch.device("cpu"))
    if fit_nothing(job):
        architecture = encoder_architecture(sections["encoder"], data.store.shape)
        save_encoder(job.model_path, encoder, architecture)


def measure_volume_standard(encoder: VolumeEncoder, store: VolumeStore) -> None:
    """Set the brain mask and the standardisation of histograms of `encoder`, in place.

    Parameters
    ----------
    encoder
        Changed in place.
    store
        The packed scans; only rows of the training split are read.
    """
    rows = store.rows("train")
    note_fitted("histogram standard", store.index["subject"].iloc[rows])
    encoder.histograms.inside.copy_(training_brain(store))
    histograms = histograms_of(encoder.histograms, store, rows)
    encoder.standard.load_state_dict(histogram_standard(histograms).state_dict())
