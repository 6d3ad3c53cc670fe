"""Scores of single scans, written by the evaluations, and the tables computed from them.

An evaluation runs models and writes one row per scan and metric. All statistics (means, intervals,
skills, ratios) are computed here from those rows, also over several trainings (seeds), so they can
be repeated without running a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.errors import InputError
from ldae.leakage import note_scored
from ldae.methods import Methods, Role
from ldae.statistics.bootstrap import subject_bootstrap, summarise_scores, weighted_mean
from ldae.statistics.tables import SCORE_CONDITIONS, tidy
from ldae.subsets import TEST

SCAN_COLUMNS = ("seed", "split", "method", "subject", "scan")
NOTHING = 0
"""Value of `steps` and `window` if they do not apply; written to the file as an empty cell."""

BEST_IN_TRAINING = "best trivial answer in training participants"
"""Note of the interpolation that models are held to (`skill`)."""

EXTRA_COLUMNS = {"interpolation": ("triple",)}
"""Columns of scores that are not conditions of the table."""

OVERALL_METRICS = (
    "change_ratio", "identity_kept", "map_correlation", "truth_correlation", "truth_agreement",
)  # fmt: skip
"""Measures of edits that are also averaged over all amounts except 0 (rows without an amount)."""

SHARES = ("identity_kept", "truth_agreement")
"""Measures of edits that are 0 or 1 for each scan, so that their means are shares."""

SLOPES = {
    "response_slope": "off_target_ratio",
    "participant_slope": "off_target_ratio_participants",
}
"""For each slope of a judge's response, the metric of its ratio, off-target over on-target. The
slope is per amount of the edit, or per unit of the attribute between real participants."""


NO_RATIO = "the interval of the edited attribute's slope is not above zero, so there is no ratio"
"""Note of an empty ratio of slopes."""


def score_columns(table: str) -> list[str]:
    """Columns of a file of scores; `table` is a key of ``SCORE_CONDITIONS``."""
    extra = EXTRA_COLUMNS.get(table, ())
    return [*SCAN_COLUMNS, *SCORE_CONDITIONS[table], *extra, "metric", "value", "note"]


def write_scores(scores: pd.DataFrame, table: str, seed: int, split: str, path: Path) -> None:
    """Write the scores of one evaluation; equal scores give equal bytes.

    Parameters
    ----------
    scores
        Columns method, subject, scan, metric, value and the conditions of the table; missing
        columns are written as empty cells.
    table
        Key of ``SCORE_CONDITIONS``.
    seed
        Seed of the training that was evaluated.
    split
        The evaluated split, for scores without a split.
    path
        File to write, tab-separated; compressed with gzip if its name ends in ``.gz``.

    Raises
    ------
    ValueError
        If there are columns that the table does not have.
    """
    columns = score_columns(table)
    frame = scores.assign(seed=seed)
    frame["split"] = frame["split"].fillna(split) if "split" in frame else split
    note_scored(frame.loc[frame["split"] == TEST, "subject"])
    unknown = set(frame.columns) - set(columns)
    if unknown:
        raise ValueError(f"scores of {table}: unknown {sorted(unknown)}")
    for column in columns:
        if column not in frame:
            frame[column] = "" if column in ("note", "region") else np.nan
    for column in {"steps", "window"} & set(columns):
        frame[column] = frame[column].astype("Int64").mask(frame[column] == NOTHING)
    # No time stamp in the gzip header.
    compression = {"method": "gzip", "mtime": 0} if Path(path).suffix == ".gz" else None
    frame[columns].to_csv(
        path, sep="\t", index=False, float_format="%.9g", lineterminator="\n",
        compression=compression,
    )  # fmt: skip


def read_scores(paths: Sequence[Path], table: str) -> pd.DataFrame:
    """Scores of one or more trainings in one table.

    Raises
    ------
    InputError
        If a file lacks columns, or two files contain the same training.
    """
    parts: list[pd.DataFrame] = []
    seen: set[int] = set()
    for path in paths:
        part = pd.read_csv(path, sep="\t", dtype={"subject": str, "scan": str, "note": str})
        missing = set(score_columns(table)) - set(part.columns)
        if missing:
            raise InputError(path, f"lacks the columns {sorted(missing)}", "Evaluate again.")
        if seen & set(part["seed"]):
            raise InputError(path, "holds a seed that another file holds", "Give each seed once.")
        seen |= set(part["seed"])
        for column in ("note", "region", "attribute", "judge", "task"):
            if column in part:
                part[column] = part[column].fillna("").astype(str)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def tabulate_scores(
    scores: pd.DataFrame,
    table: str,
    methods: Methods,
    *,
    cohort: str,
    n_bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """Table of an evaluation: means over scans, with intervals over subjects (and seeds).

    Parameters
    ----------
    scores
        From :func:`read_scores`.
    table
        Key of ``SCORE_CONDITIONS``.
    methods
        Methods of the study: which are trivial interpolations, and which have training seeds.
    cohort
        Name of the cohort.
    n_bootstrap, seed
        Number of replicates, and their seed.

    Returns
    -------
    pandas.DataFrame
        The table. For interpolation it has rows over all triples (without gap and distance), by gap
        and by distance to the nearer visit, and ``skill`` = 1 - MSE/MSE of the trivial
        interpolation that was best in training participants; if they have no three visits, of the
        best here, chosen again in every replicate. For manipulation it also has means over all
        amounts (without an amount), and ``off_target_ratio``: the slope of an off-target attribute
        divided by that of the on-target attribute, each in SDs of the judge's score between
        participants. The ratio is empty unless the whole interval of the on-target slope
        is above 0.
    """
    if table == "interpolation":
        trivial = list(methods.select(Role.TRIVIAL, evaluation=table))
        rows = _tabulate_interpolation(scores, trivial, n_bootstrap, seed)
    else:
        conditions = ["split", "method", *SCORE_CONDITIONS[table]]
        rows = summarise_scores(scores, conditions, n_bootstrap, seed, SHARES)
        if table == "manipulation":
            edits = scores[scores["metric"].isin(OVERALL_METRICS) & (scores["amount"] != 0)]
            edits = edits[edits["amount"].notna()].assign(amount=np.nan)
            overall = summarise_scores(edits, conditions, n_bootstrap, seed, SHARES)
            ratios = _off_target(scores, n_bootstrap, seed)
            alone = (overall["metric"] == "identity_kept") & overall["value"].isna()
            overall.loc[alone, "note"] = "none: no edited participant has another visit here"
            rows = pd.concat([rows[rows["value"].notna()], overall, ratios], ignore_index=True)
            rows = rows[rows["value"].notna() | (rows["note"] != "")]
    return tidy(rows, table, cohort=cohort, seeds=seeds_of_scores(scores, methods))


def seeds_of_scores(scores: pd.DataFrame, methods: Methods) -> dict[str, list[int]]:
    """Training seeds of all methods that have any; `scores` is from :func:`read_scores`.

    Methods without a training seed have the same scores in the evaluation of every seed.
    """
    unseeded = [name for name, method in methods.items() if not method.seeded]
    trained = scores[~scores["method"].isin(unseeded)]
    return {str(m): sorted(set(part["seed"])) for m, part in trained.groupby("method")}


def _tabulate_interpolation(
    scores: pd.DataFrame, trivial: Sequence[str], n_bootstrap: int, seed: int
) -> pd.DataFrame:
    keys = ["split", "method", "steps", "target", "region", "window"]
    tables = []
    scores = scores.sort_values(["gap_months", "nearest_months"], kind="stable")
    for conditions in ([], ["gap_months"], ["nearest_months"]):
        tables.append(summarise_scores(scores, [*keys, *conditions], n_bootstrap, seed))
        tables.append(_skill(scores, trivial, conditions, n_bootstrap, seed))
    return pd.concat([t for t in tables if len(t)], ignore_index=True)


def _skill(
    scores: pd.DataFrame,
    trivial: Sequence[str],
    conditions: list[str],
    n_bootstrap: int,
    seed: int,
) -> pd.DataFrame:
    """1 - MSE/MSE of the best trivial interpolation, for every method that is not trivial."""
    errors = scores[scores["metric"] == "mse"]
    steps = scores.groupby("method")["steps"].first()
    rows: list[dict[str, object]] = []
    for names, cell in errors.groupby(["split", "target", "region", *conditions], sort=False):
        chosen = set(cell.loc[cell["note"] == BEST_IN_TRAINING, "method"])
        candidates = [method for method in trivial if not chosen or method in chosen]
        wide = cell.pivot(
            index=["seed", "triple", "subject", "scan"], columns="method", values="value"
        )
        subjects = wide.index.get_level_values("subject").to_numpy(str)
        runs = wide.index.get_level_values("seed").to_numpy()
        labels = ["split", "target", "region", *conditions]
        common: dict[str, object] = dict(zip(labels, names, strict=True))
        common |= {"metric": "skill", "n_subjects": len(set(subjects))}
        common["n_scans"] = len(wide.index.unique("scan"))
        best = min(candidates, key=lambda method: wide[method].mean())
        note = f"best trivial answer: {best}"
        if not wide[best].mean() > 0:
            note = f"the trivial answer {best} makes no error: are visits the same scan?"
        for method in [m for m in wide.columns if m not in trivial]:
            values = wide[[method, *candidates]].to_numpy(float)
            value, low, high = subject_bootstrap(
                values, subjects, skill_of, n_bootstrap, seed, runs
            )
            rows.append(
                common
                | {"method": method, "steps": steps[method]}
                | {"value": value, "ci_low": low, "ci_high": high}
                | {"note": note}
            )
    return pd.DataFrame(rows)


def skill_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Skill (R,) from squared errors (N, 1 + candidates); the first column is the model's.

    NaN where a trivial answer makes no error, as between two visits that are the same scan.
    """
    means = np.stack([weighted_mean(column, weights) for column in values.T])
    least = means[1:].min(0)
    return np.asarray(1 - means[0] / np.where(least > 0, least, np.nan))


