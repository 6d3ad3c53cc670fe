"""Editing moves codes as the equation says, and the measures see it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, affine, make_store

from ldae.codes import encode_semantics, measure_region_volumes, template_volumes
from ldae.edit_fidelity import agreement_of_change, autoencoder_ceiling, group_effect
from ldae.edit_judges import ProbeSettings, halve_subjects
from ldae.manipulation import EditSettings, manipulate_attribute, manipulated_code
from ldae.probes import Probe
from ldae.regions import region_atlas
from ldae.scores import tabulate_scores
from ldae.tables import table_columns
from ldae.volumes import VolumeStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return make_store(tmp_path_factory.mktemp("study"), n_subjects=60)


def probe(weights: list[float]) -> Probe:
    return Probe(
        "age", np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.array(weights), 0, 1, 2, 2, 0
    )


def test_code_is_shifted_as_the_method_says() -> None:
    y = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    moved = manipulated_code(y, probe([3.0, 4.0]), 0.5)
    shift = 0.5 * np.sqrt(2) * np.array([3, 4]) / 5
    expected = np.array([2, 4]) * ((y.numpy() - [1, 2]) / [2, 4] + shift) + [1, 2]
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-6)
    torch.testing.assert_close(manipulated_code(y, probe([3.0, 4.0]), 0.0), y)
    with pytest.raises(ValueError, match="no direction"):
        manipulated_code(y, probe([0.0, 0.0]), 1.0)


def test_halves_share_no_person(store: VolumeStore) -> None:
    a, b = halve_subjects(store.index, 0)
    subjects = store.index["subject"].to_numpy()
    assert not set(subjects[a]) & set(subjects[b])
    assert sorted([*a, *b]) == store.rows("train").tolist()


class GroupAsTruth:
    """Effects that are the training people's own differences, the same for everyone."""

    def __init__(self, store: VolumeStore) -> None:
        self.maps = {task: group_effect(store, task).astype(np.float32) for task in TASKS}
        self.base = store.volumes[:1].astype(np.float32)

    def of(self, attribute: str, scans: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        repeated = np.repeat(self.maps[attribute][None], len(scans), 0)
        return np.repeat(self.base, len(scans), 0), repeated


TASKS = ("ad_vs_cn", "age")
Edited = tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def edited(store: VolumeStore) -> Edited:
    model = ToyModel()
    scores, examples = manipulate_attribute(
        store,
        {"ldae": model},
        {"ldae": encode_semantics(model.semantic_code, store, 32, model.device)},
        template_volumes(
            measure_region_volumes(
                store, region_atlas(SHAPE, affine()), pd.Series(1.1, index=store.index["scan"])
            )
        ),
        region_atlas(SHAPE, affine()),
        GroupAsTruth(store),
        probing=ProbeSettings([0.01, 1.0], [10.0, 1000.0], n_folds=3, pca_components=10),
        settings=EditSettings([-0.5, -0.25, 0.25, 0.5], n_steps=8, n_scans=8, batch_size=5),
        seed=0,
    )
    table = tabulate_scores(
        scores.assign(seed=0, split="test"), "manipulation", cohort="toy", n_bootstrap=50, seed=0
    )
    return scores, table, examples


def chosen(table: pd.DataFrame, metric: str, **where: object) -> pd.Series:
    """Values of a metric of the model's edits of disease, by amount."""
    rows = table[(table["metric"] == metric) & (table["method"] == "ldae")]
    for column, value in ({"task": "ad_vs_cn"} | where).items():
        rows = rows[rows[column] == value]
    return rows.set_index("amount")["value"]


def test_dose_and_response(edited: Edited) -> None:
    _, table, examples = edited
    assert list(table.columns) == table_columns("manipulation")
    for judge in ("code", "voxels", "volumes"):
        response = chosen(table, "response", attribute="ad_vs_cn", judge=judge)
        assert response[0.0] == 0 and response.is_monotonic_increasing
    ventricles = chosen(table, "ventricle_change_ml")
    assert ventricles[0.5] > 0 > ventricles[-0.5]
    assert chosen(table, "ventricle_change_spearman").item() > 0.5
    assert examples["ad_vs_cn"].shape == (5, *SHAPE) and examples["age"].shape == (5, *SHAPE)


def test_responses_count_in_deviations_between_people(edited: Edited, store: VolumeStore) -> None:
    scores, _, _ = edited
    # What the attribute does to people, in the same unit: the groups' distance over the deviation
    # of everyone, at most 2 for two groups of one size, and near it where they hardly overlap.
    people = scores[(scores["metric"] == "people_slope") & (scores["task"] == "ad_vs_cn")]
    own = people[(people["attribute"] == "ad_vs_cn") & (people["judge"] == "voxels")]
    assert 1.5 < own["value"].mean() <= 2.0
    half_a, _ = halve_subjects(store.index, 0)
    assert set(own["scan"]) == set(store.index["scan"].iloc[half_a])
    years = scores[(scores["metric"] == "response_years") & (scores["task"] == "age")]
    top = years[(years["amount"] == 0.5) & (years["judge"] == "code")]["value"]
    assert 1 < top.mean() < 100


def test_true_map_that_is_the_group_difference_is_recognised(edited: Edited) -> None:
    scores, table, _ = edited
    trivial = scores[
        (scores["method"] == "group_difference") & (scores["metric"] == "truth_correlation")
    ]
    np.testing.assert_allclose(trivial["value"], 1, atol=1e-5)
    assert trivial["scan"].nunique() == 8 and set(trivial["task"]) == set(TASKS)
    with_truth = chosen(table, "truth_correlation").dropna()
    with_group = chosen(table, "map_correlation").dropna()
    np.testing.assert_allclose(with_truth, with_group, atol=1e-5)
    # Right for both signs of a, because the direction is.
    assert (with_truth > 0.3).all() and 0.5 in with_truth.index and -0.5 in with_truth.index
    assert chosen(table, "truth_agreement").dropna().iloc[-1] == 1


def test_agreement_has_the_sign_of_the_edit() -> None:
    truth = np.random.default_rng(0).normal(size=(2, *SHAPE))
    mask = torch.ones(2, 1, *SHAPE, dtype=torch.bool)
    frames = pd.concat(agreement_of_change(np.stack([truth[0], -truth[1]]), truth[0], truth, mask))
    values = frames.set_index(["metric", "sample"])["value"]
    assert values["truth_correlation", 0] == pytest.approx(1)
    assert values["truth_correlation", 1] == pytest.approx(-1)
    assert values["truth_agreement"].tolist() == [1, 0]
    assert values["map_correlation", 0] == pytest.approx(1)


def test_what_passes_the_autoencoder_bounds_the_agreement(store: VolumeStore) -> None:
    class Clear(ToyModel):
        """Its latent is the scan."""

        def to_latent(self, x: torch.Tensor) -> torch.Tensor:
            return x

        def from_latent(self, z_0: torch.Tensor) -> torch.Tensor:
            return z_0

    x, mask = store.batch([0, 1]), store.mask_batch([0, 1])
    base = x[:, 0].numpy()
    # Darker where the scan is bright: no value leaves [0, 1].
    truth = -0.1 * base
    assert autoencoder_ceiling(Clear(), x, mask, x, base, truth) == pytest.approx(1, abs=1e-4)
    toy = ToyModel()
    blurred = autoencoder_ceiling(toy, x, mask, toy.from_latent(toy.to_latent(x)), base, truth)
    assert (blurred < 0.9).all() and (blurred > 0.1).all()


def test_off_target_ratio_is_that_of_the_slopes() -> None:
    rows = []
    for metric, on, off in (("response_slope", 2.0, 0.5), ("people_slope", 1.0, -0.8)):
        for i in range(20):
            common = {"task": "ad_vs_cn", "judge": "code", "scan": f"s{i}", "subject": f"p{i}"}
            wiggle = 0.1 * (-1) ** i
            rows.append(common | {"metric": metric, "attribute": "ad_vs_cn", "value": on})
            rows.append(common | {"metric": metric, "attribute": "sex", "value": off + wiggle})
    scores = pd.DataFrame(rows).assign(
        method="ldae", steps=20, amount=np.nan, region="", note="", seed=0, split="test"
    )
    table = tabulate_scores(scores, "manipulation", cohort="toy", n_bootstrap=200, seed=0)
    ratio = table.set_index("metric")
    assert ratio.loc["off_target_ratio", "value"] == pytest.approx(0.25)
    assert ratio.loc["off_target_ratio_people", "value"] == pytest.approx(0.8)
    low, high = ratio.loc["off_target_ratio", ["ci_low", "ci_high"]]
    assert low < 0.25 < high < 0.3
    assert ratio.loc["off_target_ratio", "n_subjects"] == 20
