"""Stages 2 and 3: training of the prior, of the LDAE, and of the voxel-space baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.draws import normal_part
from ldae.data.latents import LatentStore
from ldae.data.volumes import VolumeStore
from ldae.diffusion.process import diffuse, noise_loss
from ldae.diffusion.schedule import NoiseSchedule, per_sample
from ldae.leakage import note_fitted
from ldae.networks.assembly import (
    ConditionalUNet,
    SemanticPair,
    load_prior_network,
    save_conditional_unet,
    save_prior,
    save_semantic_pair,
)
from ldae.networks.encoders import encoder_architecture
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import adopt_weights
from ldae.training.batches import Batch
from ldae.training.encoder_start import prepare_encoder
from ldae.training.fit import file_identity, fingerprint, fit, resolve_steps
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.module import AveragedTraining


class DiffusionTraining(AveragedTraining):
    """Training that predicts the noise of diffused samples.

    Parameters
    ----------
    network, train_rows, val_rows, settings, seed
        See :class:`AveragedTraining`.
    schedule
        The noise schedule.
    """

    def __init__(
        self,
        network: nn.Module,
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        super().__init__(network, train_rows, val_rows, settings, seed)
        self.schedule = schedule

    def draw(
        self, n: int, shape: tuple[int, ...], part: slice, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Timesteps t ~ U{1 … T} (int64) and noise ε ~ N(0, I): this rank's part of a batch."""
        t = torch.randint(1, self.schedule.n_timesteps + 1, (n,), generator=generator)
        return t[part], normal_part(n, shape, part, generator)