def trivial_errors(errors: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Errors (N, candidates) of the trivial answers that skill is held to, for each triple.

    Parameters
    ----------
    errors
        Squared errors of trivial answers under one condition. They are the same in the evaluation
        of every training seed.
    rows
        N rows with a column ``triple``.
    """
    chosen = errors[errors["note"] == BEST_IN_TRAINING]
    candidates = chosen if len(chosen) else errors
    once = candidates.drop_duplicates(["triple", "method"])
    wide = once.pivot(index="triple", columns="method", values="value")
    return wide.loc[rows["triple"]].to_numpy(float)


def skill_gain(values: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Skill of the first n columns less that of the others, (R,), each as for :func:`skill_of`."""
    return np.asarray(skill_of(values[:, :n], weights) - skill_of(values[:, n:], weights))


def _off_target(scores: pd.DataFrame, n_bootstrap: int, seed: int) -> pd.DataFrame:
    """Ratio of the mean slope of an off-target attribute to that of the on-target one, by judge."""
    rows: list[dict[str, object]] = []
    keys = ["split", "method", "task", "judge", "steps"]
    for slope, metric in SLOPES.items():
        part = scores[scores["metric"] == slope]
        for names, cell in part.groupby(keys, sort=False, dropna=False):
            task = dict(zip(keys, names, strict=True))["task"]
            wide = cell.pivot(
                index=["seed", "subject", "scan"], columns="attribute", values="value"
            )
            subjects = wide.index.get_level_values("subject").to_numpy(str)
            runs = wide.index.get_level_values("seed").to_numpy()
            if task not in wide:  # too few participants per class to fit a judge
                continue
            on_target = wide[task].to_numpy(float)
            _, low, _ = subject_bootstrap(on_target, subjects, n=n_bootstrap, seed=seed, runs=runs)
            # the interval of a ratio is meaningless if the denominator may be zero
            has_ratio = low > 0
            for attribute in [a for a in wide.columns if a != task]:
                result = subject_bootstrap(
                    wide[[attribute, task]].to_numpy(float),
                    subjects,
                    mean_ratio,
                    n_bootstrap,
                    seed,
                    runs,
                )
                note = _note_of(cell, attribute)
                if not has_ratio:
                    result = (np.nan, np.nan, np.nan)
                    note = f"{NO_RATIO}; {note}"
                rows.append(
                    dict(zip(keys, names, strict=True))
                    | {"attribute": attribute, "metric": metric, "region": "", "note": note}
                    | dict(zip(("value", "ci_low", "ci_high"), result, strict=True))
                    | {"n_subjects": len(set(subjects)), "n_scans": len(wide.index.unique("scan"))}
                )
    return pd.DataFrame(rows)


def _note_of(cell: pd.DataFrame, attribute: str) -> str:
    return "; ".join(n for n in cell.loc[cell["attribute"] == attribute, "note"].unique() if n)


def mean_ratio(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """|mean of column 0| / mean of column 1 under each row of weights, (R,); values (N, 2).

    NaN if the mean of column 1 is not positive: without an on-target response there is no ratio.
    """
    above = np.abs(weighted_mean(values[:, 0], weights))
    below = weighted_mean(values[:, 1], weights)
    return np.asarray(above / np.where(below > 0, below, np.nan))
