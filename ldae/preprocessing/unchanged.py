"""Scans of a batch that an earlier job preprocessed from the same bytes in the same way.

A batch is preprocessed again when one of its scans is added, replaced or removed. The results of
its other scans still hold, and so do those of a batch that has become too large and is divided.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ldae.data.addresses import Derivative, derivative_address, derivative_paths, mask_path
from ldae.data.intake.copies import checksum
from ldae.data.manifest import RIVALS
from ldae.data.partition import OK
from ldae.packages import PROGRAMS
from ldae.preprocessing.dataset import digest_files
from ldae.preprocessing.repeats import Outcome, Repeat, choose, describe, read_repeats

log = logging.getLogger(__name__)

READING = ("reading",)
"""Parameters of the job that only say how its scans are found; a corrected age changes them."""


class Earlier(Protocol):
    """An earlier job (:class:`ldae.provenance.earlier.EarlierJob`)."""

    @property
    def voxels(self) -> Mapping[str, str]:
        """Digest of the values of each raw scan that it read."""

    def holds(self, paths: Sequence[Path], missing: Sequence[Path]) -> bool:
        """Whether files are as it read or wrote them, and others missing as then."""


def decisive(params: Mapping[str, Any]) -> object:
    """What of the parameters of the job decides how a scan is preprocessed.

    Not so which scans there are and how many are preprocessed by one job.
    """
    settings = {name: v for name, v in params["settings"].items() if name != "batch_size"}
    return [settings, params["grid"], params["code"]]


def unchanged_scans(
    scans: pd.DataFrame,
    bids_dir: Path,
    out_dir: Path,
    settings: Mapping[str, Any],
    earlier: Sequence[Earlier],
    limits: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Outcomes of scans whose files an earlier job read and wrote as they are now.

    Parameters
    ----------
    scans, bids_dir, out_dir, settings, limits
        As for :func:`ldae.preprocessing.pipeline.preprocess_batch`.
    earlier
        Jobs with the same code, settings and surroundings.

    Returns
    -------
    list of dict
        Rows of a batch's table, without times. None of a scan that failed, and none at all where
        an external program finds the brain, whose version nothing tells.
    """
    if settings["brain_extraction"] in PROGRAMS:
        return []
    found: list[Outcome] = []
    for _, row in scans.iterrows():
        scan, paths = str(row["scan"]), [row["path"], *row.get(RIVALS, ())]
        raw = [bids_dir / str(path) for path in paths]
        masks = []
        if settings["brain_extraction"] == "precomputed":
            masks = [mask_path(settings["mask_pattern"], path, bids_dir) for path in paths]
        files = list(derivative_paths(out_dir, [scan], *Derivative))
        there = [path for path in files if path.is_file()]
        missing = [path for path in files if path not in there]
        able = (
            job
            for job in earlier
            if scan in job.voxels and job.holds([*raw, *masks, *there], missing)
        )
        if not there or (job := next(able, None)) is None:
            continue
        repeats = read_repeats(out_dir / derivative_address(scan, Derivative.SIDECAR))
        if _still_best(repeats, raw, limits or {}):
            kept = {"sha256": digest_files(scan, out_dir), "voxels": job.voxels[scan]}
            found.append({"scan": scan, "status": OK, "reason": ""} | kept | describe(repeats))
    if found:
        log.info("%d of %d scans are unchanged: their results are kept", len(found), len(scans))
    return found


def _still_best(repeats: Sequence[Repeat], raw: Sequence[Path], limits: Mapping[str, Any]) -> bool:
    """Whether a scan was chosen from these files in this order, as it would be now.

    A scan without rivals must not have been chosen at all.
    """
    if len(raw) == 1:
        return not repeats
    if [one["sha256"] for one in repeats] != [checksum(path) for path in raw]:
        return False
    best = choose(repeats, limits)
    return best is not None and bool(repeats[best]["taken"])
