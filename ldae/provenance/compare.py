"""Comparison of a recomputed file with the original.

Files with equal bytes are identical. Other files are compared by content within a tolerance,
because the last digits of floating-point sums depend on the processor and the number of threads.
Run times and memory differ between runs and are not compared.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Largest accepted difference of two numbers, relative to the larger one, and of two array entries,
# relative to the largest entry of the array.
TOLERANCE = 1e-3
# Largest accepted mean difference of two images, on a scale from 0 to 1.
PICTURE_TOLERANCE = 1 / 255

# Measurements of a run: columns and keys whose name contains one of these words, and rows whose
# metric does.
MEASURED = ("seconds", "memory", "speed", "per_second")


class Likeness(StrEnum):
    """Result of the comparison of two files."""

    IDENTICAL = "identical"
    WITHIN = "within tolerance"
    MEASURED = "identical except for times and memory"
    DIFFERENT = "different"

    @property
    def agrees(self) -> bool:
        """Whether the file counts as reproduced."""
        return self is not Likeness.DIFFERENT


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison, and a description of the largest difference."""

    likeness: Likeness
    detail: str = ""


def compare_files(kept: Path, again: Path, tolerance: float = TOLERANCE) -> Comparison:
    """Compare an original file with the recomputed one.

    Parameters
    ----------
    kept, again
        Original and recomputed file. The file type follows from the suffix of `kept`.
    tolerance
        Largest accepted difference of numbers, relative to the larger one or, in an array, to the
        largest entry.
    """
    if not kept.is_file() or not again.is_file():
        missing = "the original file" if not kept.is_file() else "the recomputed file"
        return Comparison(Likeness.DIFFERENT, f"{missing} is missing")
    if kept.stat().st_size == again.stat().st_size and kept.read_bytes() == again.read_bytes():
        return Comparison(Likeness.IDENTICAL)
    compare = next((f for ending, f in KINDS.items() if kept.name.endswith(ending)), None)
    if compare is None:
        return Comparison(Likeness.DIFFERENT, "different bytes; cannot compare this file type")
    return compare(kept, again, tolerance)


def compare_beginning(
    kept: Path, again: Path, tolerance: float = TOLERANCE
) -> tuple[Comparison, int, int]:
    """Compare the rows that a training which was stopped has with the same rows of the original.

    Parameters
    ----------
    kept, again
        Tables of metrics with a column ``step``.
    tolerance
        As of :func:`compare_files`.

    Returns
    -------
    Comparison, int, int
        Comparison of these rows, the last step that was reached, and the last step of the original;
        the first of these is 0 if no row was reached.
    """
    before, now = _read_table(kept), _read_table(again) if again.is_file() else []
    total = int(before[-1]["step"]) if before else 0
    if not now:
        return Comparison(Likeness.DIFFERENT, "no step was reached"), 0, total
    same = before[: len(now)]
    comparison = (
        Comparison(Likeness.IDENTICAL) if same == now else _compare_values(same, now, tolerance)
    )
    return comparison, int(now[-1]["step"]), total


def _is_measured(name: str) -> bool:
    return any(word in name for word in MEASURED)


def _compare_tables(kept: Path, again: Path, tolerance: float) -> Comparison:
    return _compare_values(_read_table(kept), _read_table(again), tolerance)


def _read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))


def _compare_json(kept: Path, again: Path, tolerance: float) -> Comparison:
    one, other = (json.loads(path.read_bytes()) for path in (kept, again))
    return _compare_values(one, other, tolerance)


def _compare_values(kept: Any, again: Any, tolerance: float) -> Comparison:
    """Compare two tables, given as lists of rows, or two JSON values."""
    pairs = list(_pairs(kept, again, ""))
    measured = [pair for pair in pairs if pair[3]]
    rest = [pair for pair in pairs if not pair[3]]
    worst, where = 0.0, ""
    for place, a, b, _ in rest:
        difference = _difference(a, b)
        if difference > worst:
            worst, where = difference, place
    if worst > tolerance:
        what = "different text" if math.isinf(worst) else f"relative difference {worst:.2g}"
        return Comparison(Likeness.DIFFERENT, f"{what} at {where}, tolerance {tolerance:g}")
    if worst > 0:
        detail = f"relative difference {worst:.2g} at {where}, tolerance {tolerance:g}"
        return Comparison(Likeness.WITHIN, detail)
    if any(a != b for _, a, b, _ in measured):
        return Comparison(Likeness.MEASURED)
    return Comparison(Likeness.WITHIN, "equal values in a different format")


Pair = tuple[str, Any, Any, bool]


