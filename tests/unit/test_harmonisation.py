"""Effects of scanner sites: predicted from codes, and taken out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.harmonisation import covariates, fit_combat, harmonise, known_sites
from ldae.evaluation.probes.fitting import CROSS_VALIDATED, fit_probes
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.leakage import fitted_on
from ldae.statistics.measures import AD_VS_CN, AGE, SITE, class_recall

GRIDS: dict[str, Any] = {
    "c_grid": [0.01, 0.1, 1.0], "alpha_grid": [1.0, 10.0, 100.0], "n_folds": 3, "seed": 0,
    "outer_folds": None, "diagnoses": Diagnoses("AD", "CN"),
}  # fmt: skip


def scanned(n: int = 240, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Codes with disease and age in the first entries; three sites shift and scale all entries."""
    rng = np.random.default_rng(seed)
    number = np.arange(n)
    index = pd.DataFrame(
        {
            "scan": [f"scan-{i}" for i in number],
            "subject": [f"sub-{i}" for i in number],
            "site": np.array(list("ABC"))[number % 3],
            "age": rng.uniform(55, 90, n),
            "sex": np.array(list("FM"))[number // 3 % 2],
            "diagnosis": np.array(["AD", "CN"])[rng.integers(0, 2, n)],
            "split": np.array(["train", "train", "train", "test"])[number // 6 % 4],
        }
    )
    codes = rng.normal(size=(n, 6))
    codes[:, 0] += 2 * (index["diagnosis"] == "AD")
    codes[:, 1] += (index["age"] - 70) / 5
    scale = np.array([[1.0], [1.5], [0.6]])
    shift = rng.normal(size=(3, 6))
    return codes * scale[number % 3] + shift[number % 3], index


def test_it_estimates_what_neurocombat_does() -> None:
    """Numbers are of neuroCombat 0.2.12 for the same codes, with the same covariates."""
    i = np.arange(18)
    codes = np.stack(
        [np.sin(i) + i % 3, np.cos(2 * i) * (1 + i % 3), i % 5 + 0.3 * (i % 3), np.sin(3 * i)], 1
    )
    index = pd.DataFrame(
        {
            "subject": [f"sub-{k}" for k in i],
            "site": np.array(list("ABC"))[i % 3],
            "age": 60.0 + i % 7,
            "sex": np.array(list("FM"))[i // 2 % 2],
            "diagnosis": np.array(["AD", "CN"])[i // 3 % 2],
        }
    )
    combat = fit_combat(codes, index)
    assert combat is not None
    shift = [
        [-2.087913, 1.984455, -0.313579, 0.079502],
        [0.161011, 1.387233, 0.070738, 0.033324],
        [2.0948, -3.781895, 0.345761, 0.016139],
    ]
    scale = [
        [1.157455, 0.887782, 1.102393, 0.926267],
        [1.152204, 1.399935, 1.178678, 1.328018],
        [0.869712, 0.841681, 0.878683, 0.862241],
    ]
    np.testing.assert_allclose(combat.shift, shift, atol=2e-6)
    np.testing.assert_allclose(combat.scale, scale, atol=2e-6)
    np.testing.assert_allclose(combat.std, [0.427158, 0.554763, 1.354431, 0.724034], atol=2e-6)
    np.testing.assert_allclose(combat.mean, [1.038133, -0.489619, 2.133333, 0.019125], atol=2e-6)


def test_sites_are_predicted_until_they_are_harmonised() -> None:
    """Disease and age are predicted as well as before, and the level of chance is stated."""
    codes, index = scanned()
    found = {}
    for harmonised in (False, True):
        probes, predictions = fit_probes(codes, index, **GRIDS, harmonised=harmonised)
        assert SITE not in probes
        table = tabulate_probes({"voxel_pca": predictions}, cohort="toy", seed=0, n_bootstrap=50)
        found[harmonised] = table[table["split"] == "test"].set_index(["task", "metric"])
    site = (SITE, "balanced_accuracy")
    assert found[False].loc[site, "value"] > 0.7
    assert found[True].loc[site, "value"] < 0.5
    assert "0.333 (3 sites)" in found[True].loc[site, "note"]
    assert found[True].loc[(AGE, "mae"), "value"] < found[False].loc[(AGE, "mae"), "value"]
    auc = (AD_VS_CN, "roc_auc")
    assert found[True].loc[auc, "value"] > found[False].loc[auc, "value"] - 0.02


def test_no_label_of_a_test_scan_enters_its_code() -> None:
    """Nor does a test scan enter what is estimated."""
    codes, index = scanned()
    train = np.flatnonzero(index["split"] == "train")
    before = harmonise(codes, index, train)
    test = (index["split"] == "test").to_numpy()
    changed = index.assign(
        diagnosis=index["diagnosis"].where(~test, "AD"), age=index["age"].where(~test, 20.0)
    )
    moved = codes.copy()
    moved[np.flatnonzero(test)[1:]] = 1e6
    after = harmonise(moved, changed, train)
    rows = [*train, np.flatnonzero(test)[0]]
    np.testing.assert_array_equal(before[rows], after[rows])
    fit_probes(codes, index, **GRIDS, harmonised=True)
    assert set(fitted_on()["ComBat"]) == set(index["subject"][train])


def test_cross_validation_harmonises_each_fold_by_itself() -> None:
    """Every scan is predicted once for each task, and no fit on test participants is noted."""
    codes, index = scanned(60)
    grids = GRIDS | {"outer_folds": 3}
    _, predictions = fit_probes(codes, index, **grids, harmonised=True)
    crossed = predictions[predictions["split"] == CROSS_VALIDATED]
    assert set(crossed["task"]) >= {AD_VS_CN, AGE, SITE}
    assert (crossed.groupby("task")["scan"].nunique() == len(index)).all()


@pytest.mark.parametrize(
    ("sites", "kept"),
    [
        (["A"] * 12, False),
        ([""] * 12, False),
        (["A"] * 9 + ["B"] * 3, False),  # too few of B
        (["A"] * 6 + ["B"] * 6, True),
    ],
)
def test_too_few_sites_leave_codes_as_they_are(sites: list[str], kept: bool) -> None:
    codes, index = scanned(12)
    index = index.assign(site=sites, split="train")
    changed = not np.array_equal(harmonise(codes, index, np.arange(12)), codes)
    assert changed == kept


def test_a_new_site_and_a_constant_entry_stay_as_they_are() -> None:
    codes, index = scanned()
    codes[:, 5] = 3.0
    index.loc[index.index[:2], "site"] = "new"
    train = np.flatnonzero(index["split"] == "train")
    harmonised = harmonise(codes, index, train)
    np.testing.assert_array_equal(harmonised[:2], codes[:2])
    np.testing.assert_array_equal(harmonised[:, 5], codes[:, 5])
    assert not np.array_equal(harmonised[2:, :5], codes[2:, :5])
    assert known_sites(index["site"].to_numpy(), index["subject"].to_numpy()) == ["A", "B", "C"]


def test_missing_covariates_are_a_group_of_their_own() -> None:
    index = pd.DataFrame(
        {"age": [60.0, np.nan, 80.0], "sex": ["F", "", "M"], "diagnosis": ["", "", ""]}
    )
    design = covariates(index)
    assert design.shape == (3, 3)  # age, two of three sexes
    np.testing.assert_allclose(design[:, 0], [-10, 0, 10])
    assert covariates(index.assign(age=np.nan)).shape == (3, 2)


def test_balanced_accuracy_of_several_classes_is_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (50, 2)).astype(float)
    expected = balanced_accuracy_score(values[:, 0], values[:, 1])
    assert class_recall(values, np.ones((1, 50)))[0] == pytest.approx(expected)
    without = np.ones((1, 50))
    without[:, values[:, 0] == 2] = 0  # a replicate without one of the sites
    assert np.isnan(class_recall(values, without)[0])
