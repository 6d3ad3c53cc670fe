"""Training of the recommended model: all its parts in the same steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.exported import FROZEN
from ldae.data.latents import LatentStore
from ldae.data.triples import find_triples
from ldae.data.volumes import VolumeStore
from ldae.diffusion.process import noise_loss
from ldae.diffusion.schedule import NoiseSchedule
from ldae.leakage import note_fitted
from ldae.networks.anatomical import AnatomicalNetwork, save_anatomical_network
from ldae.networks.histograms import LocalHistograms
from ldae.networks.residual import VisitResidual, Visits, average_visits
from ldae.networks.standard import CohortStandard
from ldae.networks.weights import read_network
from ldae.training.batches import Batch
from ldae.training.deformation import (
    Registrations,
    coarse_shape,
    fit_deformation,
    register_participants,
)
from ldae.training.fill_in_start import start_fill_in
from ldae.training.fit import fit
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.joint import JointTraining, prepare_histograms
from ldae.training.joint_start import (
    set_measured,
    start_anatomy,
    start_components,
    start_guess,
    visit_pairs,
)
from ldae.training.residual import batch_of_triples, masked_mse
from ldae.training.standard import measure_latent_standard, measure_standard

LEAST_MSE = 1e-6
"""Least squared error of an average of two visits that the fill-in's is divided by. Visits of one
scan under several names have none; real ones differ by their noise, a thousand times as much."""


class AnatomicalTraining(JointTraining):
    """Diffusion, histograms, order of visits and fill-in, each averaged over the batch.

    For the code y of a scan and another visit of its participant (the same one if there is none):

    * ``velocity``: ‖ε - ε̂(z_t, t, y)‖²/ᾱ_t on the other visit's latent, which is ‖v - v̂‖²;
    * ``anatomy``: the squared error of the other visit's histograms, from y by a linear map;
    * ``order``: (s_B - s_A - Δ)² for the order scores of two visits A and B, Δ years apart, in
      units of the mean Δ²;
    * ``fill_in``: the squared error of the scan between two visits over that of their average,
      inside the brain mask and, with less weight, over the whole volume.

    Parameters
    ----------
    network
        Network to train, started in closed form.
    store, latents
        Scans and their latents, in the same order.
    histograms
        Standardised local histograms of all scans, (N, n_places, n_bins).
    settings, seed, schedule
        See :class:`JointTraining`; also contains ``anatomy_weight``, ``order_weight`` and
        ``fill_in_whole_share``.
    """

    def __init__(
        self,
        network: AnatomicalNetwork,
        store: VolumeStore,
        latents: LatentStore,
        histograms: Tensor,
        settings: dict[str, Any],
        seed: int,
        schedule: NoiseSchedule,
    ) -> None:
        super().__init__(network, latents, histograms, settings, seed, schedule)
        self.store = store
        self.pairs = {split: visit_pairs(store.index, split) for split in ("train", "val")}
        self.triples = {split: find_triples(store.index, split) for split in ("train", "val")}
        self.ordered = network.encoder.scores is not None
        self.filled = network.fill_in is not None
        years = self.pairs["train"]["years"].to_numpy()
        self.years_scale = float(np.mean(years**2)) if self.ordered and len(years) else 1.0

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, with a rate of its own for the components, which start at a closed form."""
        network = cast(AnatomicalNetwork, self.network)
        components = list(network.encoder.linear.parameters())
        known = {id(parameter) for parameter in components}
        others = [p for p in network.parameters() if id(p) not in known]
        slow: dict[str, Any] = {
            "params": components,
            "lr": float(self.settings["component_learning_rate"]),
        }
        return torch.optim.Adam(
            [slow, {"params": others}], lr=float(self.settings["learning_rate"])
        )

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        batch, other = self.draw_visits(rows, part, generator)
        batch["other"] = self.histograms[other]
        split = "train" if rows[0] in self.train_rows else "val"
        if self.ordered and len(self.pairs[split]):
            batch |= self._ordered(split, len(rows), part, generator)
        if self.filled and self.triples[split]:
            chosen = torch.randint(len(self.triples[split]), (len(rows),), generator=generator)
            triples = [self.triples[split][int(i)] for i in chosen[part]]
            batch |= batch_of_triples(self.store, self.latents, triples)
        return batch

    def _ordered(self, split: str, n: int, part: slice, generator: torch.Generator) -> Batch:
        """Histograms of two visits and the years between them, for pairs drawn at random."""
        pairs = self.pairs[split]
        chosen = pairs.iloc[torch.randint(len(pairs), (n,), generator=generator)[part].numpy()]
        return {
            "earlier": self.histograms[chosen["earlier"].tolist()],
            "later": self.histograms[chosen["later"].tolist()],
            "years": torch.tensor(chosen["years"].tolist(), dtype=torch.float32),
        }

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        network = cast(AnatomicalNetwork, network)
        y, eps_hat, weights = self.predict_noise(network, batch)
        losses = {
            "velocity": noise_loss(batch["eps"], eps_hat, weights),
            "anatomy": (network.anatomy(y) - batch["other"].flatten(1)).square().mean(),
        }
        total = losses["velocity"] + self.settings["anatomy_weight"] * losses["anatomy"]
        if "years" in batch:
            losses["order"] = self._order(network, batch)
            total = total + self.settings["order_weight"] * losses["order"]
        if network.fill_in is not None and "alpha" in batch:
            losses["fill_in"] = _fill_in(
                network.fill_in, network.standard, batch, self.settings["fill_in_whole_share"]
            )
            total = total + losses["fill_in"]
        return losses | {"loss": total}

    def _order(self, network: AnatomicalNetwork, batch: Batch) -> Tensor:
        encoder = network.encoder
        earlier, later = (encoder.order(encoder.code(batch[n])) for n in ("earlier", "later"))
        error = (later - earlier).mean(1) - batch["years"]
        return error.square().mean() / self.years_scale


