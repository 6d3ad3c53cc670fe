"""Finished studies of the same participants, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from finished_toy import toy_index, write_finished

from ldae.__main__ import main
from ldae.conclusions.finished import FinishedStudy, changes
from ldae.conclusions.studies import compare_studies
from ldae.errors import InputError
from ldae.statistics.tables import read_table

SPLITS = {f"sub-{i:02d}": "train" if i > 8 else "val" for i in range(1, 13)}
CONDITIONS = ["claim", "method", "task", "steps", "region", "window"]


def finished(folder: Path, index: pd.DataFrame | None = None, **options: Any) -> FinishedStudy:
    """A toy study as it is read from its results."""
    index = toy_index(SPLITS) if index is None else index
    return FinishedStudy.read(write_finished(folder, index, **options))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[FinishedStudy, FinishedStudy]:
    """Two studies of different settings of a network."""
    folder = tmp_path_factory.mktemp("pair")
    other = finished(folder / "other", seed=1)
    return finished(folder / "study", settings={"ldae": {"snr_gamma": 0.5}}), other


def cells(table: pd.DataFrame, metric: str, **where: object) -> pd.Series:
    """Values of a metric in a table."""
    kept = table["metric"] == metric
    for column, value in where.items():
        kept &= table[column] == value
    return table.loc[kept, "value"]


def cell(table: pd.DataFrame, metric: str, **where: object) -> float:
    """The only value of a metric."""
    (value,) = cells(table, metric, **where)
    return float(value)


def test_gains_are_those_of_a_computation_by_hand(
    pair: tuple[FinishedStudy, FinishedStudy],
) -> None:
    study, other = pair
    table = compare_studies(study, [other])
    for method in ("ldae", "voxel_pca"):
        errors = []
        for one in pair:
            ages = one.predictions[method].query("task == 'age'")
            errors.append((ages["prediction"] - ages["target"]).abs().mean())
        found = [cell(table, f"mae{end}", method=method) for end in ("", "_other", "_gain")]
        assert found == pytest.approx([*errors, errors[1] - errors[0]])
    for claim, metric, sign, gain in (
        ("reconstruction", "ssim", 1, "ssim_gain"),
        ("reconstruction", "mse", -1, "mse_gain"),
        ("manipulation", "map_correlation", 1, "map_correlation_gain"),
        ("manipulation", "change_ratio", -1, "change_ratio_gain"),
    ):
        means = []
        for one in pair:
            rows = one.scores[claim].query(f"metric == '{metric}'")
            edited = rows["amount"] != 0 if "amount" in rows else slice(None)
            means.append(rows.loc[edited, "value"].mean())
        found = [cell(table, m, claim=claim) for m in (metric, f"{metric}_other", gain)]
        assert found == pytest.approx([*means, sign * (means[0] - means[1])])
    skills = []
    for one in pair:
        errors = one.scores["interpolation"].groupby("method")["value"].mean()
        skills.append(1 - errors["ldae"] / errors["voxel_average"])
    found = [cell(table, f"skill{end}") for end in ("", "_other", "_gain")]
    assert found == pytest.approx([*skills, skills[0] - skills[1]])
    assert set(table["against"]) == {other.folder.as_posix()}
    assert set(table["change"]) == {"ldae.snr_gamma 0.1 → 0.5"}
    assert set(table["seed"]) == {"0", "shared"} and set(table["split"]) == {"val"}
    assert not table.duplicated([*CONDITIONS, "metric"]).any()


def test_a_study_gains_nothing_over_itself(pair: tuple[FinishedStudy, FinishedStudy]) -> None:
    table = compare_studies(pair[0], [pair[0]])
    gains = table[table["metric"].str.contains("_gain")]
    assert len(gains) >= 9 and (gains["value"] == 0).all()
    assert set(table["change"]) == {"none"}


def test_only_what_both_scored_is_measured(
    pair: tuple[FinishedStudy, FinishedStudy], tmp_path: Path
) -> None:
    """One study lacks a visit and a participant, so that its triples have other numbers."""
    index = toy_index(SPLITS | {"sub-02": "train"})
    index = index[index["scan"] != "sub-01_M006"].reset_index(drop=True)
    less = finished(tmp_path / "less", index.assign(row=range(len(index))), seed=2)
    table = compare_studies(pair[0], [less])
    of_ldae = table[(table["method"] == "ldae") & (table["claim"] != "interpolation")]
    assert set(of_ldae["n_subjects"]) == {7} and set(of_ldae["n_scans"]) == {27}
    triples = [one.scores["interpolation"]["triple"] for one in (pair[0], less)]
    shared = set(triples[0]) & set(triples[1])
    errors = less.scores["interpolation"].query("method == 'ldae'").set_index("triple")["value"]
    expected = errors[list(shared)].mean()
    assert cell(table, "mse_other", claim="interpolation", method="ldae") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"preprocessing": {"registration": "syn"}}, "preprocessing.registration"),
        ({"grid": {"spacing_mm": 5.0}}, "grid.spacing_mm"),
    ],
)
def test_other_images_have_both_values_and_no_gain(
    pair: tuple[FinishedStudy, FinishedStudy], settings: dict[str, Any], named: str, tmp_path: Path
) -> None:
    """But labels and skill mean the same in both."""
    table = compare_studies(finished(tmp_path / "warped", settings=settings), [pair[1]])
    gains = table[table["metric"].str.contains("_gain")].set_index("metric")
    without = gains.loc[["ssim_gain", "mse_gain", "map_correlation_gain"]]
    assert without["value"].isna().all()
    assert set(without["note"]) == {f"no gain: the scans are other images ({named})"}
    assert gains.loc[["mae_gain", "roc_auc_gain", "skill_gain"], "value"].notna().all()
    assert cells(table, "ssim_other").notna().all() and cells(table, "ssim").notna().all()


def test_trainings_are_paired_by_their_seeds(
    pair: tuple[FinishedStudy, FinishedStudy], tmp_path: Path
) -> None:
    several = finished(tmp_path / "several", seeds=(3, 0), seed=4)
    table = compare_studies(several, [pair[1]])
    of_seed = several.scores["reconstruction"].query("seed == 0 and metric == 'ssim'")
    assert cell(table, "ssim") == pytest.approx(of_seed["value"].mean())
    assert set(table.loc[table["method"] == "ldae", "seed"]) == {"0"}


def test_studies_that_do_not_compare_are_refused(
    pair: tuple[FinishedStudy, FinishedStudy], tmp_path: Path
) -> None:
    swapped = {s: "val" if split == "train" else "train" for s, split in SPLITS.items()}
    older = toy_index(SPLITS).assign(age=lambda index: index["age"] + 1)
    for name, options, problem in (
        ("swapped", {"index": toy_index(swapped)}, "it scores no participant whom"),
        ("older", {"index": older}, "it scores no participant whom"),
        ("seeds", {"seeds": (5,)}, "none of its training seeds is one of"),
        ("final", {"index": toy_index(dict.fromkeys(SPLITS, "test")), "settings": {"final": True}},
         "it scores the split test, and"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=problem):
            compare_studies(pair[0], [finished(tmp_path / name, **options)])


def test_a_study_that_lacks_a_training_is_not_finished(tmp_path: Path) -> None:
    folder = write_finished(tmp_path / "study", toy_index(SPLITS), seeds=(0, 1))
    (folder / "probes/ldae/seed-1.tsv").unlink()
    with pytest.raises(InputError, match=r"ldae/seed-1.tsv: it is missing"):
        FinishedStudy.read(folder)


def test_changes_leave_out_names_and_places(
    pair: tuple[FinishedStudy, FinishedStudy], tmp_path: Path
) -> None:
    renamed = {"study": "other", "pathvars": {"results": "elsewhere"}, "grid": {"spacing_mm": 5.0}}
    assert changes(pair[1], finished(tmp_path / "renamed", settings=renamed)) == {
        "grid.spacing_mm": (4.0, 5.0)
    }


def test_command(
    pair: tuple[FinishedStudy, FinishedStudy], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study, other = (str(one.folder) for one in pair)
    output = tmp_path / "compare.tsv"
    words = ["compare", study, other, study, "-o", str(output)]
    caplog.set_level("INFO", "ldae")
    assert main(words) == 0
    assert caplog.messages[0] == f"{other}: scores 8 of 8 participants too"
    table = read_table(output)
    assert list(dict.fromkeys(table["against"])) == [other, study]
    np.testing.assert_allclose(cells(table, "skill_gain", against=study), 0)
    assert "ldae.snr_gamma 0.1 → 0.5" in output.with_suffix(".md").read_text()
    assert main(words) == 2 and "it is there already" in caplog.messages[-1]
    assert main([*words[:2], str(tmp_path), *words[4:], "--overwrite"]) == 2
    assert "it holds no finished study (no config.yaml)" in caplog.messages[-1]
