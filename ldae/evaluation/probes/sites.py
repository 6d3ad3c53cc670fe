"""Sites predicted from codes: how much of the scanner a code carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ldae.evaluation.harmonisation import known_sites
from ldae.evaluation.probes.groups import CodesOf, folds
from ldae.leakage import note_fitted
from ldae.statistics.measures import SITE

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

COLUMNS = ("task", "scan", "subject", "split", "target", "prediction")


def predict_sites(
    codes_of: CodesOf, index: pd.DataFrame, outer_folds: int | None, seed: int
) -> pd.DataFrame:
    """Predict the site of every scan by linear discriminants.

    Their covariance is shrunk (Ledoit and Wolf 2004), which leaves nothing to choose and stays
    quick with as many sites as multi-centre studies have.

    Parameters
    ----------
    codes_of
        Codes, made with what is fitted on some rows.
    index
        Index of the packed scans, row-aligned: scan, subject, split and, where it is known, site.
    outer_folds, seed
        As for :func:`ldae.evaluation.probes.fitting.fit_probes`.

    Returns
    -------
    pandas.DataFrame
        Columns ``COLUMNS``; target and prediction are numbers of the sites that have enough
        training participants, in the order of their names. Empty with fewer than two of them.
    """
    nothing = pd.DataFrame(columns=list(COLUMNS))
    if "site" not in index:
        return nothing
    subjects, names = index["subject"].to_numpy(str), index["site"].to_numpy(str)
    train = (index["split"] == "train").to_numpy()
    sites = known_sites(names[train], subjects[train])
    if len(sites) < 2:
        return nothing
    target = np.array([sites.index(name) if name in sites else np.nan for name in names])
    known = np.flatnonzero(np.isfinite(target))
    rows = np.flatnonzero(np.isfinite(target) & train)
    note_fitted("probe of site", subjects[rows])

    def predict(fitted: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        codes = codes_of(fitted)
        return np.asarray(_fit(codes[fitted], target[fitted]).predict(codes[predicted]), float)

    part = index.loc[known, ["scan", "subject", "split"]].assign(task=SITE, target=target[known])
    parts = [part.assign(prediction=predict(rows, known))]
    if outer_folds is not None:
        held_out = np.full(len(known), np.nan)
        for inner, outer in folds(target[known], subjects[known], outer_folds, seed):
            held_out[outer] = predict(known[inner], known[outer])
        parts.append(part.assign(split="cv", prediction=held_out).dropna(subset="prediction"))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _fit(codes: np.ndarray, target: np.ndarray) -> Pipeline:
    """Discriminants on standardised codes; sites are equally likely beforehand."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    priors = np.full(len(np.unique(target)), 1 / len(np.unique(target)))
    discriminants = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=priors)
    return make_pipeline(StandardScaler(), discriminants).fit(codes, target)
