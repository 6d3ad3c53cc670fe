"""The table of learning curves: what followed networks can do after steps of their training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ldae.conclusions.comparison import compare_probes
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.methods import Methods, snapshot_name
from ldae.statistics.bootstrap import subject_bootstrap, weighted_mean
from ldae.statistics.measures import AD_VS_CN, AGE, MAIN_MEASURE
from ldae.statistics.scores import skill_gain, tabulate_scores, trivial_errors
from ldae.statistics.tables import CONDITION_COLUMNS, IDENTITY_COLUMNS, RESULT_COLUMNS, tidy
from ldae.subsets import VALIDATION

PROBES, RECONSTRUCTION = "probes", "reconstruction"
MANIPULATION, INTERPOLATION = "manipulation", "interpolation"

REFERENCES = ("histogram_pca", "voxel_pca")
"""Codes without a training that learning curves are compared with."""

AUTOENCODER = "autoencoder"
CEILING, TRUTH, GROUP_MAP = "truth_ceiling", "truth_correlation", "map_correlation"
CHANGE, SSIM, ERROR, SKILL = "ventricle_change_ml", "ssim", "mse", "skill"

RESULT = ("value", "ci_low", "ci_high")
SHOWN = ("task", "steps", "amount", "region", "window")
"""Conditions of scores that the table shows, where all scores behind a number share them."""

Predictions = Mapping[str, pd.DataFrame]
Scores = Mapping[str, Mapping[str, pd.DataFrame]]


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a bootstrap over subjects, and their seed."""

    n: int
    seed: int


def tabulate_curves(
    predictions: Predictions,
    scores: Scores,
    logs: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
    methods: Methods,
    *,
    curves: Mapping[str, Any],
    window: int,
    cohort: str,
    seed: int,
    n_bootstrap: int,
) -> pd.DataFrame:
    """Probes, edits, reconstruction and interpolation after some steps of a training.

    Parameters
    ----------
    predictions
        Predictions of the probes on the codes of every snapshot, by its name.
    scores
        Scores of every snapshot, by evaluation and name.
    logs
        Log of each followed network's training, which says how long it was.
    tables
        ``probes``, if the study has it, for codes without a training.
    methods
        The study's methods.
    curves
        Section ``curves`` of the settings.
    window
        SSIM window, voxels.
    cohort, seed
        For the table; `seed` also seeds the bootstrap.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``curves``. Rows of a followed network have its ``training_steps``, rows of what it is
        compared with have none. The last step has two more rows of each metric, ``*_gain``: what
        was gained since the first step of the curve and since the step before the last, paired by
        scan; positive is better. A rise ends where the second one's interval includes zero.
    """
    points = snapshot_points(curves, logs)
    draws = Bootstrap(n_bootstrap, seed)
    known = {name: predictions[name] for name in points if name in predictions}
    parts = [_probes(known, tables, cohort, draws)] if known else []
    kept = {e: {n: _kept(f, e, window) for n, f in of.items()} for e, of in scores.items()}
    for evaluation, of_snapshot in kept.items():
        for name, frame in of_snapshot.items():
            parts.append(_measures(frame, evaluation, name, methods, cohort, draws))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.drop_duplicates(["claim", "task", "method", "metric"], ignore_index=True)
    place = rows["method"].map(points)
    rows["training_steps"] = place.str[1]
    rows["method"] = place.str[0].fillna(rows["method"])
    gains = pd.DataFrame(_gains(points, known, kept, draws))
    both = pd.concat([rows, gains], ignore_index=True)
    both["split"], both["note"] = VALIDATION, both["note"].fillna("")
    both = both.sort_values("claim", key=lambda c: c.map(CLAIMS.index), kind="stable")
    both["seed"] = both.groupby("method")["seed"].transform("first")
    return tidy(both, "curves", cohort=cohort, seeds={})


CLAIMS = (PROBES, MANIPULATION, RECONSTRUCTION, INTERPOLATION)
"""In the order of the table."""


def snapshot_points(
    curves: Mapping[str, Any], logs: Mapping[str, pd.DataFrame]
) -> dict[str, tuple[str, int]]:
    """Network and training step of each snapshot, by its name; the end has the network's own."""
    points: dict[str, tuple[str, int]] = {}
    for network in (name for name in curves["networks"] if name in logs):
        for step in sorted(curves["steps"]):
            points[snapshot_name(network, step)] = network, step
        points[network] = network, int(logs[network]["step"].max())
    return points


def _probes(
    predictions: Predictions, tables: Mapping[str, pd.DataFrame], cohort: str, draws: Bootstrap
) -> pd.DataFrame:
    """Main measures of the probes on every snapshot's code, and on codes without a training."""
    table = tabulate_probes(predictions, cohort=cohort, seed=draws.seed, n_bootstrap=draws.n)
    parts = [table]
    if PROBES in tables:
        parts.append(tables[PROBES][tables[PROBES]["method"].isin(REFERENCES)])
    rows = pd.concat(parts, ignore_index=True)
    main = rows["metric"] == rows["task"].map(MAIN_MEASURE)
    return _of_table(rows[main & (rows["split"] == VALIDATION)], PROBES)


