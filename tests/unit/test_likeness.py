"""Heads under two names are found on the study's grid, whatever was done to their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ldae.data.addresses import Derivative, derivative_address
from ldae.preprocessing.likeness import LEAST_SCANS, note_likeness

Brains = dict[str, np.ndarray]
Change = Callable[[Brains, np.random.Generator], object]


def brains(rng: np.random.Generator, n: int = 12) -> Brains:
    """Two visits each of participants whose anatomy differs in blocks of 16 mm."""
    made = {}
    for number in range(n // 2):
        cells = rng.normal(0.5, 0.1, (6, 6, 6))
        for month in (0, 12):
            changed = cells + rng.normal(0, 0.02, cells.shape)
            made[f"sub-{number}_ses-M{month:03d}"] = changed.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    return made


def write(made: Brains, folder: Path) -> list[str]:
    for scan, values in made.items():
        path = folder / derivative_address(scan, Derivative.VOLUME)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(values.astype(np.float32), np.diag([4.0, 4, 4, 1]))
        nib.save(image, path)
    return list(made)


def copy(made: Brains, rng: np.random.Generator) -> None:
    """The head of one participant under another name, with noise and another scale."""
    source = made["sub-0_ses-M000"]
    made["sub-9_ses-M000"] = 0.9 * source + 0.05 + rng.normal(0, 0.05, source.shape)


def exchange(made: Brains, rng: np.random.Generator) -> None:
    a, b = "sub-1_ses-M012", "sub-2_ses-M012"
    made[a], made[b] = made[b], made[a]


def take_away(made: Brains, rng: np.random.Generator) -> None:
    copy(made, rng)
    for scan in list(made)[2 : 2 + len(made) - LEAST_SCANS + 1]:
        del made[scan]


CASES: dict[str, tuple[Change, dict[str, str]]] = {
    "as they are": (lambda made, rng: None, {}),
    "a copy": (
        copy,
        {
            "sub-0_ses-M000": "nearly the same brain as sub-9_ses-M000",
            "sub-0_ses-M012": "nearly the same brain as sub-9_ses-M000",
            "sub-9_ses-M000": "nearly the same brain as sub-0_ses-M000",
        },
    ),
    "names exchanged": (
        exchange,
        {
            "sub-1_ses-M000": "nearly the same brain as sub-2_ses-M012",
            "sub-1_ses-M012": "nearly the same brain as sub-2_ses-M000",
            "sub-2_ses-M000": "nearly the same brain as sub-1_ses-M012",
            "sub-2_ses-M012": "nearly the same brain as sub-1_ses-M000",
        },
    ),
    "too few": (take_away, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_heads_under_two_names(tmp_path: Path, name: str) -> None:
    change, expected = CASES[name]
    rng = np.random.default_rng(0)
    made = brains(rng)
    change(made, rng)
    found = note_likeness(write(made, tmp_path), tmp_path)
    assert set(found) == set(expected)
    for scan, text in expected.items():
        assert found[scan].startswith(text)


def test_a_visit_of_another_participant_is_found_where_visits_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = {scan: v + rng.normal(0, 0.4, v.shape) for scan, v in brains(rng).items()}
    exchange(made, rng)
    found = note_likeness(write(made, tmp_path), tmp_path)
    assert set(found) == {f"sub-{n}_ses-M{month:03d}" for n in (1, 2) for month in (0, 12)}
    assert "more like sub-2_ses-M000" in found["sub-1_ses-M012"]
    assert "than like another visit of its participant" in found["sub-1_ses-M012"]