def _fill_in(
    head: VisitResidual, standard: CohortStandard, batch: Batch, whole_share: float
) -> Tensor:
    """Squared error of the answer over that of the average of the two visits, mean over triples.

    It is a weighted mean of the ratio inside the brain mask and, with weight `whole_share`, of that
    over the whole volume, where what the answer puts outside the brain counts as well.
    """
    a, b = (Visits(batch[f"x_{v}"], standard(batch[f"z_{v}"])) for v in ("a", "b"))
    real, mask = batch["real"], batch["mask"]
    answer = head(a, b, batch["alpha"], batch["gap"])
    average = average_visits(a.x, b.x, batch["alpha"])
    inside, whole = (
        (
            masked_mse(answer, real, region)
            / masked_mse(average, real, region).clamp_min(LEAST_MSE)
        ).mean()
        for region in (mask, torch.ones_like(mask))
    )
    return torch.lerp(inside, whole, whole_share)


def started_network(
    data: TrainingData, layer: LocalHistograms, histograms: Tensor, sections: Sections, seed: int
) -> AnatomicalNetwork:
    """The network before training: principal components and ridge regressions, all else zero.

    Parameters
    ----------
    data
        Scans and their latents.
    layer, histograms
        Histogram layer, and the local histograms of all scans, (N, n_places, n_bins).
    sections
        Config sections ``ldae_anatomical``, ``diffusion`` and ``grid``.
    seed
        Seed of the solver of the principal components.
    """
    store, latents, settings = data.store, data.latents, sections["ldae_anatomical"]
    encoder = {
        **layer.architecture,
        "n_components": settings["n_components"],
        "n_scores": settings["n_scores"] if len(visit_pairs(store.index)) else 0,
        "width": settings["encoder_width"],
        "dropout": settings["encoder_dropout"],
    }
    denoiser = {name: settings[name] for name in ("patch_size", "width", "depth", "n_heads")}
    fill_in: Mapping[str, Any] | None = None
    triples = find_triples(store.index, "train")
    if triples:
        fill_in = {
            "patch_size": settings["fill_in_patch_size"],
            "channels": settings["fill_in_channels"],
            "n_blocks": settings["fill_in_n_blocks"],
        }
    denoiser["schedule"] = dict(sections["diffusion"])
    spacing = sections["grid"]["spacing_mm"]
    coarse = coarse_shape(store.shape, spacing, settings["deformation_spacing_mm"])
    network = AnatomicalNetwork(encoder, latents.shape, denoiser, fill_in, coarse)
    set_measured(network, latents, layer)
    if network.fill_in is not None:
        network.fill_in.standard.load_state_dict(measure_standard(store).state_dict())
        start_fill_in(network.fill_in, store, triples, seed)
    rows = latents.rows("train")
    note_fitted("anatomical start", latents.index["subject"].iloc[rows])
    pca = start_components(network.encoder, histograms[rows], seed)
    start_anatomy(network, pca)
    start_guess(network, latents, network.encoder.standard(histograms[rows]))
    return network


