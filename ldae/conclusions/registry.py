"""Every table of results: how it is made, and where the report shows it.

A new table is its function and an entry of :data:`TABLES`. Only the standard library is imported:
this module is read whenever the Snakefile is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ldae.conclusions.sources import (
    FOLLOWED_LOGS,
    LABEL_CURVES,
    PREDICTIONS,
    SNAPSHOT_PREDICTIONS,
    Product,
    all_scores,
    scores,
    snapshot_scores,
    tables,
)

BOOTSTRAP = {"cohort": "study", "n_bootstrap": "evaluation/n_bootstrap", "seed": "seed"}
"""Settings of tables with intervals, by the parameter that gets them."""


@dataclass(frozen=True)
class Table(Product):
    """A table of results, ``tables/<name>.tsv`` for programs and ``tables/<name>.md`` for readers.

    Attributes
    ----------
    title
        Above it in the report; a part of a table adds its own.
    """

    title: str = field(kw_only=True)
    settings: Mapping[str, str] = field(default_factory=lambda: BOOTSTRAP, kw_only=True)


_TABULATE_SCORES = "ldae.statistics.scores:tabulate_scores"
_SPEAKING = ("reconstruction", "probes", "manipulation", "interpolation", "throughput")
"""Tables that speak to a claim of the paper."""

TABLES = (
    Table(
        "verdicts", "claims",
        "ldae.conclusions.verdicts:judge_claims", {"tables": tables(*_SPEAKING, "comparisons")},
        settings={"criteria": "verdicts"},
        title="What holds",
    ),
    Table(
        "claims", "claims",
        "ldae.conclusions.claims:tabulate_claims", {"tables": tables(*_SPEAKING)},
        settings={"criteria": "verdicts"},
        title="The paper's claims",
    ),
    Table(
        "comparisons", "claims",
        "ldae.conclusions.comparison:compare_methods",
        {
            "predictions": replace(PREDICTIONS, optional=True),
            "scores": all_scores("reconstruction", "interpolation"),
        },
        title="Paired gains of the models over every other method",
    ),
    Table(
        "volumes", "cohort",
        None, {}, requires=("volumes",),
        title="Measured against reference volumes",
    ),
    Table(
        "curves", "training",
        "ldae.conclusions.curves:tabulate_curves",
        {
            "predictions": SNAPSHOT_PREDICTIONS,
            "scores": snapshot_scores("reconstruction", "manipulation", "interpolation"),
            "logs": FOLLOWED_LOGS,
            "tables": tables("probes"),
        },
        settings={**BOOTSTRAP, "curves": "curves", "window": "verdicts/ssim_window"},
        requires=("curves",),
        asked_by="curves/networks",
        title="Learning curves",
    ),
    Table(
        "reconstruction", "reconstruction",
        _TABULATE_SCORES, {"scores": scores("reconstruction")},
        options={"table": "reconstruction"},
        title="Reconstruction by method and sampler steps",
    ),
    Table(
        "stochastic", "reconstruction",
        _TABULATE_SCORES, {"scores": scores("stochastic")},
        options={"table": "stochastic"},
        title="Decodings of one semantic code",
    ),
    Table(
        "probes", "probes",
        "ldae.evaluation.probes.tables:tabulate_probes", {"predictions": PREDICTIONS},
        title="Linear probes of every code",
    ),
    Table(
        "labels", "probes",
        "ldae.evaluation.probes.labels:tabulate_labels", {"predictions": LABEL_CURVES},
        title="Probes by number of labelled participants, cross-validated",
    ),
    Table(
        "ablations", "probes",
        "ldae.conclusions.ablations:tabulate_ablations", {"predictions": PREDICTIONS},
        asked_by="ablations",
        title="Ablations",
    ),
    Table(
        "manipulation", "manipulation",
        _TABULATE_SCORES, {"scores": scores("manipulation")},
        options={"table": "manipulation"},
        title="Edits of the semantic code",
    ),
    Table(
        "interpolation", "interpolation",
        _TABULATE_SCORES, {"scores": scores("interpolation")},
        options={"table": "interpolation"},
        title="Filled-in visits by method, gap and distance",
    ),
    Table(
        "throughput", "throughput",
        None, {}, requires=("throughput",),
        title="Time and memory per scan",
    ),
)  # fmt: skip
"""Every table, in the order of the report."""
