"""What holds of the paper's claims: statements that the study's own numbers can refute.

A claim in words (disease and age are in the code) is made of statements about one number each (the
AUC is above that of voxel PCA on the same participants). A statement holds where the whole interval
lies on its side of the bound, fails where the whole interval lies on the other side, and is open
where the bound lies in the interval: these participants cannot tell. A statement that cannot be
judged of a model is open too, and its row says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from ldae.conclusions.attribution import (
    Part,
    of_code,
    of_edit,
    of_filling,
    of_inversion,
    of_latent_space,
    of_space_and_sampler,
)
from ldae.conclusions.criteria import (
    N_STEPS,
    SSIM_WINDOW,
    Criteria,
    Criterion,
    bound,
    conditions,
)
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.methods import Methods, Role, Space
from ldae.statistics.measures import AD_VS_CN, AGE
from ldae.statistics.tables import (
    CONDITION_COLUMNS,
    IDENTITY_COLUMNS,
    RESULT_COLUMNS,
    scored_split,
    tidy,
)

HOLDS, FAILS, OPEN = "holds", "fails", "open"

UNKNOWN = "the number could not be computed"


@dataclass(frozen=True)
class Statement:
    """A statement about every model's number in some rows of a table.

    Attributes
    ----------
    claim
        The claim it belongs to.
    text
        The statement in words, with the bound in braces; the row's conditions (against what, by
        which judge, …) complete it.
    table, metric
        Where the number stands.
    bound
        What it is compared with: a number, or one of the criteria.
    above
        Whether it must lie above the bound; else below.
    where
        Conditions of the rows: a value, one of several, a number of the criteria, or None for an
        empty cell.
    against_space
        Space in which the model that it is compared with diffuses; None for any comparator.
    evaluation
        The evaluation that gives the number; None for the probes of codes.
    part
        The part of a model that it is due to where it holds (:mod:`ldae.conclusions.attribution`).
    needs
        What a plan may leave out (:attr:`ldae.workflow.plan.StudyPlan.left_out`) and the statement
        cannot be judged without.
    """

    claim: str
    text: str
    table: str
    metric: str
    bound: float | Criterion
    above: bool = True
    where: Mapping[str, object] = field(default_factory=dict)
    against_space: Space | None = None
    evaluation: str | None = None
    part: Part = field(kw_only=True)
    needs: tuple[str, ...] = ()

    def limit(self, criteria: Criteria) -> float:
        """The bound that these criteria give."""
        return self.bound.value(criteria) if isinstance(self.bound, Criterion) else self.bound

    def words(self, criteria: Criteria) -> str:
        """The statement with its bound."""
        return self.text.format(bound=f"{abs(self.limit(criteria)):g}")

    def models(self, methods: Methods) -> Methods:
        """Models that it is about."""
        models = methods.select(Role.MODEL, evaluation=self.evaluation)
        return models.coded() if self.evaluation is None else models


CODE, RECONSTRUCTION = "disease and age are in the code", "reconstruction"
MANIPULATION, INTERPOLATION = "manipulation", "interpolation"
SPEED = "speed against voxel space"

# Sex is left out: where it has no anatomy, as in the simulated cohort, its judges guess.
TASKS = (AD_VS_CN, AGE)
RECONSTRUCTED = {"claim": "reconstruction", "steps": N_STEPS, "window": SSIM_WINDOW}
# The semantic encoder is the same in both spaces.
DIFFUSED = ("encode", "reconstruct", "interpolate")
OVER_AMOUNTS = {"amount": None}
FILLED_IN = {"target": "real", "nearest_months": None}

TASK_AD, TASK_AGE = f"task {AD_VS_CN}", f"task {AGE}"
TRUTH, TRIPLES = "method true_volumes", "interpolation"
"""What statements need of a plan."""

STATEMENTS = (
    Statement(
        CODE, "AUC is above that of", "comparisons", "roc_auc_gain", 0.0,
        needs=(TASK_AD,),
        part=of_code,
    ),
    Statement(
        CODE, "age error is below that of", "comparisons", "mae_gain", 0.0,
        needs=(TASK_AGE,),
        part=of_code,
    ),
    Statement(
        RECONSTRUCTION, "SSIM is within {bound} of the autoencoder's",
        "comparisons", "ssim_gain", bound("ssim_loss", -1),
        where=RECONSTRUCTED | {"against": "autoencoder"}, evaluation="reconstruction",
        part=of_inversion,
    ),
    Statement(
        RECONSTRUCTION, "SSIM is above that of", "comparisons", "ssim_gain", 0.0,
        where=RECONSTRUCTED, against_space=Space.VOXEL, evaluation="reconstruction",
        part=of_inversion,
    ),
    Statement(
        MANIPULATION, "ventricles grow with the edit: Spearman at least {bound}",
        "manipulation", "ventricle_change_spearman", bound("ventricle_spearman"),
        where=OVER_AMOUNTS, evaluation="manipulation",
        part=of_edit,
    ),
    Statement(
        MANIPULATION, "at least {bound} of the edits change what the truth changes",
        "manipulation", "truth_agreement", bound("truth_agreement"),
        where=OVER_AMOUNTS, evaluation="manipulation", needs=(TRUTH,),
        part=of_edit,
    ),
    Statement(
        MANIPULATION, "at least {bound} of the edited scans keep the participant's identity",
        "manipulation", "identity_kept", bound("identity_kept"),
        where=OVER_AMOUNTS, evaluation="manipulation",
        part=of_inversion,
    ),
    Statement(
        MANIPULATION, "the other one of disease and age moves less than {bound} times as much",
        "manipulation", "off_target_ratio", bound("off_target_ratio"), above=False,
        where=OVER_AMOUNTS | {"attribute": TASKS}, evaluation="manipulation",
        needs=(TASK_AD, TASK_AGE),
        part=of_edit,
    ),
    Statement(
        INTERPOLATION, "squared error is below the best trivial answer's: skill above 0",
        "interpolation", "skill", 0.0,
        where=FILLED_IN | {"region": "mask"}, evaluation="interpolation", needs=(TRIPLES,),
        part=of_filling,
    ),
    Statement(
        INTERPOLATION, "error of the ventricles' volume is below that of",
        "comparisons", "ventricle_error_gain_ml", 0.0,
        where={"claim": "interpolation", "target": "real"}, evaluation="interpolation",
        needs=(TRIPLES,),
        part=of_filling,
    ),
    Statement(
        SPEED, "faster than the voxel DAE", "throughput", "speed_ratio", 1.0,
        where={"operation": DIFFUSED}, evaluation="throughput",
        part=of_space_and_sampler,
    ),
    Statement(
        SPEED, "faster than the voxel DAE with the same sampler and steps",
        "throughput", "speed_ratio_same_sampler", 1.0,
        where={"operation": DIFFUSED}, evaluation="throughput",
        part=of_latent_space,
    ),
)  # fmt: skip


def judge_claims(
    tables: Mapping[str, pd.DataFrame],
    methods: Methods,
    criteria: Criteria,
    left_out: Mapping[str, str],
) -> pd.DataFrame:
    """Verdict on every statement for every model.

    Parameters
    ----------
    tables
        The study's tables by name (:func:`ldae.statistics.tables.read_table`), as far as they
        exist.
    methods
        The study's methods: models under test are judged, against all that are neither models nor
        the truth.
    criteria
        Section ``verdicts`` of the settings: bounds, sampler steps and window of SSIM.
    left_out
        What the cohort does not allow, and why (:attr:`ldae.workflow.plan.StudyPlan.left_out`).

    Returns
    -------
    pandas.DataFrame
        Table ``verdicts``: claim, statement, the conditions of the number, the number,
        ``holds``, ``fails`` or ``open``, and which part of the model it is due to. A model of
        which a statement cannot be judged has one row, ``open``, with the reason in the note; so
        has a statement about no model.
    """
    cohorts = (str(name) for table in tables.values() for name in table["cohort"].unique())
    cohort = next(cohorts, "")
    parts: list[pd.DataFrame] = []
    for statement in STATEMENTS:
        judged = _judge(statement, tables, methods, criteria)
        missing = [m for m in statement.models(methods) if m not in set(judged["method"])]
        if judged.empty and not missing:
            missing = ["none"]
        reason = _reason(statement, tables, criteria, left_out) if missing else ""
        unjudged = [
            {"cohort": cohort, "method": m, "seed": "", "verdict": OPEN, "note": reason}
            for m in missing
        ]
        said = {"claim": statement.claim, "statement": statement.words(criteria)}
        parts += [p.assign(**said) for p in (judged, pd.DataFrame(unjudged)) if len(p)]
    rows = pd.concat(parts, ignore_index=True).assign(metric="measured")
    rows["value"] = rows["value"] if "value" in rows else float("nan")
    known = {*IDENTITY_COLUMNS, *CONDITION_COLUMNS["verdicts"], *RESULT_COLUMNS}
    return tidy(rows[[c for c in rows if c in known]], "verdicts", cohort=cohort, seeds={})


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


def _judge(
    statement: Statement,
    tables: Mapping[str, pd.DataFrame],
    methods: Methods,
    criteria: Criteria,
) -> pd.DataFrame:
    """Rows of a table that a statement is about, with its verdict on each."""
    if statement.table not in tables:
        return pd.DataFrame(columns=["method"])
    table = tables[statement.table]
    models, truth = methods.select(Role.MODEL), methods.select(Role.TRUTH)
    keep = (table["metric"] == statement.metric) & table["method"].isin(list(models))
    keep &= table["split"].isin([scored_split(table), CROSS_VALIDATED])
    if "against" in table:
        keep &= ~table["against"].isin([*models, *truth])
    if statement.against_space is not None:
        alike = [m.name for m in methods.values() if m.space is statement.against_space]
        keep &= table["against"].isin(alike)
    for _, mask in _conditions(table, statement, criteria):
        keep &= mask
    rows = table[keep]
    limit = statement.limit(criteria)
    verdicts = [
        verdict(low, high, limit, statement.above)
        for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)
    ]
    why = rows["note"].where(rows["note"] != "", UNKNOWN)
    rows = rows.assign(verdict=verdicts, note=why.where(rows["value"].isna(), ""))
    earned = [
        statement.part(row, tables, methods) if row["verdict"] == HOLDS else ""
        for _, row in rows.iterrows()
    ]
    return rows.assign(earned_by=earned)


def _conditions(
    table: pd.DataFrame, statement: Statement, criteria: Criteria
) -> Iterator[tuple[str, pd.Series]]:
    """Each condition of a statement in words, and the rows of the table that meet it."""
    for column, wanted in conditions(statement.where, criteria).items():
        if wanted is None:
            yield f"over every {column}", table[column].isna()
        else:
            several = wanted if isinstance(wanted, tuple) else (wanted,)
            shown = " or ".join(f"{w:g}" if isinstance(w, float) else str(w) for w in several)
            yield f"with {column} {shown}", table[column].isin(several)


def _reason(
    statement: Statement,
    tables: Mapping[str, pd.DataFrame],
    criteria: Criteria,
    left_out: Mapping[str, str],
) -> str:
    """Why a statement cannot be judged of a model."""
    reasons = [left_out[need] for need in statement.needs if need in left_out]
    if reasons:
        return "; ".join(reasons)
    if statement.table not in tables:
        return f"there is no table {statement.table}"
    table = tables[statement.table]
    measured = table["metric"] == statement.metric
    if not measured.any():
        return f"{statement.metric} was not measured"
    for words, mask in _conditions(table, statement, criteria):
        if not (measured & mask).any():
            return f"{statement.metric} was not measured {words}"
    return f"{statement.metric} was not measured of this model, or of what it is compared with"
