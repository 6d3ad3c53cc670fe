"""Codes are row-aligned and learn from training rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, affine, make_store

from ldae.data.volumes import VolumeStore
from ldae.errors import InputError
from ldae.evaluation import codes as codes_module
from ldae.evaluation.codes import (
    encode_semantics,
    fit_voxel_pca,
    measure_region_volumes,
    pool_latents,
    region_volume_codes,
    template_volumes,
    true_volume_codes,
)
from ldae.evaluation.editing import fidelity
from ldae.evaluation.editing.fidelity import Gallery
from ldae.evaluation.regions import region_atlas

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return make_store(tmp_path_factory.mktemp("study"))


def test_semantics_do_not_depend_on_the_batch(store: VolumeStore) -> None:
    codes = encode_semantics(ToyModel().semantic_code, store, 7, CPU)
    np.testing.assert_allclose(
        codes, encode_semantics(ToyModel().semantic_code, store, 64, CPU), rtol=1e-6
    )
    assert codes.shape == (len(store.index), 6 * 7 * 6) and codes.dtype == np.float32
    with pytest.raises(ValueError, match="no semantic code"):
        encode_semantics(ToyModel(conditional=False).semantic_code, store, 7, CPU)


def test_voxel_components_come_from_training_rows(store: VolumeStore) -> None:
    codes = fit_voxel_pca(store, 5, seed=0)
    assert codes.shape == (len(store.index), 5)
    train = store.rows("train")
    np.testing.assert_allclose(codes[train].mean(0), 0, atol=1e-3)
    volumes = store.volumes[:]
    volumes[store.rows("test")] = 0
    changed = object.__new__(VolumeStore)
    changed.index, changed.volumes, changed.masks = store.index, volumes, store.masks
    np.testing.assert_array_equal(fit_voxel_pca(changed, 5, seed=0)[train], codes[train])


def test_what_is_not_held_is_gone_through_in_pieces(
    store: VolumeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, whole = fit_voxel_pca(store, 3, seed=0), Gallery(store, "test")
    for module in (codes_module, fidelity):
        monkeypatch.setattr(module, "HELD_BYTES", 1)
    train = store.rows("train")
    shares = [codes[train].var(0).sum() for codes in (fit_voxel_pca(store, 3, seed=0), exact)]
    assert shares[0] == pytest.approx(shares[1], rel=0.05), "as much variance, almost"
    pieces, rows = Gallery(store, "test"), store.rows("test")[:4]
    assert pieces.values.dtype == np.float16 and whole.values.dtype == np.float32
    edited = store.batch(rows) * 0.9
    np.testing.assert_array_equal(
        pieces.identity_kept(edited, rows), whole.identity_kept(edited, rows)
    )


def test_pooled_latents_are_means_and_sds_of_octants() -> None:
    mu = np.random.default_rng(0).normal(size=(3, 2, 5, 4, 6)).astype(np.float32)
    codes = pool_latents(mu)
    assert codes.shape == (3, 2 * 2 * 8)
    np.testing.assert_allclose(codes[:, 0], mu[:, 0, :3, :2, :3].mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(codes[:, 16], mu[:, 0, :3, :2, :3].std((1, 2, 3)), rtol=1e-5)


def test_true_volumes_follow_the_index(store: VolumeStore, tmp_path: Path) -> None:
    truth = store.index[["scan"]].assign(ventricles_ml=np.arange(len(store.index)), note="x")
    truth.iloc[::-1].to_csv(tmp_path / "volumes.tsv", sep="\t", index=False)
    codes = true_volume_codes(tmp_path / "volumes.tsv", store.index)
    np.testing.assert_array_equal(codes[:, 0], np.arange(len(store.index)))
    truth.iloc[1:].to_csv(tmp_path / "volumes.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="lacks 1 scans"):
        true_volume_codes(tmp_path / "volumes.tsv", store.index)


def test_region_volumes_see_the_disease_and_are_those_of_the_head(store: VolumeStore) -> None:
    atlas = region_atlas(SHAPE, affine())
    scale = pd.Series(1.0, index=store.index["scan"])
    table = measure_region_volumes(store, atlas, scale)
    assert table["scan"].tolist() == store.index["scan"].tolist()
    sick = (store.index["diagnosis"] == "AD").to_numpy()
    ventricles = table["ventricles_ml"].to_numpy()
    assert ventricles[sick].mean() > ventricles[~sick].mean() + 3
    assert region_volume_codes(table).shape == (len(store.index), 7)
    # Stretched by 1.1 on the way to the template, a head is smaller by 1.1 cubed than it looks.
    smaller = measure_region_volumes(store, atlas, scale * 1.1)
    np.testing.assert_allclose(smaller["head_ml"], table["head_ml"] / 1.1**3, rtol=1e-6)
    np.testing.assert_allclose(template_volumes(smaller), template_volumes(table), rtol=1e-6)
    with pytest.raises(InputError, match="lacks the scale of 1 scans"):
        measure_region_volumes(store, atlas, scale.iloc[1:])
