"""Training of the joint latent diffusion autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.latents import LatentStore
from ldae.diffusion.process import diffuse, noise_loss
from ldae.diffusion.schedule import NoiseSchedule
from ldae.leakage import note_fitted
from ldae.networks.anatomical import AnatomicalNetwork
from ldae.networks.histograms import LocalHistograms
from ldae.networks.joint import JointNetwork, save_joint_network
from ldae.training.batches import Batch
from ldae.training.diffusion import DiffusionTraining, unet_settings
from ldae.training.fit import file_identity, fingerprint, fit, resolve_steps
from ldae.training.histograms import histogram_layer, histograms_of
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.joint_start import fit_joint_start, set_measured, visit_pairs


class JointTraining(DiffusionTraining):
    """‖v - v̂‖² on one visit of a participant, with the code of another visit if there is one.

    v = √ᾱ_t·ε - √(1-ᾱ_t)·z_0 (Salimans & Ho 2022), so ‖v - v̂‖² = ‖ε - ε̂‖²/ᾱ_t. Timesteps with much
    noise, at which only the code carries information, count as much as those with little noise.

    Parameters
    ----------
    network
        Encoder, linear prediction and denoiser, with their standardisations already measured.
    latents
        The encoded scans.
    histograms
        Standardised local intensity histograms of all scans, (N, n_places, n_bins), in the order of
        `latents`. They do not change during training and are computed only once.
    settings
        See :class:`DiffusionTraining`; also contains ``other_visit``: whether the code comes from
        another visit.
    seed, schedule
        See :class:`DiffusionTraining`.
    """

    def __init__(
        self,
        network: JointNetwork | AnatomicalNetwork,
        latents: LatentStore,
        histograms: Tensor,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        rows = latents.rows("train"), latents.rows("val")
        super().__init__(network, *rows, settings, seed, schedule)
        note_fitted("joint ldae", latents.index["subject"].iloc[self.train_rows])
        self.latents = latents
        self.histograms = histograms
        subjects = latents.index["subject"].to_numpy(str)
        visits = latents.index.groupby(subjects).indices
        self.visits = [np.sort(visits[subject]) for subject in subjects]

    def other_visits(self, rows: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """For each row, a random other visit of the same participant; itself if there is none."""
        draws = torch.rand(len(rows), generator=generator).tolist()
        chosen = []
        for row, draw in zip(rows, draws, strict=True):
            others = self.visits[row][self.visits[row] != row]
            chosen.append(int(others[int(draw * len(others))]) if len(others) else int(row))
        return np.array(chosen)

    def draw_visits(
        self, rows: np.ndarray, part: slice, generator: torch.Generator
    ) -> tuple[Batch, np.ndarray]:
        """Histograms of the visits in `rows`, and noise on other visits' latents.

        Returns
        -------
        tuple
            The batch with ``histograms``, ``z_0``, ``t`` and ``eps``; and the rows of the other
            visits. Both are of `part`.
        """
        t, eps = self.draw(len(rows), self.latents.shape, part, generator)
        other = self.other_visits(rows, generator) if self.settings["other_visit"] else rows
        z_0 = self.latents.sample(other, part, generator)
        batch = {"histograms": self.histograms[rows[part]], "z_0": z_0, "t": t, "eps": eps}
        return batch, other[part]

    def predict_noise(
        self, network: JointNetwork | AnatomicalNetwork, batch: Batch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Code y, noise ε̂ predicted with it, and 1/ᾱ_t, by which ‖ε - ε̂‖² becomes ‖v - v̂‖²."""
        t = batch["t"]
        z_t = diffuse(network.standard(batch["z_0"]), t, batch["eps"], self.schedule)
        y = network.encoder.code(batch["histograms"])
        alpha_bar = self.schedule.alpha_bar[t]
        return y, network.noise(z_t, t, y, alpha_bar), 1 / alpha_bar

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        return self.draw_visits(rows, part, generator)[0]

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        _, eps_hat, weights = self.predict_noise(cast(JointNetwork, network), batch)
        return {
            "loss": noise_loss(batch["eps"], eps_hat, weights),
            "noise_mse": noise_loss(batch["eps"], eps_hat),
        }

    @override
    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        histograms = self.histograms[rows].to(self.device)
        y: Tensor = network.encoder.code(histograms)  # type: ignore[operator,union-attr]
        return y

    @override
    def latents_of(self, rows: np.ndarray) -> Tensor:
        return self.latents.mean(rows)


@dataclass(frozen=True)
class HistogramJob:
    """What a training on local histograms prepares before it makes its network.

    Attributes
    ----------
    settings
        Section of the network, with its number of steps.
    layer, histograms
        Histogram layer, and the local histograms of all scans, (N, n_places, n_bins).
    schedule
        Schedule of the noise.
    identity
        Fingerprint by which a checkpoint is known to be of the same training.
    """

    settings: dict[str, Any]
    layer: LocalHistograms
    histograms: Tensor
    schedule: NoiseSchedule
    identity: str


def prepare_histograms(
    section: str,
    data: TrainingData,
    sections: Sections,
    job: TrainingJob,
    layer: LocalHistograms | None = None,
) -> HistogramJob:
    """Local histograms of all scans, and the settings of a training on them; seeds torch.

    Parameters
    ----------
    section
        Name of the network's section.
    data
        Scans and their latents.
    sections
        The network's section, ``diffusion`` and ``grid``.
    job
        Seed and output files of the training.
    layer
        Histogram layer of a trained network; by default one for these scans.
    """
    torch.manual_seed(job.seed)
    store, latents = data.store, data.latents
    diffusion, spacing_mm = sections["diffusion"], sections["grid"]["spacing_mm"]
    settings = resolve_steps(sections[section], len(latents.rows("train")))
    layer = layer or histogram_layer(store, settings, spacing_mm)
    weights = file_identity(data.pretrained)
    return HistogramJob(
        settings=settings,
        layer=layer,
        histograms=histograms_of(layer, store, store.rows()),
        schedule=NoiseSchedule(**diffusion),
        identity=fingerprint(
            job, settings, spacing_mm, diffusion, weights, store.digest(), latents.digest()
        ),
    )


def train_ldae_joint(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train encoder and denoiser together in the latent space; save the averaged weights.

    Parameters
    ----------
    data
        Scans and their latents.
    sections
        Config sections ``ldae_joint``, ``diffusion`` and ``grid``.
    job
        Seed and output files of the training.
    """
    made = prepare_histograms("ldae_joint", data, sections, job)
    settings, latents = made.settings, data.latents
    encoder = {
        **made.layer.architecture,
        "n_components": settings["n_components"],
        "temporal": settings["temporal_scores"] and len(visit_pairs(latents.index)) > 0,
        "width": settings["encoder_width"],
    }
    denoiser = unet_settings(settings | {"v_prediction": True}, sections["diffusion"])
    network = JointNetwork(encoder, latents.shape, denoiser)
    set_measured(network, latents, made.layer)
    fit_joint_start(network, latents, made.histograms, job.seed)
    standardised = network.encoder.standard(made.histograms)
    module = JointTraining(network, latents, standardised, settings, job.seed, made.schedule)
    fit(module, "train_ldae_joint", job, made.identity, save_joint_network)
