"""ComBat: the effects of scanner sites taken out of codes.

An entry y of a code is modelled as α + xβ + γ_s + δ_s ε. γ_s and δ_s are shift and scale of the
site s, x are age, sex and diagnosis. Site effects of all entries have common priors, from which the
site's own estimates are shrunk (empirical Bayes; Johnson et al. 2007, Biostatistics 8:118, in the
form for brain images of Fortin et al. 2018, NeuroImage 167:104).

No label of a scan enters what is done to its code. The model is fitted on training participants, so
that what sites differ in by age, sex and diagnosis is not taken for an effect of the scanner. What
is then applied, to training and test scans alike, is one affine map for each site, about the mean
of the training codes; neuroCombatFromTraining of the package neuroCombat does the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST_OF_SITE = 4
"""Training participants of a site whose effects are estimated, or that is predicted."""

TOLERANCE = 1e-9
"""Largest change of shift and scale, in SD and variances, at which their iteration ends."""

MAX_ITERATIONS = 1000
"""Bound on its steps, which are tens."""


@dataclass(frozen=True)
class Combat:
    """Site effects of a code.

    Attributes
    ----------
    sites
        Sites whose effects are known, sorted.
    mean, std
        Mean of the training codes and SD of what the model does not explain, (dim,).
    shift, scale
        γ in units of `std`, and δ, of each site, (n_sites, dim).
    """

    sites: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    def transform(self, codes: np.ndarray, sites: np.ndarray) -> np.ndarray:
        """Codes (N, dim) without the effects of their `sites` (N,).

        Codes of other sites than the known ones are returned as they are.
        """
        harmonised = np.array(codes, np.float64)
        for k, site in enumerate(self.sites):
            rows = np.flatnonzero(np.asarray(sites) == site)
            standardised = (harmonised[rows] - self.mean) / self.std
            own = (standardised - self.shift[k]) / self.scale[k]
            harmonised[rows] = own * self.std + self.mean
        return harmonised


def known_sites(sites: np.ndarray, subjects: np.ndarray) -> list[str]:
    """Sites of at least ``LEAST_OF_SITE`` of these participants, sorted; rows are scans."""
    first = pd.DataFrame({"site": sites, "subject": subjects}).drop_duplicates()
    counts = first.loc[first["site"] != "", "site"].value_counts()
    return sorted(str(site) for site in counts.index[counts >= LEAST_OF_SITE])


def covariates(index: pd.DataFrame) -> np.ndarray:
    """Age, sex and diagnosis of scans as columns of a design, (N, k), each with mean 0.

    A missing age is the mean age; a missing sex or diagnosis is a group of its own.
    """
    age = index["age"].to_numpy(float)
    known = np.isfinite(age)
    columns = [np.where(known, age, age[known].mean())] if known.any() else []
    for name in ("sex", "diagnosis"):
        groups = pd.get_dummies(index[name].astype(str), drop_first=True).to_numpy(float)
        columns += list(groups.T)
    design = np.array(columns).reshape(len(columns), len(index)).T
    return np.asarray(design - design.mean(0))


def fit_combat(codes: np.ndarray, index: pd.DataFrame) -> Combat | None:
    """Estimate the site effects of training codes.

    Parameters
    ----------
    codes
        Codes of the training scans, (N, dim). Entries that are constant within all sites stay as
        they are.
    index
        Their subject, site, age, sex and diagnosis.

    Returns
    -------
    Combat or None
        None where fewer than two sites have enough participants, or fewer than two entries vary.
    """
    sites = known_sites(index["site"].to_numpy(str), index["subject"].to_numpy(str))
    rows = index["site"].isin(sites).to_numpy()
    if len(sites) < 2:
        return None
    y = np.asarray(codes, np.float64)[rows]
    of_site = (index["site"].to_numpy(str)[rows, None] == np.array(sites)).astype(float)
    design = np.hstack([of_site, covariates(index[rows])])
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    std = (y - design @ weights).std(0)
    alive = std > 1e-9 * (1 + np.abs(y).max(0))
    if alive.sum() < 2:
        return None
    mean = of_site.mean(0) @ weights[: len(sites)]
    std = np.where(alive, std, 1.0)
    preserved = design[:, len(sites) :] @ weights[len(sites) :]
    residual = (y - mean - preserved) / std
    shift, scale = np.zeros((2, len(sites), y.shape[1]))
    scale += 1
    for k, members in enumerate(of_site.T.astype(bool)):
        shift[k, alive], variance = _shrink(residual[members][:, alive])
        scale[k, alive] = np.sqrt(variance)
    return Combat(tuple(sites), mean, std, shift, scale)


def _shrink(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and variance (dim,) of one site's standardised codes (n, dim), by empirical Bayes.

    The prior of the shifts is normal and that of the variances inverse gamma; their parameters are
    those of the site's own estimates over all entries.
    """
    n = len(residual)
    own_shift, own_variance = residual.mean(0), residual.var(0, ddof=1)
    centre, spread = own_shift.mean(), own_shift.var(ddof=1)
    m, s2 = own_variance.mean(), own_variance.var(ddof=1)
    shape, rate = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    shift, variance = own_shift, own_variance
    for _ in range(MAX_ITERATIONS):
        before = shift, variance
        shift = (n * spread * own_shift + variance * centre) / (n * spread + variance)
        squares = ((residual - shift) ** 2).sum(0)
        variance = (squares / 2 + rate) / (n / 2 + shape - 1)
        change = max(np.abs(shift - before[0]).max(), np.abs(variance - before[1]).max())
        if change < TOLERANCE:
            break
    return shift, variance


def harmonise(codes: np.ndarray, index: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Codes (N, dim) without the site effects that are estimated on some `rows`.

    Without two sites among these rows, the codes are returned as they are.
    """
    combat = fit_combat(codes[rows], index.iloc[rows])
    if combat is None:
        return codes
    return combat.transform(codes, index["site"].to_numpy(str))
