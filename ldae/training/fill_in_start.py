"""Closed-form start of the fill-in head: the best linear filter of the average of two visits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from ldae.data.triples import Triple
from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.networks.autoencoder import space_to_depth
from ldae.networks.residual import RESIDUAL_SCALE, VisitResidual, average_visits

RIDGE_SHARE = 1e-3
"""Ridge penalty as a share of the mean square of the features; neighbours are much alike."""

MOST_TRIPLES, MOST_PATCHES = 500, 200_000
"""Triples that are read and patches that are fitted at most: some hundred for each weight."""


def start_fill_in(
    head: VisitResidual, store: VolumeStore, triples: Sequence[Triple], seed: int
) -> None:
    """Start the last layer of the head at the linear filter with the least squared error.

    The layer sees the average of both visits in a neighbourhood of 3 patches a side, plain and
    standardised by the training scans. Its weights for these are the ridge regression of the
    correction x_M - lerp(x_A, x_B, α), over patches with some brain. Such a filter denoises as far
    as its neighbourhood allows, and knows what is usual at a place. The weights of what the hidden
    layers see remain zero.

    Parameters
    ----------
    head
        Head whose standardisation has been measured; changed in place.
    store
        The packed scans.
    triples
        Of training participants, at least one.
    seed
        Seed of the choice among triples and patches, where there are many.
    """
    random = torch.Generator().manual_seed(seed)
    chosen = [
        triples[int(i)] for i in torch.randperm(len(triples), generator=random)[:MOST_TRIPLES]
    ]
    note_fitted("fill-in start", [triple.subject for triple in chosen])
    layer, voxels = head.out, head.patch_size**3
    n_features = 2 * voxels * 27 + 1
    gram = torch.zeros(n_features, n_features, dtype=torch.float64)
    moment = torch.zeros(n_features, voxels, dtype=torch.float64)
    for x, y in _regressions(head, store, chosen, random):
        gram += x.T @ x
        moment += x.T @ y
    penalty = RIDGE_SHARE * gram.diagonal().mean()
    weights = torch.linalg.solve(gram + penalty * torch.eye(n_features, dtype=gram.dtype), moment)
    with torch.no_grad():
        layer.weight[:, -2 * voxels :] = weights[:-1].T.reshape(voxels, -1, 3, 3, 3).float()
        layer.get_parameter("bias").copy_(weights[-1])


def _regressions(
    head: VisitResidual, store: VolumeStore, triples: Sequence[Triple], random: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Features (n, K + 1) and corrections (n, f³) of patches with brain, for each triple."""
    for triple in triples:
        x_a, x_m, x_b = store.batch(list(triple.rows)).split(1)
        average = average_visits(x_a, x_b, torch.tensor([triple.alpha]))
        seen = head.averages(average)
        correction = (x_m - average) * (average > 0) / RESIDUAL_SCALE
        target = space_to_depth(correction, head.patch_size)[0].flatten(1)
        inside = space_to_depth(average, head.patch_size)[0].flatten(1).any(0).nonzero()[:, 0]
        order = torch.randperm(len(inside), generator=random)
        inside = inside[order[: -(-MOST_PATCHES // len(triples))]]
        columns = _neighbourhoods(seen)[0][:, inside]
        features = torch.cat([columns, torch.ones(1, columns.shape[1])])
        yield features.T.double(), target[:, inside].T.double()


def _neighbourhoods(x: Tensor) -> Tensor:
    """Values (B, C·27, n) that a convolution of size 3 sees, in the order of its weights."""
    padded = F.pad(x, (1,) * 6)
    for axis in (2, 3, 4):
        padded = padded.unfold(axis, 3, 1)
    b, c = x.shape[:2]
    return padded.permute(0, 1, 5, 6, 7, 2, 3, 4).reshape(b, c * 27, -1)