def adapt_to_latents(network: AnatomicalNetwork, data: TrainingData, histograms: Tensor) -> None:
    """Measure for a trained network how the latents of a new cohort vary and follow its code.

    Latents of another cohort, or of another autoencoder, have another mean and SD. The encoder,
    with the standardisation, places and bins of its histograms, stays as it was trained.

    Parameters
    ----------
    network
        Trained network; changed in place.
    data
        Scans and their latents; only rows of the training split are read.
    histograms
        Local histograms of all scans by the network's layer, (N, n_places, n_bins).
    """
    rows = data.latents.rows("train")
    note_fitted("anatomical start", data.latents.index["subject"].iloc[rows])
    network.standard.load_state_dict(measure_latent_standard(data.latents).state_dict())
    start_guess(network, data.latents, network.encoder.standard(histograms[rows]))


def train_ldae_anatomical(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train the recommended model and save its averaged weights.

    With trained weights it has order scores and a fill-in head even where no participant has the
    visits to learn them from; what it knows of latents is measured again
    (:func:`adapt_to_latents`), unless it is frozen. The deformation is fitted to the codes of the
    weights that are saved.

    Parameters
    ----------
    data
        Scans and their latents.
    sections
        Config sections ``ldae_anatomical``, ``diffusion`` and ``grid``.
    job
        Seed and output files of the training.
    """
    if data.pretrained is None:
        made = prepare_histograms("ldae_anatomical", data, sections, job)
        network = started_network(data, made.layer, made.histograms, sections, job.seed)
    else:
        network = read_network(data.pretrained, AnatomicalNetwork)
        layer = network.encoder.histograms
        made = prepare_histograms("ldae_anatomical", data, sections, job, layer)
        if made.settings.get("start") != FROZEN:
            adapt_to_latents(network, data, made.histograms)
    module = AnatomicalTraining(
        network,
        data.store,
        data.latents,
        network.encoder.standard(made.histograms),
        made.settings,
        job.seed,
        made.schedule,
    )
    save: Callable[[Path, AnatomicalNetwork], None] = save_anatomical_network
    if made.settings.get("start") != FROZEN:
        save = _fitting_deformation(data.store, module.histograms, made.settings, sections["grid"])
    fit(module, "train_ldae_anatomical", job, made.identity, save)


def _fitting_deformation(
    store: VolumeStore, standardised: Tensor, settings: Mapping[str, Any], grid: Mapping[str, Any]
) -> Callable[[Path, AnatomicalNetwork], None]:
    """A function that fits the deformation of a network to its codes, and saves the network."""

    @cache
    def registrations(coarse: tuple[int, int, int]) -> Registrations:
        return register_participants(
            store, grid["spacing_mm"], coarse, settings["deformation_n_participants"]
        )

    def save(path: Path, network: AnatomicalNetwork) -> None:
        deformation = network.deformation
        h, w, d = deformation.offset.shape[1:]
        found = registrations((h, w, d))
        was_training = network.training
        network.eval()
        with torch.no_grad():
            seen = standardised[found.rows].to(deformation.offset.device)
            codes = network.encoder.code(seen).cpu()
        network.train(was_training)
        fit_deformation(deformation, codes, found.displacement, settings["deformation_penalty"])
        save_anatomical_network(path, network)

    return save