def _pairs(a: Any, b: Any, place: str, measured: bool = False) -> Iterator[Pair]:
    """Position, both values, and whether they are measurements, of all values in two structures."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        measured = measured or _is_measured(str(a.get("metric", "")))
        for key in {**a, **b}:
            known = measured or _is_measured(str(key))
            yield from _pairs(a.get(key), b.get(key), f"{place}/{key}", known)
    elif isinstance(a, list) and isinstance(b, list):
        for i in range(max(len(a), len(b))):
            one, other = (x[i] if i < len(x) else None for x in (a, b))
            yield from _pairs(one, other, f"{place}/{i + 1}", measured)
    else:
        yield place.removeprefix("/"), a, b, measured


def _difference(a: Any, b: Any) -> float:
    """Relative difference of two numbers, also if given as text; infinite for other text."""
    if a == b:
        return 0.0
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return math.inf
    if math.isnan(x) and math.isnan(y):
        return 0.0
    largest = max(abs(x), abs(y))
    return abs(x - y) / largest if math.isfinite(x - y) else math.inf


def _compare_arrays(
    kept: Mapping[str, np.ndarray], again: Mapping[str, np.ndarray], tolerance: float
) -> Comparison:
    import numpy as np

    if set(kept) != set(again):
        unmatched = sorted(set(kept) ^ set(again))
        return Comparison(Likeness.DIFFERENT, f"arrays in only one of the files: {unmatched}")
    worst, where = 0.0, ""
    for name in kept:
        a, b = np.asarray(kept[name]), np.asarray(again[name])
        if a.shape != b.shape or a.dtype != b.dtype:
            what = f"{name}: {a.dtype} {a.shape} and {b.dtype} {b.shape}"
            return Comparison(Likeness.DIFFERENT, what)
        if np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            continue
        if a.dtype.kind not in "fciub":
            return Comparison(Likeness.DIFFERENT, f"{name}: different text")
        x, y = a.astype(np.float64), b.astype(np.float64)
        largest = max(float(np.nanmax(np.abs(x))), float(np.nanmax(np.abs(y))))
        difference = float(np.max(np.abs(x - y))) / largest
        if math.isnan(difference):
            return Comparison(Likeness.DIFFERENT, f"{name}: NaN in only one of the files")
        if difference > worst:
            worst, where = difference, name
    detail = f"difference {worst:.2g} of the largest entry"
    detail += f" in {where}, tolerance {tolerance:g}" if where else ""
    return Comparison(Likeness.DIFFERENT if worst > tolerance else Likeness.WITHIN, detail)


def _compare_npy(kept: Path, again: Path, tolerance: float) -> Comparison:
    import numpy as np

    return _compare_arrays({"array": np.load(kept)}, {"array": np.load(again)}, tolerance)


def _compare_npz(kept: Path, again: Path, tolerance: float) -> Comparison:
    import numpy as np

    with np.load(kept) as a, np.load(again) as b:
        return _compare_arrays(dict(a), dict(b), tolerance)


def _compare_safetensors(kept: Path, again: Path, tolerance: float) -> Comparison:
    from safetensors.numpy import load_file

    return _compare_arrays(load_file(kept), load_file(again), tolerance)


def _compare_images(kept: Path, again: Path, tolerance: float) -> Comparison:
    import nibabel as nib
    import numpy as np

    a, b = (nib.Nifti1Image.from_filename(path) for path in (kept, again))
    return _compare_arrays(
        {"image": np.asanyarray(a.dataobj), "affine": np.asarray(a.affine)},
        {"image": np.asanyarray(b.dataobj), "affine": np.asarray(b.affine)},
        tolerance,
    )


def _compare_pictures(kept: Path, again: Path, _tolerance: float) -> Comparison:
    import numpy as np
    from matplotlib.image import imread

    a, b = (imread(path).astype(np.float64) for path in (kept, again))
    if a.shape != b.shape:
        return Comparison(Likeness.DIFFERENT, f"{a.shape} and {b.shape} pixels")
    scale = 1.0 if max(a.max(), b.max()) <= 1 else 255.0
    difference = float(np.abs(a - b).mean()) / scale
    detail = f"mean difference {difference:.2g} of full scale, tolerance {PICTURE_TOLERANCE:.2g}"
    within = difference <= PICTURE_TOLERANCE
    return Comparison(Likeness.WITHIN if within else Likeness.DIFFERENT, detail)


KINDS: dict[str, Callable[[Path, Path, float], Comparison]] = {
    ".tsv": _compare_tables,
    ".csv": _compare_tables,
    ".json": _compare_json,
    ".npy": _compare_npy,
    ".npz": _compare_npz,
    ".safetensors": _compare_safetensors,
    ".nii.gz": _compare_images,
    ".nii": _compare_images,
    ".png": _compare_pictures,
    ".jpg": _compare_pictures,
}
