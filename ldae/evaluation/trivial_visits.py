"""Trivial answers to the interpolation of visits, without a network: what a model must beat."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ldae.data.registration import register
from ldae.data.volumes import batches
from ldae.leakage import note_fitted
from ldae.models.inference import lerp
from ldae.networks.deformation import carry, follow

if TYPE_CHECKING:
    from ldae.data.triples import Triple
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

logger = logging.getLogger(__name__)

NEAREST_VISIT, VOXEL_AVERAGE, LATENT_AVERAGE = "nearest_visit", "voxel_average", "latent_average"
SMOOTHED_AVERAGE, HALFWAY_REGISTRATION = "smoothed_average", "halfway_registration"

WIDTHS = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""SDs of the smoothing that are tried on training participants, voxels."""


class TrivialAnswers:
    """Answers to the middle of three visits, of which nothing is learned but a width.

    Parameters
    ----------
    store
        The packed scans.
    model
        Its autoencoder's latents are averaged.
    triples
        Of training participants; the width of the smoothing and the best answers are chosen on
        them. Without any, the smoothing is the narrowest, and no answer is the best.
    batch_size
        Triples at a time.

    Attributes
    ----------
    width
        SD of the smoothing of ``smoothed_average``, voxels.
    best
        Answer with the least squared error in training participants, by region (`mask`, `whole`);
        empty if there are none.
    """

    def __init__(
        self,
        store: VolumeStore,
        model: DiffusionAutoencoder,
        triples: Sequence[Triple],
        batch_size: int,
    ) -> None:
        self._store, self._model = store, model
        self.width = WIDTHS[0]
        self.best: dict[str, str] = {}
        if triples:
            note_fitted("best trivial answer", [t.subject for t in triples])
            self.width = self._choose_width(triples, batch_size)
            self.best = {
                region: min(errors, key=lambda name: errors[name])
                for region, errors in self._errors(triples, batch_size).items()
            }
            best = ", ".join(f"{name} ({region})" for region, name in self.best.items())
            logger.info("smoothing: %g voxels; best in training: %s", self.width, best)

    def __call__(self, triples: Sequence[Triple]) -> dict[str, Tensor]:
        """Every answer to the middle visits of B triples, (B, 1, H, W, D) by name."""
        x_a, x_b, share = self._ends(triples)
        average = lerp(x_a, x_b, share)
        z_a, z_b = (self._model.to_latent(x.to(self._model.device)) for x in (x_a, x_b))
        latent = lerp(z_a, z_b, share.to(z_a.device))
        halves = zip(x_a, x_b, share.flatten().tolist(), strict=True)
        return {
            NEAREST_VISIT: torch.where(share <= 0.5, x_a, x_b),
            VOXEL_AVERAGE: average,
            LATENT_AVERAGE: self._model.from_latent(latent).cpu(),
            SMOOTHED_AVERAGE: smooth_inside(average, self._brain(triples), self.width),
            HALFWAY_REGISTRATION: torch.stack([meet_halfway(a, b, s) for a, b, s in halves]),
        }

    def _ends(self, triples: Sequence[Triple]) -> tuple[Tensor, Tensor, Tensor]:
        """Both visits of each triple, and where between them the middle lies, (B, 1, 1, 1, 1)."""
        x_a, x_b = (self._store.batch(np.array([t.rows[k] for t in triples])) for k in (0, 2))
        share = torch.tensor([t.alpha for t in triples], dtype=torch.float32)
        return x_a, x_b, share.reshape(-1, 1, 1, 1, 1)

    def _brain(self, triples: Sequence[Triple]) -> Tensor:
        """Where either visit has brain, (B, 1, H, W, D)."""
        a, b = (self._store.mask_batch(np.array([t.rows[k] for t in triples])) for k in (0, 2))
        return a | b

    def _middle(self, triples: Sequence[Triple]) -> tuple[Tensor, Tensor]:
        rows = np.array([t.rows[1] for t in triples])
        return self._store.batch(rows), self._store.mask_batch(rows)

    def _choose_width(self, triples: Sequence[Triple], batch_size: int) -> float:
        errors = dict.fromkeys(WIDTHS, 0.0)
        for piece in batches(np.arange(len(triples)), batch_size):
            chosen = [triples[i] for i in piece]
            x_a, x_b, share = self._ends(chosen)
            average, brain = lerp(x_a, x_b, share), self._brain(chosen)
            x, mask = self._middle(chosen)
            for width in WIDTHS:
                errors[width] += _squared_error(smooth_inside(average, brain, width), x, mask)
        return min(errors, key=lambda width: errors[width])

    def _errors(self, triples: Sequence[Triple], batch_size: int) -> dict[str, dict[str, float]]:
        """Sum over triples of the mean squared error, by region and answer."""
        errors: dict[str, dict[str, float]] = {"mask": {}, "whole": {}}
        for piece in batches(np.arange(len(triples)), batch_size):
            chosen = [triples[i] for i in piece]
            x, mask = self._middle(chosen)
            for name, answer in self(chosen).items():
                for region, inside in (("mask", mask), ("whole", torch.ones_like(mask))):
                    error = _squared_error(answer, x, inside)
                    errors[region][name] = errors[region].get(name, 0.0) + error
        return errors


def _squared_error(answer: Tensor, x: Tensor, mask: Tensor) -> float:
    """Sum over the batch of the mean squared error inside each mask."""
    squares = ((answer - x).square() * mask).sum((1, 2, 3, 4)) / mask.sum((1, 2, 3, 4))
    return float(squares.sum())


def smooth_inside(x: Tensor, brain: Tensor, width: float) -> Tensor:
    """Scans (B, 1, H, W, D) smoothed by a Gaussian inside the brain, 0 outside it.

    Parameters
    ----------
    x, brain
        Scans and masks, (B, 1, H, W, D).
    width
        SD of the Gaussian, voxels.
    """
    sigma = (0, 0, width, width, width)
    inside = brain.numpy().astype(np.float32)
    weight = ndimage.gaussian_filter(inside, sigma, mode="constant")
    total = ndimage.gaussian_filter(x.numpy() * inside, sigma, mode="constant")
    return torch.from_numpy(np.where(inside > 0, total / np.maximum(weight, 1e-6), 0))


def meet_halfway(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Scan (1, H, W, D) at `share` of the way from A to B, along a diffeomorphism between them.

    Both are registered to each other (diffeomorphic demons; Vercauteren et al. 2009). Half the
    difference of both displacements is the velocity v of a flow from A to B, up to terms of third
    order. A is moved by `share` of it and B, backwards, by the rest; the two are averaged.

    Parameters
    ----------
    a, b
        Scans, (1, H, W, D).
    share
        0 gives A, 1 gives B.
    """
    forth, back = register(a[0].numpy(), b[0].numpy()), register(b[0].numpy(), a[0].numpy())
    velocity = torch.from_numpy((forth - back) / 2)
    from_a = carry(a[None], follow(velocity[None] * -share))[0]
    from_b = carry(b[None], follow(velocity[None] * (1 - share)))[0]
    return (1 - share) * from_a + share * from_b
