"""Repeated scans of a session: which of them is kept after preprocessing, and what is noted.

Each is preprocessed into a folder of its own inside that of its participant. The files of the best
one are then moved to where those of a scan lie that has no repeats, and the others are removed.
What all of them had is in the sidecar of the scan.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from ldae.data.addresses import Derivative, derivative_address, hide_labels, labels_of, raw_labels
from ldae.data.manifest import RIVALS
from ldae.data.partition import OK, REPEATS, TAKEN
from ldae.preprocessing.dataset import digest_files, remove_files, write_json
from ldae.preprocessing.limits import exceeded_limits

MEASURE = "correlation_to_template"
"""Of repeats that are within the limits, the one with the highest value is taken. It falls with
noise, with blur, with motion and with missing slices (docs/tried/preprocessing.md), which are all
that differs between two scans of one head on one day."""

SIDECAR_KEY = "repeats"
"""Entry of a sidecar: a list of repeats in the order of the settings."""

Outcome = dict[str, Any]
"""Row of a batch's table; of a repeat with its ``place`` in the order, from 1, and its file's
``name`` and ``file_sha256``."""
Repeat = Mapping[str, Any]
"""What is noted of a repeat: ``name``, ``sha256`` of its file, whether it is ``taken``, ``reason``
of a failure or empty, and ``measures`` unless it failed."""


def own_folder(scan: str, place: int, out_dir: Path) -> Path:
    """Data set of one repeat, below the folder of its participant."""
    return out_dir / labels_of(scan)[0] / f".{scan}" / str(place)


def shown_name(row: pd.Series, path: str, place: int) -> str:
    """Name of a repeat's file that may be shown to others.

    Parameters
    ----------
    row
        Of the table of scans: scan, subject and session, as they may be shown.
    path
        The repeat below the cohort's folder.
    place
        In the order of repeats, from 1.
    """
    if raw_labels(path)[0]:
        return hide_labels(Path(path).name, path, row)
    return f"file {place} of {row['scan']}"  # elsewhere any part of a path may name the participant


def choose(repeats: Sequence[Repeat], limits: Mapping[str, Any]) -> int | None:
    """Index of the best repeat; None if all failed.

    Those within the limits come before the others, then higher values of ``MEASURE`` before lower
    ones, then the order in which they are given.
    """

    def rank(place: int) -> tuple[bool, float]:
        measures = repeats[place]["measures"]
        value = measures.get(MEASURE)
        return bool(exceeded_limits(measures, limits)), math.inf if value is None else -value

    able = [place for place, one in enumerate(repeats) if not one["reason"]]
    return min(able, key=rank, default=None)


def keep_best(outcomes: Iterable[Outcome], out_dir: Path, limits: Mapping[str, Any]) -> Outcome:
    """Outcome of a scan from those of all its repeats, whose folders are then gone.

    Parameters
    ----------
    outcomes
        Of repeats of one scan, in any order.
    out_dir
        Data set of the preprocessed scans.
    limits
        Those of the section ``quality``.

    Returns
    -------
    dict
        The outcome of the best repeat, or of the first if all failed, with `describe` of them all
        and the seconds that they took together.
    """
    ordered = sorted(outcomes, key=lambda one: int(one["place"]))
    scan = str(ordered[0]["scan"])
    repeats = [_note(one, own_folder(scan, one["place"], out_dir)) for one in ordered]
    best = choose(repeats, limits)
    found = dict(ordered[best or 0])
    own = own_folder(scan, found["place"], out_dir)
    remove_files(scan, out_dir)
    if best is not None:
        repeats[best]["taken"] = True
        _move_files(scan, own, out_dir)
        sidecar = out_dir / derivative_address(scan, Derivative.SIDECAR)
        made = json.loads(sidecar.read_text(encoding="utf-8"))
        write_json(made | {SIDECAR_KEY: repeats}, sidecar)
        found["sha256"] = digest_files(scan, out_dir)
    with suppress(FileNotFoundError):  # none was made where all failed
        shutil.rmtree(own.parent)
    for name in {name for one in ordered for name in one if name.startswith("seconds_")}:
        found[name] = round(sum(one.get(name, 0.0) for one in ordered), 3)
    return found | describe(repeats)


def _note(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """What is noted of one repeat."""
    noted = {"name": outcome["name"], "sha256": outcome["file_sha256"], "taken": False}
    noted["reason"] = outcome["reason"]
    if outcome["status"] == OK:
        sidecar = folder / derivative_address(outcome["scan"], Derivative.SIDECAR)
        noted["measures"] = json.loads(sidecar.read_text(encoding="utf-8"))["measures"]
    return noted


def _move_files(scan: str, folder: Path, out_dir: Path) -> None:
    for kind in Derivative:
        address = derivative_address(scan, kind)
        if (folder / address).is_file():
            (out_dir / address).parent.mkdir(parents=True, exist_ok=True)
            (folder / address).replace(out_dir / address)


def describe(repeats: Sequence[Repeat]) -> dict[str, str]:
    """Cells of a batch's table: the file that was taken, and what the others had.

    Both are empty for a scan without repeats. If all failed, none was taken, and the others are all
    but the first, whose reason is that of the scan.
    """
    taken = next((one for one in repeats if one["taken"]), None)
    others = [one for one in repeats if one is not (taken or repeats[0])]
    return {
        TAKEN: taken["name"] if taken else "",
        REPEATS: "; ".join(f"{one['name']} ({_had(one)})" for one in others),
    }


def _had(repeat: Repeat) -> str:
    if repeat["reason"]:
        return f"failed: {repeat['reason']}"
    numbers = ((k, v) for k, v in repeat["measures"].items() if v is not None)
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers)


def note_choice(repeats: Sequence[Repeat], limits: Mapping[str, Any]) -> str:
    """The choice in words, for the page of quality control; empty without repeats."""
    if not repeats:
        return ""
    taken = next(one for one in repeats if one["taken"])
    others = (f"{one['name']} ({_fell_behind(one, limits)})" for one in repeats if one is not taken)
    value = _fell_behind(taken, limits)
    return f"{taken['name']} is taken ({value}), not {', '.join(others)}"


def _fell_behind(repeat: Repeat, limits: Mapping[str, Any]) -> str:
    """What decided on a repeat."""
    if repeat["reason"]:
        return "failed"
    value = repeat["measures"].get(MEASURE)
    found = [f"{MEASURE} {math.nan if value is None else value:.3f}"]
    return ", ".join([*found, *exceeded_limits(repeat["measures"], limits)])


def read_repeats(sidecar: Path) -> list[Repeat]:
    """Repeats that a scan was chosen from; empty for a scan that had none."""
    found: list[Repeat] = json.loads(sidecar.read_text(encoding="utf-8")).get(SIDECAR_KEY, [])
    return found


def taken_files(scans: pd.DataFrame, batches: pd.DataFrame) -> pd.DataFrame:
    """Table of scans with the paths of the repeats that were taken.

    Parameters
    ----------
    scans
        Rows of ``scans.tsv``, or of a table without paths, which stays as it is.
    batches
        Tables of all batches, put together.
    """
    if RIVALS not in scans.columns or TAKEN not in batches.columns:
        return scans
    taken = dict(zip(batches["scan"], batches[TAKEN], strict=True))
    paths = []
    for _, row in scans.iterrows():
        files = enumerate([row["path"], *row[RIVALS]], start=1)
        named = {shown_name(row, path, place): path for place, path in files}
        paths.append(named.get(taken.get(row["scan"], ""), row["path"]))
    return scans.assign(path=paths)
