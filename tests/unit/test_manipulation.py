"""Editing moves codes as the equation says, and the measures see it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, affine, make_store

from ldae.codes import encode_semantics
from ldae.manipulation import halve_subjects, manipulate_attribute, manipulated_code
from ldae.probes import Probe
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


def test_dose_and_response(store: VolumeStore) -> None:
    model = ToyModel()
    table, examples = manipulate_attribute(
        store,
        model,
        encode_semantics(model.semantic_code, store, 32, model.device),
        affine(),
        amounts=[-0.5, -0.25, 0.25, 0.5],
        n_steps=8,
        n_scans=8,
        c_grid=[0.01, 1.0],
        alpha_grid=[10.0, 1000.0],
        n_folds=3,
        pca_components=10,
        batch_size=5,
        n_bootstrap=50,
        seed=0,
        cohort="toy",
    )
    assert list(table.columns) == table_columns("manipulation")
    disease = table[table["task"] == "ad_vs_cn"]
    response = disease[disease["metric"] == "probe_response"].set_index("amount")["value"]
    assert response[0.0] == 0 and response.is_monotonic_increasing
    ventricles = disease[disease["metric"] == "ventricle_change_ml"].set_index("amount")["value"]
    assert ventricles[0.5] > 0 > ventricles[-0.5]
    trend = disease[disease["metric"] == "ventricle_change_spearman"]["value"].item()
    assert trend > 0.5
    assert {"change", "map_correlation", "identity_kept", "pca_response", "other_response"} <= set(
        disease["metric"]
    )
    assert examples["ad_vs_cn"].shape == (5, *SHAPE) and examples["age"].shape == (5, *SHAPE)
