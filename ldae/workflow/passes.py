"""How much the evaluations compute: passes of scans through the networks that are diffused with.

A pass is one scan at one step of a sampler. Almost all of an evaluation's time are passes, so that
the time which it asks for follows from their number and not from that of the cohort's scans.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ldae.methods import Methods, Role, Space

SECONDS = {Space.LATENT: 0.1, Space.VOXEL: 0.6}
"""Seconds of a pass at the paper's sizes, at most: five times what a GPU takes that makes 10^14
operations a second (python -m benchmarks.training_cost)."""

PAPER_VOXELS = 128 * 160 * 128
"""Grid of these sizes; on a smaller one a pass takes less in proportion."""


def count_passes(
    evaluation: str,
    settings: Mapping[str, Any],
    methods: Methods,
    *,
    n_scans: int,
    n_triples: int,
    n_tasks: int,
) -> dict[Space, int]:
    """Passes of an evaluation by where they are made.

    Parameters
    ----------
    evaluation
        ``reconstruction``, ``stochastic``, ``manipulation`` or ``interpolation``.
    settings
        Its settings.
    methods
        Its methods.
    n_scans, n_triples
        Scans, and triples of visits, of the split that is evaluated.
    n_tasks
        Attributes that are edited.
    """
    models = [(m, m.space) for m in methods.models(evaluation).values() if m.space is not None]
    passes = dict.fromkeys(Space, 0)
    if evaluation == "reconstruction":
        parts = {m.part_of for m in methods.select(Role.PART).values()}
        for one, space in models:
            steps = settings["voxel_steps" if space is Space.VOXEL else "steps"]
            ways = 2 + (one.name in parts)
            passes[space] += _at_most(settings["n_scans"], n_scans) * ways * sum(steps)
    elif evaluation == "stochastic":
        for _, space in models:
            drawn = settings["n_scans"] * settings["n_samples"]
            passes[space] += drawn * settings["n_steps"]
    elif evaluation == "manipulation":
        edits = 1 + n_tasks * len(set(settings["amounts"]) | {0})
        for _, space in models:
            edited = _at_most(settings["n_scans"], n_scans)
            passes[space] += edited * (1 + edits) * settings["n_steps"]
    else:
        triples = _at_most(settings["max_triples"], n_triples)
        ends = count_ends(settings, n_scans=n_scans, n_triples=n_triples)
        for _, space in models:
            passes[space] += (ends + triples) * settings["n_steps"]
    return passes


def count_ends(settings: Mapping[str, Any], *, n_scans: int, n_triples: int) -> int:
    """Visits that an interpolation encodes, at most; arguments as for :func:`count_passes`."""
    return min(n_scans, 2 * _at_most(settings["max_triples"], n_triples))


def minutes_of(passes: Mapping[Space, int], shape: Sequence[int]) -> float:
    """Minutes of so many passes on a grid, at most."""
    share = min(1.0, math.prod(shape) / PAPER_VOXELS)
    return share * sum(SECONDS[space] * n for space, n in passes.items()) / 60


def _at_most(wanted: int | None, there: int) -> int:
    return there if wanted is None else min(wanted, there)
