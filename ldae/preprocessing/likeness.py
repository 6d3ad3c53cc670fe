"""Scans that look like those of another participant: one head under two names, or names exchanged.

Files with the same bytes or values are found before any work (:mod:`ldae.data.intake.copies`). A
head that was defaced, resampled or scanned twice has other ones, and would be in the training and
in the test split. Brains are therefore compared on the study's grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.data.addresses import Derivative, find_derivative, labels_of

Float = NDArray[np.floating]

CELL_MM = 16.0
"""Edge of the cells whose mean intensities are compared: anatomy stays, and noise does not."""

NEARLY_THE_SAME = 0.9
"""Correlation from which two brains are nearly the same. Those of different participants had 0.73
at most, after a deformation 0.83; the same heads with changed ventricles and cortex had 0.94 to
1.00 (docs/tried/preprocessing.md)."""

LEAST_SCANS = 10
"""Scans that it takes: the mean brain of fewer has too much of each."""

ROWS = 512
"""Scans that are compared with all others at a time."""


def note_likeness(scans: Sequence[str], preprocessed: Path) -> dict[str, str]:
    """Notes on scans that look like another participant's.

    Two scans of different participants are nearly the same; or a scan is more like another
    participant's than like any visit of its own participant, of whom there are others.

    Parameters
    ----------
    scans
        Names of preprocessed scans.
    preprocessed
        Data set of the preprocessed scans.

    Returns
    -------
    dict
        A note for each such scan; empty if there are fewer than ``LEAST_SCANS`` scans.

    Raises
    ------
    InputError
        If a scan's volume is gone.
    """
    if len(scans) < LEAST_SCANS:
        return {}
    cells = np.stack([_cells(find_derivative(preprocessed, s, Derivative.VOLUME)) for s in scans])
    subjects = np.array([labels_of(scan)[0] for scan in scans])
    found = {}
    for i, likeness in enumerate(_correlations(cells)):
        own = subjects == subjects[i]
        others = np.where(own, -np.inf, likeness)
        own[i] = False
        nearest = int(others.argmax())
        best, visits = float(others[nearest]), float(likeness[own].max(initial=-1.0))
        if best >= NEARLY_THE_SAME:
            found[scans[i]] = (
                f"nearly the same brain as {scans[nearest]} (r {best:.2f}): one participant may "
                "have two names"
            )
        elif own.any() and best > visits:
            found[scans[i]] = (
                f"more like {scans[nearest]} (r {best:.2f}) than like another visit of its "
                f"participant (r {visits:.2f}): names may have been exchanged"
            )
    return found


def _cells(path: Path) -> Float:
    """Mean intensities in the cells of a preprocessed brain, (n_cells,)."""
    image = nib.Nifti1Image.from_filename(path)
    edge = max(1, round(CELL_MM / float(image.header.get_zooms()[0])))
    shape = [n // edge for n in image.shape]
    values = np.asarray(image.dataobj, np.float32)[tuple(slice(n * edge) for n in shape)]
    blocks = values.reshape(shape[0], edge, shape[1], edge, shape[2], edge)
    means: Float = blocks.mean(axis=(1, 3, 5)).ravel()
    return means


def _correlations(cells: Float) -> Iterator[Float]:
    """For each scan, how it resembles all scans in what tells it from the mean brain, (N,)."""
    rest = cells - cells.mean(axis=0)
    rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    for start in range(0, len(rest), ROWS):
        yield from rest[start : start + ROWS] @ rest.T
