"""What memory and time a study's jobs ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ldae.data.volumes import HELD_BYTES
from ldae.methods import Space
from ldae.packages import needs_ants
from ldae.workflow.passes import count_ends, count_passes, minutes_of

if TYPE_CHECKING:
    from ldae.workflow.study import Study

TRAINING_MINUTES = 1440
"""What most clusters allow for a job. A training writes a checkpoint and exits before its limit,
and Snakemake's main process submits it again."""

Demand = Callable[[Any, int], int]
"""A resource of a job, from its wildcards and the number of the attempt."""


class Demands:
    """Memory and time of the jobs of a study, by what they compute.

    Parameters
    ----------
    study
        The study.

    Attributes
    ----------
    longest
        Minutes that no job may exceed.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.longest: float = study.config["site"]["max_minutes"] or math.inf

    def memory(
        self, base: float, scans: float = 0.0, latents: float = 0.0, most_held: float = math.inf
    ) -> Demand:
        """Memory that a rule asks for, MB; half as much again with the second and third attempt.

        Later attempts are those of trainings that continue in pieces, and need no more.

        Parameters
        ----------
        base
            What any study needs, MB.
        scans, latents
            Copies of all scans, and of their latents (float32), held at a time.
        most_held
            Most that is held of these, in ``HELD_BYTES``, where more is gone through in pieces.
        """
        held = scans * self.study.plan.scan_bytes + latents * self.study.plan.latent_bytes
        needed = base + min(held * self.study.cohort.n_scans, most_held * HELD_BYTES) / 1e6
        most = self.study.config["site"]["max_memory_mb"]
        limit = math.inf if most is None else most  # 0 asks for none

        def demand(wildcards: Any, attempt: int) -> int:
            return round(min(needed * (1 + 0.5 * min(attempt - 1, 2)), limit))

        return demand

    def training_memory(self, wildcards: Any, attempt: int) -> int:
        """Memory that a training asks for, MB."""
        network = self.study.variant(wildcards).network
        latents = 3.0 if network.in_latents else 0.0  # some standardise those of the training split
        return self.memory(network.memory_mb, latents=latents)(wildcards, attempt)

    def interpolation_memory(self, wildcards: Any, attempt: int) -> int:
        """Memory of the interpolation, MB: it holds two codes of each model of both end visits."""
        ends = count_ends(
            self.study.config["evaluation"]["interpolation"],
            n_scans=self.study.plan.n_tested,
            n_triples=self.study.plan.n_triples,
        )
        sizes = {
            Space.LATENT: self.study.plan.latent_bytes,
            Space.VOXEL: self.study.plan.scan_bytes,
        }
        models = self.study.plan.methods.models("interpolation").values()
        held = sum(2 * sizes[one.space] for one in models if one.space is not None)
        return self.memory(32000 + ends * held / 1e6)(wildcards, attempt)

    def minutes(self, base: float, per_scan: float = 0.0, n_scans: int | None = None) -> Demand:
        """Time that a rule asks for, minutes; as much again with every further attempt.

        Never more than the site allows.

        Parameters
        ----------
        base
            What any study needs, minutes.
        per_scan
            Minutes for each of `n_scans`.
        n_scans
            By default all scans of the cohort.
        """
        needed = base + per_scan * (self.study.cohort.n_scans if n_scans is None else n_scans)
        return lambda wildcards, attempt: math.ceil(min(needed * attempt, self.longest))

    @property
    def minutes_per_scan(self) -> float:
        """Minutes in which a scan is preprocessed."""
        return 3.0 if needs_ants(self.study.config["preprocessing"]) else 0.5

    def evaluation_minutes(self, evaluation: str, base: float, per_scan: float = 0.0) -> Demand:
        """Time that an evaluation asks for, minutes, by what it computes; as :meth:`minutes`."""

        def demand(wildcards: Any, attempt: int) -> int:
            passes = count_passes(
                evaluation,
                self.study.config["evaluation"][evaluation],
                self.study.methods(evaluation, wildcards),
                n_scans=self.study.plan.n_tested,
                n_triples=self.study.plan.n_triples,
                n_tasks=len(self.study.plan.tasks),
            )
            needed = base + minutes_of(passes, self.study.config["grid"]["shape"])
            return self.minutes(needed, per_scan)(wildcards, attempt)

        return demand

    def training_minutes(self, wildcards: Any, attempt: int) -> int:
        """Time that a piece of a training asks for, minutes."""
        return math.ceil(min(TRAINING_MINUTES, self.longest))
