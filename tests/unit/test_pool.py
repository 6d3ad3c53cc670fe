"""Folds of a cross-validated study, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from finished_toy import toy_index, write_finished

from ldae.__main__ import main
from ldae.conclusions.finished import FinishedStudy
from ldae.conclusions.pool import pool_folds
from ldae.errors import InputError
from ldae.statistics.tables import read_table

SUBJECTS = [f"sub-{i:02d}" for i in range(1, 13)]
N_FOLDS = 3


def write_fold(folder: Path, fold: int, changed: dict[str, Any] | None = None) -> Path:
    """Write one of three folds, of which each tests four participants."""
    settings = {"final": True, "split": {"folds": N_FOLDS, "fold": fold}} | (changed or {})
    scored = "test" if settings["final"] else "val"
    splits = {s: scored if i % N_FOLDS == fold else "train" for i, s in enumerate(SUBJECTS)}
    return write_finished(folder, toy_index(splits), settings, seed=fold)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("folds")
    return [write_fold(folder / f"fold-{fold}", fold) for fold in range(N_FOLDS)]


@pytest.fixture(scope="module")
def folds(folders: list[Path]) -> list[FinishedStudy]:
    return [FinishedStudy.read(folder) for folder in folders]


def value(table: pd.DataFrame, metric: str, method: str = "ldae") -> float:
    """The first value of a metric."""
    return float(table.query(f"metric == '{metric}' and method == '{method}'")["value"].iloc[0])


def test_every_number_is_over_all_participants(folds: list[FinishedStudy]) -> None:
    tables = pool_folds(folds)
    assert list(tables) == ["probes", "reconstruction", "interpolation", "comparisons"]
    errors = {}
    for method in ("ldae", "voxel_pca"):
        ages = pd.concat([fold.predictions[method].query("task == 'age'") for fold in folds])
        errors[method] = (ages["prediction"] - ages["target"]).abs().mean()
        assert value(tables["probes"], "mae", method) == pytest.approx(errors[method])
    gain = errors["voxel_pca"] - errors["ldae"]
    assert value(tables["comparisons"], "mae_gain") == pytest.approx(gain)
    ssim = pd.concat([f.scores["reconstruction"].query("metric == 'ssim'") for f in folds])["value"]
    assert value(tables["reconstruction"], "ssim") == pytest.approx(ssim.mean())
    middles = pd.concat([fold.scores["interpolation"] for fold in folds])
    means = middles.groupby("method")["value"].mean()
    skill = 1 - means["ldae"] / means["voxel_average"]
    assert value(tables["interpolation"], "skill") == pytest.approx(skill)
    for table in tables.values():
        assert set(table["split"]) == {"test"}
    assert set(tables["probes"]["n_subjects"]) == {12}


def test_folds_that_do_not_test_everybody_once_are_refused(folds: list[FinishedStudy]) -> None:
    with pytest.raises(InputError, match=r"4 of 12 participants, such as sub-02, are tested by"):
        pool_folds([folds[0], folds[2]])
    with pytest.raises(InputError, match=r"it tests 4 participants whom .*fold-1 tests, such as"):
        pool_folds([*folds, folds[1]])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"split": {"folds": N_FOLDS, "fold": 2, "repeat": 1}}, "split.repeat is 1, and 0 in"),
        ({"ldae": {"n_steps": 7}}, "ldae.n_steps is 7, and 130 in"),
        ({"final": False}, "it scores validation participants"),
    ],
)
def test_what_is_no_fold_of_the_same_study_is_refused(
    folds: list[FinishedStudy], changed: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    other = write_fold(tmp_path / "other", 2, changed)
    with pytest.raises(InputError, match=problem):
        pool_folds([*folds[:2], FinishedStudy.read(other)])


def test_a_fold_without_a_method_is_refused(folds: list[FinishedStudy], tmp_path: Path) -> None:
    other = write_fold(tmp_path / "other", 2)
    (other / "probes/voxel_pca/shared.tsv").unlink()
    with pytest.raises(InputError, match="do not both have probes of voxel_pca"):
        pool_folds([*folds[:2], FinishedStudy.read(other)])


def test_command(folders: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ldae")
    words = ["pool", *map(str, folders), "-o", str(tmp_path / "pooled")]
    assert main(words) == 0
    assert caplog.messages == ["12 participants in 3 folds"]
    found = read_table(tmp_path / "pooled/comparisons.tsv")
    assert set(found["against"]) == {"voxel_pca", "voxel_average"}
    assert "test split; 12 participants" in (tmp_path / "pooled/probes.md").read_text()
    assert main(words) == 2 and "it is there already" in caplog.messages[-1]
    assert main([*words, "--overwrite"]) == 0