class PriorTraining(DiffusionTraining):
    """‖ε - ε_θ(z_t, t)‖² on latents (Ho et al. 2020; Rombach et al. 2022).

    Parameters
    ----------
    prior
        Network to train.
    latents
        The encoded scans.
    settings, seed, schedule
        See :class:`DiffusionTraining`.
    """

    def __init__(
        self,
        prior: NoiseUNet,
        latents: LatentStore,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        rows = latents.rows("train"), latents.rows("val")
        super().__init__(prior, *rows, settings, seed, schedule)
        note_fitted("prior", latents.index["subject"].iloc[self.train_rows])
        self.latents = latents

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        t, eps = self.draw(len(rows), self.latents.shape, part, generator)
        z_0 = self.latents.sample(rows, part, generator)
        return {"z_0": z_0, "t": t, "eps": eps}

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        z_t = diffuse(batch["z_0"], batch["t"], batch["eps"], self.schedule)
        return {"loss": noise_loss(batch["eps"], network(z_t, batch["t"]))}


class LdaeTraining(DiffusionTraining):
    """λ_t·‖ε - (ε_θ + k_t·G_ψ(z_t, E_φ(x), t))‖² on the frozen prior (Zhang et al. 2022, eq. 11).

    Parameters
    ----------
    pair
        Encoder and estimator, which are trained together.
    prior
        Frozen ε_θ; not part of checkpoints.
    store, latents
        Scans and their latents, in the same order.
    settings
        See :class:`DiffusionTraining`; also contains ``snr_gamma``, γ of λ_t.
    seed, schedule
        See :class:`DiffusionTraining`.
    """

    def __init__(
        self,
        pair: SemanticPair,
        prior: NoiseUNet,
        store: VolumeStore,
        latents: LatentStore,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        super().__init__(pair, store.rows("train"), store.rows("val"), settings, seed, schedule)
        note_fitted("ldae", store.index["subject"].iloc[self.train_rows])
        self._prior = (prior,)  # in a tuple it is no submodule: not trained, averaged or saved
        self.store = store
        self.latents = latents

    @override
    def on_fit_start(self) -> None:
        self._prior[0].to(self.device)

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        t, eps = self.draw(len(rows), self.latents.shape, part, generator)
        z_0 = self.latents.sample(rows, part, generator)
        return {"x": self.store.batch(rows[part]), "z_0": z_0, "t": t, "eps": eps}

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        t, eps = batch["t"], batch["eps"]
        z_t = diffuse(batch["z_0"], t, eps, self.schedule)
        shift_weight = per_sample(self.schedule.shift_weight[t], z_t)
        y = network.encoder(batch["x"])  # type: ignore[operator]
        eps_hat = network.shifted_noise(self._prior[0], shift_weight, z_t, t, y)  # type: ignore[operator]
        weight = self.schedule.loss_weight(t, float(self.settings["snr_gamma"]))
        return {
            "loss": noise_loss(eps, eps_hat, weight),
            "noise_mse": noise_loss(eps, eps_hat),
        }

    @override
    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        y: Tensor = network.encoder(self.store.batch(rows).to(self.device))  # type: ignore[operator]
        return y

    @override
    def latents_of(self, rows: np.ndarray) -> Tensor:
        return self.latents.mean(rows)


class VoxelDaeTraining(DiffusionTraining):
    """‖ε - ε̂(x_t, t, E_φ(x))‖² in voxel space (Preechakul et al. 2022).

    Parameters
    ----------
    network
        Encoder and conditional U-Net.
    store
        The packed scans; x_0 = 2x - 1.
    settings, seed, schedule
        See :class:`DiffusionTraining`.
    """

    def __init__(
        self,
        network: ConditionalUNet,
        store: VolumeStore,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        super().__init__(network, store.rows("train"), store.rows("val"), settings, seed, schedule)
        note_fitted("voxel_dae", store.index["subject"].iloc[self.train_rows])
        self.store = store

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        t, eps = self.draw(len(rows), (1, *self.store.shape), part, generator)
        return {"x": self.store.batch(rows[part]), "t": t, "eps": eps}

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        x_t = diffuse(2 * batch["x"] - 1, batch["t"], batch["eps"], self.schedule)
        y = network.encoder(batch["x"])  # type: ignore[operator]
        eps_hat = network.noise(x_t, batch["t"], y)  # type: ignore[operator]
        return {"loss": noise_loss(batch["eps"], eps_hat)}

    @override
    def codes(self, network: nn.Module, rows: np.ndarray) -> Tensor:
        y: Tensor = network.encoder(self.store.batch(rows).to(self.device))  # type: ignore[operator]
        return y


def unet_settings(settings: Mapping[str, Any], diffusion: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `NoiseUNet` from a network's config section and section ``diffusion``."""
    names = ("channels", "n_res_blocks", "attention_levels", "dropout", "norm_groups")
    schedule = dict(diffusion) if settings["v_prediction"] else None
    return {name: settings[name] for name in names} | {"schedule": schedule}


def train_prior(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train the unconditional prior in the latent space and save its averaged weights.

    Parameters
    ----------
    data
        The encoded scans.
    sections
        Config sections ``prior`` and ``diffusion``.
    job
        Seed and output files of the training.
    """
    torch.manual_seed(job.seed)
    latents, diffusion = data.latents, sections["diffusion"]
    settings = resolve_steps(sections["prior"], len(latents.rows("train")))
    prior = NoiseUNet(in_channels=latents.shape[0], **unet_settings(settings, diffusion))
    adopt_weights(prior, data.pretrained)
    module = PriorTraining(prior, latents, settings, job.seed, NoiseSchedule(**diffusion))
    weights = file_identity(data.pretrained)
    identity = fingerprint(job, settings, diffusion, weights, latents.digest())
    fit(module, "train_prior", job, identity, save_prior)


def train_ldae(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train semantic encoder and gradient estimator on a frozen prior; save the averaged weights.

    Parameters
    ----------
    data
        Scans, their latents, and the trained prior.
    sections
        Config sections ``ldae``, ``encoder`` and ``diffusion``.
    job
        Seed and output files of the training.

    Raises
    ------
    ValueError
        If no prior is given.
    """
    if data.stands_on is None:
        raise ValueError("the LDAE needs a trained prior")
    torch.manual_seed(job.seed)
    store, latents = data.store, data.latents
    encoder, diffusion = sections["encoder"], sections["diffusion"]
    settings = resolve_steps(sections["ldae"], len(store.rows("train")))
    prior = load_prior_network(data.stands_on, torch.device("cpu"))
    pair = SemanticPair(encoder_architecture(encoder, store.shape), prior)
    prepare_encoder(pair.encoder, encoder, store)
    adopt_weights(pair, data.pretrained)
    schedule = NoiseSchedule(**diffusion)
    module = LdaeTraining(pair, prior, store, latents, settings, job.seed, schedule)
    files = data.stands_on, data.pretrained, encoder["pretrained"]
    weights = [file_identity(file) for file in files]
    identity = fingerprint(
        job, settings, encoder, diffusion, *weights, store.digest(), latents.digest()
    )
    fit(module, "train_ldae", job, identity, save_semantic_pair)


def train_voxel_dae(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train the voxel-space diffusion autoencoder and save its averaged weights.

    Parameters
    ----------
    data
        The packed scans.
    sections
        Config sections ``voxel_dae``, ``encoder`` and ``diffusion``.
    job
        Seed and output files of the training.
    """
    torch.manual_seed(job.seed)
    store, encoder, diffusion = data.store, sections["encoder"], sections["diffusion"]
    settings = resolve_steps(sections["voxel_dae"], len(store.rows("train")))
    network = ConditionalUNet(
        encoder_architecture(encoder, store.shape),
        unet_settings(settings, diffusion),
        int(settings["patch_size"]),
    )
    prepare_encoder(network.encoder, encoder, store)
    adopt_weights(network, data.pretrained)
    module = VoxelDaeTraining(network, store, settings, job.seed, NoiseSchedule(**diffusion))
    weights = file_identity(data.pretrained), file_identity(encoder["pretrained"])
    identity = fingerprint(job, settings, encoder, *weights, diffusion, store.digest())
    fit(module, "train_voxel_dae", job, identity, save_conditional_unet)
