"""Every figure: what draws it, what it is made of, its caption, and where the report shows it.

A new figure is its two functions (drawing and caption) and an entry of :data:`FIGURES`; rule,
script, plan and report find it here. Only the standard library is imported: this module is read
whenever the Snakefile is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ldae.conclusions.sources import (
    INDEX,
    MASKS,
    PREDICTIONS,
    TRAINING_LOGS,
    VOLUME_PAIRS,
    VOLUMES,
    Product,
    examples,
    table,
)


@dataclass(frozen=True)
class Figure(Product):
    """A figure, ``figures/<name>.png`` and ``.svg``, beside its numbers in ``figures/<name>.tsv``.

    Its function returns the matplotlib figure and the table of what it shows.

    Attributes
    ----------
    caption
        Reference of the function that writes the caption. It gets those of ``data`` (the figure's
        own numbers), ``methods``, ``networks``, and the figure's options and settings that it has
        a parameter for.
    per_task
        Whether there is one figure for each task, ``<name>_<task>``, whose function gets ``task``.
    drawn_as
        Its picture below the results, where a rule of its own draws it.
    """

    caption: str
    drawn_as: str = field(default="", kw_only=True)
    per_task: bool = field(default=False, kw_only=True)

    @property
    def picture(self) -> str:
        """Its picture below the results."""
        return self.drawn_as or f"figures/{self.name}.png"

    def variants(self, tasks: Iterable[str]) -> list[Figure]:
        """The figure itself, or one for each task."""
        if not self.per_task:
            return [self]
        return [
            replace(
                self,
                name=f"{self.name}_{task}",
                options={**self.options, "task": task},
                requires=(*self.requires, f"task {task}"),
                per_task=False,
            )
            for task in tasks
        ]


DIAGNOSES = {"diagnoses": "cohort/diagnoses"}
"""Setting that several figures take, by the parameter that gets it."""

FIGURES = (
    Figure(
        "verdicts", "claims", "ldae.figures.verdicts:plot_verdicts", {"table": table("verdicts")},
        "ldae.figures.verdicts:describe_verdicts",
    ),
    Figure(
        "comparisons", "claims",
        "ldae.figures.comparisons:plot_comparisons", {"table": table("comparisons")},
        "ldae.figures.comparisons:describe_comparisons",
        settings={"n_steps": "verdicts/n_steps", "window": "verdicts/ssim_window"},
    ),
    Figure(
        "cohort", "cohort",
        "ldae.figures.cohort:plot_cohort", {"volumes": VOLUMES, "masks": MASKS, "index": INDEX},
        "ldae.figures.cohort:describe_cohort",
    ),
    Figure(
        "qc", "cohort", None, {}, "ldae.figures.cohort:describe_quality", drawn_as="qc/qc.png",
    ),
    Figure(
        "volumes", "cohort",
        "ldae.figures.cohort:plot_volumes", {"pairs": VOLUME_PAIRS, "table": table("volumes")},
        "ldae.figures.cohort:describe_volumes",
    ),
    Figure(
        "training", "training", "ldae.figures.training:plot_training", {"metrics": TRAINING_LOGS},
        "ldae.figures.training:describe_training",
    ),
    Figure(
        "curves", "training", "ldae.figures.curves:plot_curves", {"table": table("curves")},
        "ldae.figures.curves:describe_curves", asked_by="curves/networks",
    ),
    Figure(
        "reconstruction", "reconstruction",
        "ldae.figures.reconstruction:plot_reconstruction", {"examples": examples("reconstruction")},
        "ldae.figures.reconstruction:describe_reconstruction",
    ),
    Figure(
        "reconstruction_steps", "reconstruction",
        "ldae.figures.reconstruction:plot_reconstruction_steps", {"table": table("reconstruction")},
        "ldae.figures.reconstruction:describe_reconstruction_steps",
        settings={"window": "verdicts/ssim_window"},
    ),
    Figure(
        "stochastic", "reconstruction",
        "ldae.figures.reconstruction:plot_stochastic", {"examples": examples("stochastic")},
        "ldae.figures.reconstruction:describe_stochastic",
    ),
    Figure(
        "labels", "probes", "ldae.figures.labels:plot_labels", {"table": table("labels")},
        "ldae.figures.labels:describe_labels",
    ),
    Figure(
        "roc", "probes",
        "ldae.figures.probes:plot_roc", {"predictions": PREDICTIONS, "table": table("probes")},
        "ldae.figures.probes:describe_roc", settings=DIAGNOSES, requires=("task ad_vs_cn",),
    ),
    Figure(
        "age", "probes", "ldae.figures.probes:plot_age",
        {"predictions": PREDICTIONS, "table": table("probes"), "index": INDEX},
        "ldae.figures.probes:describe_age", settings=DIAGNOSES, requires=("task age",),
    ),
    Figure(
        "manipulation", "manipulation",
        "ldae.figures.manipulation:plot_manipulation", {"examples": examples("manipulation")},
        "ldae.figures.manipulation:describe_manipulation", settings=DIAGNOSES, per_task=True,
    ),
    Figure(
        "dose_response", "manipulation",
        "ldae.figures.manipulation:plot_dose_response", {"table": table("manipulation")},
        "ldae.figures.manipulation:describe_dose_response",
    ),
    Figure(
        "edit_maps", "manipulation",
        "ldae.figures.edit_maps:plot_edit_maps", {"examples": examples("manipulation")},
        "ldae.figures.edit_maps:describe_edit_maps",
    ),
    Figure(
        "edit_fidelity", "manipulation",
        "ldae.figures.fidelity:plot_edit_fidelity", {"table": table("manipulation")},
        "ldae.figures.fidelity:describe_edit_fidelity",
        settings={"bounds": "verdicts/bounds"},
    ),
    Figure(
        "interpolation_sequence", "interpolation",
        "ldae.figures.interpolation:plot_interpolation_sequence",
        {"examples": examples("interpolation")},
        "ldae.figures.interpolation:describe_interpolation_sequence",
    ),
    Figure(
        "interpolation_gap", "interpolation",
        "ldae.figures.interpolation:plot_interpolation_gap", {"table": table("interpolation")},
        "ldae.figures.interpolation:describe_interpolation_gap",
    ),
    Figure(
        "throughput", "throughput",
        "ldae.figures.throughput:plot_throughput", {"table": table("throughput")},
        "ldae.figures.throughput:describe_throughput",
    ),
)  # fmt: skip
"""Every figure, in the order of the report."""
