"""The claims of the paper in one table, by the paper's protocol and by the workflow's.

The paper (Lozupone et al. 2026) scores reconstructions over the whole volume, background included,
in small uniform windows; interpolations against the autoencoder's reconstruction of the target, in
windows of another size (``verdicts.paper_windows`` of the settings); and gives precision and recall
of the control group. Those rows are called ``paper``. The rows called ``workflow`` score inside the
brain, with the standard window, against the real scan, with patients as the positive class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from ldae.conclusions.criteria import SSIM_WINDOW, Criteria, Criterion, conditions
from ldae.statistics.tables import CONDITION_COLUMNS, RESULT_COLUMNS, scored_split, tidy

PAPER, WORKFLOW = "paper", "workflow"
SCORED = "scored"

PAPER_RECONSTRUCTION = Criterion(("paper_windows", "reconstruction"))
PAPER_INTERPOLATION = Criterion(("paper_windows", "interpolation"))
"""Windows of SSIM in the paper's protocol."""


@dataclass(frozen=True)
class Selection:
    """Rows of one table that speak to one claim.

    Attributes
    ----------
    claim
        Short name of the claim.
    protocol
        ``paper`` or ``workflow``.
    table
        Table they come from.
    metrics
        Metrics taken.
    where
        Conditions: a value, a number of the criteria, None for an empty cell, or ``SCORED`` for the
        split whose participants are scored.
    """

    claim: str
    protocol: str
    table: str
    metrics: tuple[str, ...]
    where: Mapping[str, object] = field(default_factory=dict)


SAME = ("roc_auc", "accuracy")
SELECTIONS = (
    Selection(
        "disease is in the code", PAPER, "probes",
        (*SAME, "precision_cn_positive", "recall_cn_positive", "f1_cn_positive"),
        {"task": "ad_vs_cn", "split": SCORED},
    ),
    Selection(
        "disease is in the code", WORKFLOW, "probes",
        (*SAME, "balanced_accuracy", "sensitivity", "specificity"),
        {"task": "ad_vs_cn", "split": SCORED},
    ),
    Selection("age is in the code", PAPER, "probes", ("mae", "rmse"), {"split": SCORED}),
    Selection("age is in the code", WORKFLOW, "probes", ("mae", "rmse", "r2"), {"split": SCORED}),
    Selection(
        "reconstruction", PAPER, "reconstruction", ("ssim",),
        {"region": "whole", "window": PAPER_RECONSTRUCTION},
    ),
    Selection(
        "reconstruction", PAPER, "reconstruction", ("mse", "lpips"), {"region": "whole"}
    ),
    Selection(
        "reconstruction", WORKFLOW, "reconstruction", ("ssim",),
        {"region": "mask", "window": SSIM_WINDOW},
    ),
    Selection(
        "reconstruction", WORKFLOW, "reconstruction", ("mse", "lpips"), {"region": "mask"}
    ),
    Selection(
        "manipulation", WORKFLOW, "manipulation",
        (
            "ventricle_change_spearman", "hippocampus_change_spearman", "response_spearman",
            "off_target_ratio", "off_target_ratio_participants", "identity_kept", "change_ratio",
            "truth_correlation", "truth_agreement", "truth_ceiling",
        ),
        {"amount": None},
    ),
    Selection(
        "interpolation", PAPER, "interpolation", ("ssim",),
        {
            "target": "autoencoder", "region": "whole", "window": PAPER_INTERPOLATION,
            "nearest_months": None,
        },
    ),
    Selection(
        "interpolation", PAPER, "interpolation", ("mse",),
        {"target": "autoencoder", "region": "whole", "nearest_months": None},
    ),
    Selection(
        "interpolation", WORKFLOW, "interpolation", ("ssim",),
        {"target": "real", "region": "mask", "window": SSIM_WINDOW, "nearest_months": None},
    ),
    Selection(
        "interpolation", WORKFLOW, "interpolation", ("mse", "skill"),
        {"target": "real", "region": "mask", "nearest_months": None},
    ),
    Selection(
        "interpolation", WORKFLOW, "interpolation", ("ventricle_error_ml", "hippocampus_error_ml"),
        {"target": "real", "nearest_months": None},
    ),
    Selection("throughput", PAPER, "throughput", ("speed_ratio",), {"method": "ldae"}),
    Selection(
        "throughput", WORKFLOW, "throughput",
        ("speed_ratio", "speed_ratio_same_sampler", "seconds_per_scan", "peak_memory_mb"),
    ),
)  # fmt: skip


def tabulate_claims(tables: Mapping[str, pd.DataFrame], criteria: Criteria) -> pd.DataFrame:
    """The paper's claims, each by both protocols.

    Parameters
    ----------
    tables
        The study's tables by name (:func:`ldae.statistics.tables.read_table`); what is missing is
        left out.
    criteria
        Section ``verdicts`` of the settings, for the windows of SSIM.

    Returns
    -------
    pandas.DataFrame
        Table ``claims``: rows of the given tables with columns claim and protocol.
    """
    parts = [_select(tables[s.table], s, criteria) for s in SELECTIONS if s.table in tables]
    rows = pd.concat([p for p in parts if len(p)], ignore_index=True)
    known = {"cohort", "split", "method", *CONDITION_COLUMNS["claims"], *RESULT_COLUMNS}
    rows = rows[[c for c in rows.columns if c in known]]
    return tidy(rows, "claims", cohort="", seeds={})


def _select(table: pd.DataFrame, selection: Selection, criteria: Criteria) -> pd.DataFrame:
    keep = table["metric"].isin(selection.metrics)
    wanted = conditions(selection.where, criteria)
    if wanted.get("split") == SCORED:
        wanted["split"] = scored_split(table)
    for mask in _conditions(table, wanted):
        keep &= mask
    return table[keep].assign(claim=selection.claim, protocol=selection.protocol)


def _conditions(table: pd.DataFrame, where: Mapping[str, object]) -> Iterator[pd.Series]:
    for column, wanted in where.items():
        yield table[column].isna() if wanted is None else table[column] == wanted
