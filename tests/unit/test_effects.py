"""True effects: aligned with the preprocessed scans, and of the expected sign and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.data.addresses import Derivative, derivative_address, raw_address
from ldae.errors import InputError
from ldae.evaluation.regions import region_atlas
from ldae.preprocessing.pipeline import preprocess_batch
from ldae.preprocessing.resampling import grid_affine
from ldae.simulation.cohort import simulate_cohort
from ldae.simulation.effects import AGE_STEP_YEARS, TrueEffects, render_true_effects
from ldae.simulation.population import healthy_growth
from ldae.workflow.settings.study import StudySettings

SHAPE, SPACING_MM = (32, 40, 32), 5.0
COHORT = {
    "n_subjects": 6, "months": [0], "follow_up_share": 1.0, "missing_visit_rate": 0.0,
    "n_sites": 1, "contrast_sd": 0.015, "spacing_mm": 5.0,
    "shares": {"CN": 0.5, "MCI": 0.0, "AD": 0.5}, "age_years": [60, 80],
}  # fmt: skip
PREPROCESSING = StudySettings().preprocessing.model_dump() | {"brain_extraction": "template"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preprocessed scans of two simulated participants."""
    folder = tmp_path_factory.mktemp("study")
    simulate_cohort(COHORT, 0, folder / "bids", folder / "truth", 1)
    scans = pd.DataFrame(
        [
            {"scan": f"{s}_ses-M000", "subject": s, "session": "ses-M000",
             "path": str(raw_address(f"{s}_ses-M000"))}
            for s in ("sub-0001", "sub-0002")
        ]
    )  # fmt: skip
    grid = {"spacing_mm": SPACING_MM, "shape": list(SHAPE)}
    preprocess_batch(scans, folder / "bids", folder / "out", PREPROCESSING, grid, 1)
    return folder


@pytest.fixture(scope="module")
def effects(study: Path) -> TrueEffects:
    return render_true_effects(
        ["sub-0001_ses-M000", "sub-0002_ses-M000"], COHORT, 0, study / "truth", study / "out",
        SHAPE, grid_affine(SPACING_MM, SHAPE),
    )  # fmt: skip


def test_rendering_is_aligned_with_the_preprocessed_scan(study: Path, effects: TrueEffects) -> None:
    import nibabel as nib

    for name, base in zip(effects.scans, effects.base, strict=True):
        scan, mask = (
            np.asarray(nib.load(study / "out" / derivative_address(name, kind)).dataobj)
            for kind in (Derivative.VOLUME, Derivative.MASK)
        )
        inside = mask > 0
        at = np.corrcoef(scan[inside], base[inside])[0, 1]
        shifted = np.corrcoef(scan[inside], np.roll(base, 1, axis=1)[inside])[0, 1]
        assert at > 0.9 and shifted < at - 0.1


def test_disease_and_age_darken_the_ventricles_and_hippocampi(effects: TrueEffects) -> None:
    atlas = region_atlas(SHAPE, grid_affine(SPACING_MM, SHAPE))
    for task in ("ad_vs_cn", "age"):
        change = effects.maps[task]
        inside = np.abs(change[:, atlas.affected]).mean()
        assert change[:, atlas.affected].mean() < 0
        assert inside > 2 * np.abs(change[:, ~atlas.affected]).mean()
    hippocampi = atlas.hippocampus_left + atlas.hippocampus_right > 0.25
    disease, age = (effects.maps[task][:, hippocampi].mean() for task in ("ad_vs_cn", "age"))
    assert disease < age < 0  # the disease affects the hippocampi most


def test_effects_are_written_and_read_by_scan(effects: TrueEffects, tmp_path: Path) -> None:
    effects.save(tmp_path / "effects.npz")
    read = TrueEffects.load(tmp_path / "effects.npz")
    base, change = read.of("age", ["sub-0002_ses-M000"])
    np.testing.assert_array_equal(base[0], effects.base[1])
    np.testing.assert_array_equal(change[0], effects.maps["age"][1])


def test_unknown_or_unprocessed_scan_is_an_error(study: Path) -> None:
    with pytest.raises(InputError, match="not in this simulated cohort"):
        render_true_effects(
            ["sub-9999_ses-M000"], COHORT, 0, study / "truth", study / "out", SHAPE,
            grid_affine(SPACING_MM, SHAPE),
        )  # fmt: skip
    with pytest.raises(InputError, match="there is no such file"):
        render_true_effects(
            ["sub-0003_ses-M000"], COHORT, 0, study / "truth", study / "out", SHAPE,
            grid_affine(SPACING_MM, SHAPE),
        )  # fmt: skip


def test_healthy_growth_follows_the_rates() -> None:
    ventricles, hippocampi, cortex = healthy_growth(70, AGE_STEP_YEARS)
    assert ventricles == pytest.approx((55 / 16) ** (10 / 53))
    assert 0.93 < hippocampi < 0.96 and cortex == pytest.approx(np.exp(-0.06))