def _of_table(rows: pd.DataFrame, claim: str) -> pd.DataFrame:
    """Rows of another table, with the columns that they have in this one."""
    wanted = {*IDENTITY_COLUMNS, *CONDITION_COLUMNS["curves"], *RESULT_COLUMNS} - {"cohort"}
    found = rows[[column for column in rows.columns if column in wanted]].assign(claim=claim)
    if "task" not in found:
        found["task"] = np.nan
    return found


def _kept(frame: pd.DataFrame, evaluation: str, window: int) -> pd.DataFrame:
    """Scores that a curve is made of."""
    metric = frame["metric"]
    if evaluation == RECONSTRUCTION:
        inside = (frame["region"] == "mask") & (frame["window"] == window)
        return frame[(metric == SSIM) & inside]
    if evaluation == INTERPOLATION:
        return frame[(metric == ERROR) & (frame["region"] == "mask") & (frame["target"] == "real")]
    tasks = set(frame["task"])
    edited = frame["task"] == next(task for task in (AD_VS_CN, AGE) if task in tasks)
    agreement = TRUTH if (metric == TRUTH).any() else GROUP_MAP
    most = (metric == CHANGE) & (frame["amount"] == frame["amount"].max())
    moved = (metric == agreement) & (frame["amount"] != 0)
    kept: pd.DataFrame = frame[edited & (most | moved | (metric == CEILING))]
    return kept


def _measures(
    frame: pd.DataFrame,
    evaluation: str,
    name: str,
    methods: Methods,
    cohort: str,
    draws: Bootstrap,
) -> pd.DataFrame:
    """What one evaluation found of a snapshot, and of what it is compared with."""
    table = tabulate_scores(
        frame, evaluation, methods, cohort=cohort, n_bootstrap=draws.n, seed=draws.seed
    )
    if evaluation == INTERPOLATION:
        overall = table["gap_months"].isna() & table["nearest_months"].isna()
        table = table[overall & (table["metric"] == SKILL) & (table["method"] == name)]
    if evaluation == MANIPULATION:
        # the agreement over all amounts; what the autoencoder leaves of the truth is its own row
        table = table[(table["metric"] == CHANGE) | table["amount"].isna()]
        of_bound = table["metric"] == CEILING
        table = table.assign(
            method=table["method"].mask(of_bound, AUTOENCODER),
            metric=table["metric"].mask(of_bound, TRUTH),
        )
    return _of_table(table, evaluation)


def _gains(
    points: Mapping[str, tuple[str, int]],
    predictions: Predictions,
    scores: Scores,
    draws: Bootstrap,
) -> Iterator[dict[str, object]]:
    """What each network gained by its last step, since the first one and since the one before."""
    for network in dict.fromkeys(network for network, _ in points.values()):
        names = [name for name, point in points.items() if point[0] == network]
        last = names[-1]
        for earlier in dict.fromkeys([names[0], names[-2]]):
            common = {"method": network, "training_steps": points[last][1]}
            common["since_steps"] = points[earlier][1]
            if last in predictions:
                found = compare_probes(predictions, last, earlier, draws.n, draws.seed)
                unwanted = ("split", "method", "against")
                for row in (row for row in found if row["split"] == VALIDATION):
                    yield {k: v for k, v in row.items() if k not in unwanted} | {
                        "claim": PROBES, **common,
                    }  # fmt: skip
            for evaluation, of_snapshot in scores.items():
                pair = [of_snapshot[last], of_snapshot[earlier]]
                for row in _score_gains(pair, (last, earlier), evaluation, draws):
                    yield row | {"claim": evaluation, **common}


def _score_gains(
    pair: Sequence[pd.DataFrame], names: tuple[str, str], evaluation: str, draws: Bootstrap
) -> Iterator[dict[str, object]]:
    """Paired gains of one evaluation's metrics of the first snapshot over those of the second."""
    ours, theirs = (f[f["method"] == name] for f, name in zip(pair, names, strict=True))
    unit = [c for c in ("seed", "subject", "scan", "triple", "amount", "task") if c in ours]
    for metric, of_metric in ours.groupby("metric", sort=False):
        if metric == CEILING:
            continue
        other = theirs.loc[theirs["metric"] == metric, [*unit, "value"]]
        both = of_metric.merge(other, on=unit, validate="one_to_one", suffixes=("", "_before"))
        both = both[both["value"].notna() & both["value_before"].notna()]
        if both.empty:
            continue
        values, statistic, name = both[["value", "value_before"]].to_numpy(), _difference, metric
        if evaluation == INTERPOLATION:
            trivial = trivial_errors(pair[0][pair[0]["steps"].isna()], both)
            before = both["value_before"]
            values = np.column_stack([both["value"], trivial, before, trivial])
            statistic, name = partial(skill_gain, n=1 + trivial.shape[1]), SKILL
        subjects, runs = both["subject"].to_numpy(str), both["seed"].to_numpy()
        result = subject_bootstrap(values, subjects, statistic, draws.n, draws.seed, runs)
        yield {
            "metric": f"{name}_gain",
            **dict(zip(RESULT, result, strict=True)),
            **{c: both[c].iloc[0] for c in SHOWN if c in both and both[c].nunique() == 1},
            "n_subjects": len(set(subjects)),
            "n_scans": both["scan"].nunique(),
        }


def _difference(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the first column less that of the second under each row of weights, (R,)."""
    return weighted_mean(values[:, 0] - values[:, 1], weights)
