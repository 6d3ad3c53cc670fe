"""Decisions of raters who have looked through the page of quality control."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ldae.data.manifest import read_strings
from ldae.errors import InputError

logger = logging.getLogger(__name__)

KEEP, EXCLUDE = "keep", "exclude"
COLUMNS = ("scan", "decision", "reason", "rater", "date")


class Agreement(NamedTuple):
    """How far two raters agree on the scans that both have rated.

    Attributes
    ----------
    raters
        Their names, sorted.
    n_scans
        Scans that both have rated.
    agreed
        Share of these with the same decision.
    kappa
        Cohen's kappa: agreement beyond that of two raters who decide by chance with the same shares
        of exclusions. NaN where both have decided the same of all scans, as it has no value there.
    """

    raters: tuple[str, str]
    n_scans: int
    agreed: float
    kappa: float

    def __str__(self) -> str:
        kappa = "not defined" if self.kappa != self.kappa else f"{self.kappa:.2f}"
        return (
            f"{self.raters[0]} and {self.raters[1]} agree on {self.agreed:.0%} of {self.n_scans} "
            f"scans, Cohen's kappa {kappa}"
        )


def read_decisions(paths: Iterable[Path]) -> pd.DataFrame:
    """Each rater's last decision on each scan.

    Parameters
    ----------
    paths
        Tables separated by tabs with the columns ``COLUMNS``; dates in ISO 8601. Of rows with one
        date the last one counts.

    Returns
    -------
    DataFrame
        ``COLUMNS``, sorted by scan and rater.

    Raises
    ------
    InputError
        If a column is missing, a decision is neither ``keep`` nor ``exclude``, or a row names no
        scan, rater or date.
    """
    table = pd.concat([_read(path) for path in paths], ignore_index=True)
    last = table.sort_values("when", kind="stable").drop_duplicates(["scan", "rater"], keep="last")
    found: pd.DataFrame = last[list(COLUMNS)]
    return found.sort_values(["scan", "rater"], ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    """Rows of one table, with their times in a column ``when``."""
    table = read_strings(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        problem = f"column {', '.join(missing)} is missing"
        raise InputError(path, problem, f"Write the columns {', '.join(COLUMNS)}")
    table = pd.DataFrame({name: table[name].str.strip() for name in COLUMNS})
    wrong = table[~table["decision"].isin([KEEP, EXCLUDE])]
    if len(wrong):
        problem = f"line {wrong.index[0] + 2}: the decision is {wrong['decision'].iloc[0]!r}"
        raise InputError(path, problem, f"Write {KEEP} or {EXCLUDE}")
    dates = pd.to_datetime(table["date"], format="ISO8601", errors="coerce", utc=True)
    empty = table[(table[["scan", "rater"]] == "").any(axis=1) | dates.isna()]
    if len(empty):
        problem = f"line {empty.index[0] + 2} has no scan, no rater or no date"
        raise InputError(path, problem, "Complete the row; dates are written 2026-05-31")
    return table.assign(when=dates)


def apply_decisions(qc: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Table of quality control with the raters' decisions in the place of the limits'.

    A scan that one rater excludes is excluded. A scan that its raters keep passes, whatever the
    limits say, unless preprocessing failed.

    Parameters
    ----------
    qc
        Of `ldae.preprocessing.quality.quality_control`.
    decisions
        Of `read_decisions`.

    Returns
    -------
    DataFrame
        The table with changed status and reason, and a column ``decisions``.
    """
    unknown = sorted(set(decisions["scan"]) - set(qc["scan"]))
    if unknown:
        logger.warning("%d rated scans are not in the cohort, such as %s", len(unknown), unknown[0])
    qc = qc.assign(decisions="")
    # a scan without measures could not be preprocessed, so there is nothing to keep
    made = qc["brain_volume_ml"].notna()
    places = dict(zip(qc["scan"], qc.index, strict=True))
    for scan, rows in decisions.groupby("scan"):
        place = places.get(str(scan))
        if place is None:
            continue
        qc.loc[place, "decisions"] = "; ".join(_in_words(rows))
        excluding = rows[rows["decision"] == EXCLUDE]
        if len(excluding):
            reasons = "; ".join(_in_words(excluding))
            before = qc.loc[place, "reason"]
            qc.loc[place, "status"] = "excluded"
            qc.loc[place, "reason"] = f"{before}; {reasons}" if before else reasons
        elif made[place]:
            qc.loc[place, ["status", "reason"]] = ["pass", ""]
    return qc


def _in_words(rows: pd.DataFrame) -> Iterator[str]:
    columns = (rows[name] for name in ("decision", "rater", "reason"))
    for decision, rater, reason in zip(*columns, strict=True):
        yield f"{decision} by {rater}" + (f" ({reason})" if reason else "")


def rate_agreement(decisions: pd.DataFrame) -> list[Agreement]:
    """Agreement of every two raters who have rated the same scans."""
    excluded = decisions.assign(excluded=decisions["decision"] == EXCLUDE)
    rated = excluded.pivot(index="scan", columns="rater", values="excluded")
    found = []
    for first, second in combinations(sorted(rated.columns), 2):
        both = rated[[first, second]].dropna().astype(bool)
        if len(both):
            agreed = float((both[first] == both[second]).mean())
            shares = both.mean()
            by_chance = float(shares[first] * shares[second])
            by_chance += float((1 - shares[first]) * (1 - shares[second]))
            kappa = float("nan") if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)
            found.append(Agreement((first, second), len(both), agreed, kappa))
    return found
