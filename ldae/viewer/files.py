"""Scenes of NIfTI files: scans, and what the commands on scans have made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ldae.errors import InputError
from ldae.viewer.page import Scene, Shown, Volume, brightest, build_page, signed

SUFFIXES = (".nii.gz", ".nii")

NOTE = (
    "Every file is shown as it is, on its own grid: nothing is blended or interpolated between "
    "files. Crosshairs are linked by the coordinates that the files give (mm)."
)

CHANGE = "change"
"""What the record of a map of change says of its image (:mod:`ldae.deployment.files`)."""


@dataclass(frozen=True)
class _File:
    """A NIfTI file and the record beside it.

    Attributes
    ----------
    path
        The file.
    volume
        Its content.
    record
        Content of its JSON file; empty without one.
    """

    path: Path
    volume: Volume
    record: dict[str, Any]

    @property
    def series(self) -> tuple[str, str, str] | None:
        """What its amount or time belongs to; None for a plain scan.

        Operation, attribute, and the space of the image, ``own`` or that of the template.
        """
        operation = self.record.get("operation")
        if operation not in ("edit", "interpolate") or self.position is None:
            return None
        return operation, *(str(self.record.get(name, "")) for name in ("attribute", "space"))

    @property
    def position(self) -> float | None:
        """Amount, month or share of the time between visits."""
        months = self.record.get("months")
        found = months[2] if months else self.record.get("amount", self.record.get("at"))
        return float(found) if isinstance(found, int | float) else None


def build_files_page(paths: Sequence[Path]) -> str:
    """The viewer's page of some files.

    Maps of change are left out where other files are given: a pattern for a folder of outputs
    matches them, too, and the page computes differences itself.

    The first plain scan stands on the left. Edits of one attribute and visits filled in between two
    others are ordered by the amounts and months in the records beside them, and begin with the
    plain scan where it lies on their grid: that is the amount 0, or the earlier visit.

    Parameters
    ----------
    paths
        NIfTI files of one volume each.

    Raises
    ------
    InputError
        If a file cannot be read or shown, or if there are maps of change alone.
    """
    read = [_read(path) for path in dict.fromkeys(paths)]
    files = [one for one in read if one.record.get("image") != CHANGE]
    if not files:
        remedy = "Give the images: the page shows the difference between them"
        raise InputError(paths[0], "this is a map of a change", remedy)
    plain = [one for one in files if one.series is None]
    reference = (plain or files)[0]
    others = [one for one in files if one is not reference]
    scenes = [
        _series_scene(key, [one for one in others if one.series == key], reference, number)
        for number, key in enumerate(dict.fromkeys(o.series for o in others if o.series))
    ]
    rest = [one for one in others if one.series is None]
    if rest or not others:
        scenes.append(_plain_scene(rest or [reference], reference, alone=not others))
    names = ", ".join(one.path.name for one in files[:2]) + (", …" if len(files) > 2 else "")
    return build_page(names, NOTE, scenes)


def _read(path: Path) -> _File:
    """A file and its record.

    Raises
    ------
    InputError
        If it is no NIfTI file of one volume.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "Give NIfTI files, or results of a study")
    stem = next((path.name[: -len(s)] for s in SUFFIXES if path.name.lower().endswith(s)), None)
    if stem is None:
        raise InputError(path, "this is no NIfTI file", "Give files that end in .nii or .nii.gz")
    record = _record(path.with_name(f"{stem}.json"))
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):  # of which NIfTI-2 is a kind
            raise InputError(path, "this is no NIfTI image", "Convert it to NIfTI")
        data = np.asarray(image.dataobj, np.float32)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(path, "the file cannot be read", "Is it a NIfTI file?") from error
    if data.ndim > 3 and data.shape[3:] == (1,) * (data.ndim - 3):
        data = data.reshape(data.shape[:3])
    if data.ndim != 3:
        raise InputError(path, f"it has {data.ndim} dimensions", "Give files of one 3-D volume")
    return _File(path, Volume(data, np.asarray(image.affine), brightest(data)), record)


def _record(path: Path) -> dict[str, Any]:
    """Content of a JSON file beside an image; empty if there is none, or another program's."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _series_scene(
    key: tuple[str, str, str], files: Iterable[_File], reference: _File, number: int
) -> Scene:
    """A slider over amounts or months."""
    operation, attribute, space = key
    where = "" if space == "own" else ", template space"
    ordered = sorted(files, key=lambda one: (one.position or 0.0, one.path.name))
    months = operation == "interpolate" and all(one.record.get("months") for one in ordered)
    start = Shown(f"{reference.path.name}, as given", reference.volume, "0")
    if months:
        start = replace(start, tick=f"{ordered[0].record['months'][0]:g}")
    stops = []
    for one in ordered:
        amount = one.position or 0.0
        tick = signed(amount) if operation == "edit" else f"{amount:.3g}"
        what = {"edit": f"a = {tick}", "interpolate": f"month {tick}" if months else f"at {tick}"}
        stops.append(
            _compared(Shown(f"{one.path.name}, {what[operation]}", one.volume, tick), start)
        )
    if any(stop.base for stop in stops):
        before = sum((one.position or 0.0) < 0 for one in ordered) if operation == "edit" else 0
        stops.insert(before, start)
    edit = f"Amount a of the edit of {attribute} (SD per entry of the code)"
    return Scene(
        key=f"{operation}-{number}",
        title=(f"Edit, {attribute}" if operation == "edit" else "Interpolation over time") + where,
        text="Each stop of the slider is one file, ordered by the amount or time in its record.",
        control=edit if operation == "edit" else "Month" if months else "Position between visits",
        stops=stops,
        start=len(stops) - 1,
        slider=True,
        reference=Shown(reference.path.name, reference.volume),
    )


def _plain_scene(files: Sequence[_File], reference: _File, *, alone: bool) -> Scene:
    """A list of files beside the first one."""
    left = Shown(reference.path.name, reference.volume)
    right = [Shown(one.path.name, one.volume) for one in files]
    return Scene(
        key="files",
        title="Files",
        text="One file." if alone else "The first file on the left, the others on the right.",
        control="File",
        stops=right if alone else [_compared(one, left) for one in right],
        reference=None if alone else left,
    )


def _compared(one: Shown, base: Shown) -> Shown:
    """With the difference to `base`, if both lie on one grid."""
    return replace(one, base=base) if one.volume.fits(base.volume) else one
