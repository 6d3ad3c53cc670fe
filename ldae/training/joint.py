"""Training of the joint latent diffusion autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.latents import LatentStore
from ldae.diffusion.process import diffuse, noise_loss
from ldae.diffusion.schedule import NoiseSchedule
from ldae.leakage import note_fitted
from ldae.networks.anatomical import AnatomicalNetwork
from ldae.networks.joint import JointNetwork, save_joint_network
from ldae.training.batches import Batch
from ldae.training.diffusion import DiffusionTraining, unet_settings
from ldae.training.fit import fingerprint, fit, resolve_steps
from ldae.training.histograms import histogram_layer, histograms_of
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.joint_start import fit_joint_start, visit_pairs
from ldae.training.standard import measure_latent_standard


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

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        t, eps = self.draw(len(rows), self.latents.shape, part, generator)
        other = self.other_visits(rows, generator) if self.settings["other_visit"] else rows
        z_0 = self.latents.sample(other, generator)[part]
        return {"histograms": self.histograms[rows[part]], "z_0": z_0, "t": t, "eps": eps}

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        t, eps = batch["t"], batch["eps"]
        z_t = diffuse(network.standard(batch["z_0"]), t, eps, self.schedule)  # type: ignore[operator]
        y = network.encoder.code(batch["histograms"])  # type: ignore[operator,union-attr]
        alpha_bar = self.schedule.alpha_bar[t]
        eps_hat = network.noise(z_t, t, y, alpha_bar)  # type: ignore[operator]
        return {
            "loss": noise_loss(eps, eps_hat, 1 / alpha_bar),
            "noise_mse": noise_loss(eps, eps_hat),
        }

    @override
    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        histograms = self.histograms[rows].to(self.device)
        y: Tensor = network.encoder.code(histograms)  # type: ignore[operator,union-attr]
        return y

    @override
    def latents_of(self, rows: np.ndarray) -> Tensor:
        return self.latents.mean(rows)


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
    torch.manual_seed(job.seed)
    store, latents = data.store, data.latents
    diffusion, spacing_mm = sections["diffusion"], sections["grid"]["spacing_mm"]
    settings = resolve_steps(sections["ldae_joint"], len(latents.rows("train")))
    layer = histogram_layer(store, settings, spacing_mm)
    encoder = {
        **layer.architecture,
        "n_components": settings["n_components"],
        "temporal": settings["temporal_scores"] and len(visit_pairs(latents.index)) > 0,
        "width": settings["encoder_width"],
    }
    network = JointNetwork(
        encoder, latents.shape, unet_settings(settings | {"v_prediction": True}, diffusion)
    )
    network.standard.load_state_dict(measure_latent_standard(latents).state_dict())
    network.encoder.histograms.load_state_dict(layer.state_dict())
    histograms = histograms_of(layer, store, store.rows())
    fit_joint_start(network, latents, histograms, job.seed)
    standardised = network.encoder.standard(histograms)
    schedule = NoiseSchedule(**diffusion)
    module = JointTraining(network, latents, standardised, settings, job.seed, schedule)
    identity = fingerprint(job, settings, spacing_mm, diffusion, store.digest(), latents.digest())
    if fit(module, "train_ldae_joint", job, identity):
        save_joint_network(job.model_path, module.validated_network)  # type: ignore[arg-type]
