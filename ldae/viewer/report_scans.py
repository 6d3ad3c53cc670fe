"""Scans that the report shows: their cards, what models made of them, and the viewer's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ldae.methods import Methods
from ldae.provenance.history import History
from ldae.report.scans import ScanCard, choose_scans, show_scans, tabulate_measures
from ldae.viewer.strips import draw_strips
from ldae.viewer.study import (
    build_study_page,
    first_scans,
    preprocessed_scans,
    scan_file,
    scan_volume,
    scenes_of_scans,
    study_scenes,
)


@dataclass(frozen=True)
class ReportScans:
    """What the report shows of single scans.

    Attributes
    ----------
    cards
        One for each scan.
    measures
        Their measures of quality control, as text.
    viewer
        The viewer's page (HTML).
    files
        Files of scans that were read.
    """

    cards: tuple[ScanCard, ...]
    measures: pd.DataFrame
    viewer: str
    files: tuple[Path, ...]


def show_study_scans(
    results: Path,
    config: Mapping[str, Any],
    methods: Methods,
    kept: Mapping[str, Path],
    quality: pd.DataFrame,
    index: pd.DataFrame,
    history: History,
) -> ReportScans:
    """Choose the scans that the report shows, and make what it shows of them.

    Parameters
    ----------
    results, config, methods
        Folder of the results, complete settings and methods of the study.
    kept
        Examples by evaluation (:func:`ldae.viewer.study.find_examples`).
    quality
        Table ``qc/qc.tsv``.
    index
        Table ``volumes/index.tsv`` with labels.
    history
        History of the study, for records and links.
    """
    chosen = choose_scans(quality, config["seed"])
    viewed = first_scans(preprocessed_scans(results, chosen), config["grid"]["shape"])
    affine = scan_volume(results, next(iter(viewed))).affine
    strips = draw_strips(study_scenes(config, methods, kept, affine, index), kept, history)
    cards = show_scans(chosen, quality, index, history, scenes_of_scans(kept, viewed), strips)
    previews = [card.preview for card in cards if card.preview is not None]
    return ReportScans(
        cards=cards,
        measures=tabulate_measures(cards, quality),
        viewer=build_study_page(results, config, methods, kept, viewed, index),
        files=(*previews, *(scan_file(results, scan) for scan in viewed)),
    )
