"""Scans to look at: all of a small study, else the excluded, the unusual and some drawn ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ldae.data.addresses import Derivative, derivative_address
from ldae.provenance.history import History
from ldae.provenance.places import RESULTS
from ldae.report.links import record_of
from ldae.subsets import WORDS

PREPROCESSED = "preprocessed"

SMALL_STUDY = 40
"""A study of so many scans shows all of them."""

MOST_EXCLUDED, MOST_UNUSUAL, MOST_DRAWN = 12, 6, 6

MEDIAN = "median"
"""Name of the row that a scan's measures are compared with."""

KEPT = "an example of the evaluations"
"""Why a scan is shown that was not chosen."""

MAD_TO_SD = 1.4826
"""Median absolute deviation to standard deviation of normal numbers."""


@dataclass(frozen=True)
class Strip:
    """Slices of what an evaluation made of a scan.

    Attributes
    ----------
    title, caption
        What was made, and what is seen.
    picture
        PNG.
    scene
        Where the viewer shows the same volumes.
    files
        Paths below the results folder, by their names for readers.
    """

    title: str
    caption: str
    picture: bytes
    scene: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class ScanCard:
    """A scan that is shown.

    Attributes
    ----------
    scan
        Its name.
    why
        Why it is shown, in words.
    facts
        Split, age, diagnosis and notes, as far as known.
    preview
        Its picture of quality control; None if there is none.
    files
        Paths below the results folder of what there is of it, by their names for readers.
    scene
        Where the viewer shows what the evaluations made of it; empty if they kept nothing.
    strips
        What the evaluations made of it.
    """

    scan: str
    why: str
    facts: str
    preview: Path | None
    files: Mapping[str, str]
    scene: str = ""
    strips: Sequence[Strip] = ()


def choose_scans(quality: pd.DataFrame, seed: int) -> dict[str, str]:
    """Names of the scans to show, and why each is shown.

    Parameters
    ----------
    quality
        Table ``qc/qc.tsv``: scan, status, reason, and the measures.
    seed
        Of the draw, so that a page can be made again.
    """
    excluded = quality[quality["status"] != "pass"]
    passed = quality[quality["status"] == "pass"]
    if len(quality) <= SMALL_STUDY:
        chosen = {str(scan): "" for scan in quality["scan"]}
    else:
        unusual = _unusual(passed).head(MOST_UNUSUAL)
        chosen = {str(scan): "" for scan in excluded["scan"].head(MOST_EXCLUDED)}
        chosen |= {str(scan): why for scan, why in unusual.items()}
        others = [scan for scan in passed["scan"] if scan not in chosen]
        size = min(MOST_DRAWN, len(others))
        drawn = np.random.default_rng(seed).choice(len(others), size, replace=False)
        chosen |= {str(others[i]): "drawn at random" for i in sorted(drawn)}
    reasons = dict(zip(excluded["scan"], excluded["reason"], strict=True))
    return {s: f"excluded: {reasons[s]}" if s in reasons else why for s, why in chosen.items()}


def _unusual(passed: pd.DataFrame) -> pd.Series:
    """Why a scan is unusual: of each measure the one farthest from the median, the worst first."""
    measures = passed.set_index("scan").select_dtypes("number").dropna(axis="columns", how="all")
    away = (measures - measures.median()).abs()
    spread = away.median() * MAD_TO_SD
    scores = (away / spread.where(spread > 0)).dropna(axis="columns", how="all")
    farthest = scores.max().sort_values(ascending=False, kind="stable")
    found: dict[str, str] = {}
    for measure, score in farthest.items():
        scan = str(scores[measure].idxmax())
        value = f"{measures[measure][scan]:.4g}, {score:.1f} robust SD from the median"
        found.setdefault(scan, f"unusual: {str(measure).replace('_', ' ')} {value}")
    return pd.Series(found, dtype=object)


def show_scans(
    chosen: Mapping[str, str],
    quality: pd.DataFrame,
    index: pd.DataFrame,
    history: History,
    scenes: Mapping[str, str],
    strips: Mapping[str, Sequence[Strip]],
) -> tuple[ScanCard, ...]:
    """Cards of the chosen scans.

    Parameters
    ----------
    chosen
        From :func:`choose_scans`.
    quality
        Table ``qc/qc.tsv``.
    index
        Table ``volumes/index.tsv``.
    history
        History of the study, for the records.
    scenes
        Scene of the viewer that shows a scan, of those that have one.
    strips
        What the evaluations made of a scan, where they kept it. Scans with a scene or strips that
        were not chosen come last.
    """
    known = {row["scan"]: row for _, row in index.iterrows()}
    notes = quality.set_index("scan")["notes"].fillna("").astype(str)
    kept = dict.fromkeys((s for s in [*scenes, *strips] if s not in chosen), KEPT)
    cards = []
    for scan, why in (dict(chosen) | kept).items():
        facts = [facts_of(known[scan])] if scan in known else ["not used"]
        facts += [notes[scan]] if notes[scan] else []
        files = _files(history, scan)
        preview = history.results / files["preview"] if "preview" in files else None
        scene = scenes.get(scan, "")
        of_scan = tuple(strips.get(scan, ()))
        cards.append(ScanCard(scan, why, "; ".join(facts), preview, files, scene, of_scan))
    return tuple(cards)


def tabulate_measures(cards: Sequence[ScanCard], quality: pd.DataFrame) -> pd.DataFrame:
    """Measures of quality control of the scans that are shown, as text.

    Parameters
    ----------
    cards
        From :func:`show_scans`.
    quality
        Table ``qc/qc.tsv``.

    Returns
    -------
    pandas.DataFrame
        A row for each scan, after the median of all scans that passed.
    """
    by_scan = quality.set_index("scan")
    measures = by_scan.select_dtypes("number").dropna(axis="columns", how="all")
    medians = measures[by_scan["status"] == "pass"].median()
    rows = measures.loc[[card.scan for card in cards]]
    table = pd.concat([medians.to_frame(MEDIAN).T, rows])
    shown = table.map(lambda value: "–" if pd.isna(value) else f"{value:.4g}")
    return shown.rename_axis("scan").reset_index()


def facts_of(row: pd.Series) -> str:
    """Split, age and diagnosis of a scan, of its row in ``volumes/index.tsv`` with labels."""
    parts = [f"{WORDS[row['split']]} split"]
    if pd.notna(row["age"]):
        parts.append(f"{row['age']:.0f} years")
    if pd.notna(row["diagnosis"]):
        parts.append(str(row["diagnosis"]))
    return ", ".join(parts)


def _files(history: History, scan: str) -> dict[str, str]:
    """Paths below the results folder of a scan's files and of the record of their job."""
    found = {}
    kinds = {
        "preview": Derivative.PREVIEW, "volume": Derivative.VOLUME, "sidecar": Derivative.SIDECAR,
    }  # fmt: skip
    for name, kind in kinds.items():
        path = f"{PREPROCESSED}/{derivative_address(scan, kind).as_posix()}"
        job = history.producer(f"{RESULTS}/{path}")
        if job is not None:
            found[name] = path
            found["record"] = record_of(job)
    return found
