"""What holds of the paper's claims: statements that the study's own numbers can refute.

A claim in words (disease and age are in the code) is made of statements about one number each (the
AUC is above that of voxel PCA on the same people).  A statement holds where the whole interval lies
on its side of the bound, fails where the whole interval lies on the other side, and is open where
the bound lies in the interval: these people cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.methods import Methods, Role, Space
from ldae.statistics.measures import AD_VS_CN, AGE
from ldae.statistics.tables import CONDITION_COLUMNS, IDENTITY_COLUMNS, RESULT_COLUMNS, tidy

HOLDS, FAILS, OPEN = "holds", "fails", "open"

SPLITS = ("test", CROSS_VALIDATED)


@dataclass(frozen=True)
class Statement:
    """A statement about every model's number in some rows of a table.

    Attributes
    ----------
    claim
        The claim it belongs to.
    text
        The statement in words; the row's conditions (against what, by which judge, …) complete it.
    table, metric
        Where the number stands.
    bound
        What it is compared with.
    above
        Whether it must lie above the bound; else below.
    where
        Conditions of the rows: a value, one of several, or None for an empty cell.
    against_space
        Space in which the model that it is compared with diffuses; None for any comparator.
    """

    claim: str
    text: str
    table: str
    metric: str
    bound: float
    above: bool = True
    where: Mapping[str, object] = field(default_factory=dict)
    against_space: Space | None = None


CODE, RECONSTRUCTION = "disease and age are in the code", "reconstruction"
MANIPULATION, INTERPOLATION = "manipulation", "interpolation"
SPEED = "speed against voxel space"

# Sex is left out: where it has no anatomy, as in the simulated cohort, its judges guess.
TASKS = (AD_VS_CN, AGE)
# Reconstructions are judged at the sampler steps that every method takes, by the standard window.
STEPS = 20
RECONSTRUCTED = {"claim": "reconstruction", "steps": STEPS, "window": 11}
# The semantic encoder is the same in both spaces.
DIFFUSED = ("encode", "reconstruct", "interpolate")
FILLED_IN = {"target": "real", "nearest_months": None}

STATEMENTS = (
    Statement(CODE, "AUC is above that of", "comparisons", "roc_auc_gain", 0.0),
    Statement(CODE, "age error is below that of", "comparisons", "mae_gain", 0.0),
    Statement(
        CODE, "at least 90 % of the way from chance to the true volumes' AUC",
        "probes", "share_of_ceiling", 0.9,
    ),
    Statement(
        RECONSTRUCTION, "SSIM is within 0.002 of the autoencoder's",
        "comparisons", "ssim_gain", -0.002,
        where=RECONSTRUCTED | {"against": "autoencoder"},
    ),
    Statement(
        RECONSTRUCTION, "SSIM is above that of", "comparisons", "ssim_gain", 0.0,
        where=RECONSTRUCTED, against_space=Space.VOXEL,
    ),
    Statement(
        MANIPULATION, "ventricles grow with the edit: Spearman at least 0.95",
        "manipulation", "ventricle_change_spearman", 0.95, where={"amount": None},
    ),
    Statement(
        MANIPULATION, "at least 0.8 of the edits change what the truth changes",
        "manipulation", "truth_agreement", 0.8, where={"amount": None},
    ),
    Statement(
        MANIPULATION, "at least 0.95 of the edited scans keep the person's identity",
        "manipulation", "identity_kept", 0.95, where={"amount": None},
    ),
    Statement(
        MANIPULATION, "the other one of disease and age moves less than a fifth as much",
        "manipulation", "off_target_ratio", 0.2, above=False,
        where={"amount": None, "attribute": TASKS},
    ),
    Statement(
        INTERPOLATION, "squared error is below the best trivial answer's: skill above 0",
        "interpolation", "skill", 0.0, where=FILLED_IN | {"region": "mask"},
    ),
    Statement(
        INTERPOLATION, "error of the ventricles' volume is below that of",
        "comparisons", "ventricle_error_gain_ml", 0.0,
        where={"claim": "interpolation", "target": "real"},
    ),
    Statement(
        SPEED, "faster than the voxel DAE", "throughput", "speed_ratio", 1.0,
        where={"operation": DIFFUSED},
    ),
    Statement(
        SPEED, "faster than the voxel DAE with the same sampler and steps",
        "throughput", "speed_ratio_same_sampler", 1.0, where={"operation": DIFFUSED},
    ),
)  # fmt: skip


def judge_claims(tables: Mapping[str, pd.DataFrame], methods: Methods) -> pd.DataFrame:
    """Verdict on every statement for every model.

    Parameters
    ----------
    tables
        The study's tables by name (:func:`ldae.statistics.tables.read_table`), as far as they
        exist.
    methods
        The study's methods: models under test are judged, against all that are neither models nor
        the truth.

    Returns
    -------
    pandas.DataFrame
        Table ``verdicts``: claim, statement, the conditions of the number, the number, and
        ``holds``, ``fails`` or ``open``.
    """
    parts = [_judge(tables[s.table], s, methods) for s in STATEMENTS if s.table in tables]
    parts = [part for part in parts if len(part)]
    if not parts:
        nothing = {"method": "none", "metric": "measured", "value": float("nan")}
        return tidy([nothing | {"note": "nothing to judge"}], "verdicts", cohort="", seeds={})
    rows = pd.concat(parts, ignore_index=True)
    known = {*IDENTITY_COLUMNS, *CONDITION_COLUMNS["verdicts"], *RESULT_COLUMNS}
    return tidy(rows[[c for c in rows if c in known]], "verdicts", cohort="", seeds={})


def verdict(low: float, high: float, bound: float, above: bool) -> str:
    """Verdict on a number with an interval.

    Parameters
    ----------
    low, high
        The interval.
    bound
        The number should not lie beyond it.
    above
        Whether it should lie above the bound; else below.

    Returns
    -------
    str
        ``holds``, ``fails`` or ``open``; open also where there is no interval.
    """
    good, bad = (low >= bound, high < bound) if above else (high <= bound, low > bound)
    return HOLDS if good else FAILS if bad else OPEN


def _judge(table: pd.DataFrame, statement: Statement, methods: Methods) -> pd.DataFrame:
    """Rows of a table that a statement is about, with its verdict on each."""
    models, truth = methods.select(Role.MODEL), methods.select(Role.TRUTH)
    keep = (table["metric"] == statement.metric) & table["method"].isin(list(models))
    keep &= table["split"].isin(SPLITS)
    if "against" in table:
        keep &= ~table["against"].isin([*models, *truth])
    if statement.against_space is not None:
        alike = [m.name for m in methods.values() if m.space is statement.against_space]
        keep &= table["against"].isin(alike)
    for column, wanted in statement.where.items():
        if wanted is None:
            keep &= table[column].isna()
        else:
            keep &= table[column].isin(wanted if isinstance(wanted, tuple) else [wanted])
    rows = table[keep]
    verdicts = [
        verdict(low, high, statement.bound, statement.above)
        for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)
    ]
    said = {"claim": statement.claim, "statement": statement.text, "verdict": verdicts}
    return rows.assign(**said, metric="measured", note="")
