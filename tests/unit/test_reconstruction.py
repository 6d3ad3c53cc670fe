"""Reconstruction: what is known of the toy model is what is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, make_store

from ldae.data.pieces import Pieces
from ldae.data.volumes import VolumeStore
from ldae.errors import InputError
from ldae.evaluation.reconstruction import evaluate_reconstruction, vary_stochastic
from ldae.evaluation.selection import choose_rows, read_selection, rows_of, write_selection
from ldae.methods import METHODS, Methods
from ldae.statistics.scores import read_scores, tabulate_scores, write_scores
from ldae.statistics.tables import table_columns

STUDY = Methods(METHODS)


OPTIONS = {"seed": 0, "windows": [3, 4, 11]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return make_store(tmp_path_factory.mktemp("study"))


def models() -> dict[str, ToyModel]:
    return {"ldae": ToyModel(), "prior": ToyModel(conditional=False)}


def test_every_row_of_the_protocol_is_there(store: VolumeStore, tmp_path: Path) -> None:
    scores, examples = evaluate_reconstruction(
        store,
        models(),
        STUDY,
        steps=[5, 40],
        voxel_steps=[5],
        n_scans=None,
        batch_size=4,
        n_examples=2,
        **OPTIONS,
    )
    write_scores(scores, "reconstruction", 0, "test", tmp_path / "scores.tsv.gz")
    read = read_scores([tmp_path / "scores.tsv.gz"], "reconstruction")
    table = tabulate_scores(read, "reconstruction", STUDY, cohort="toy", n_bootstrap=50, seed=0)
    assert list(table.columns) == table_columns("reconstruction")
    assert set(table["method"]) == {"autoencoder", "ldae", "ldae_semantic", "prior"}
    chosen = table[(table["metric"] == "mse") & (table["region"] == "mask")]
    value = chosen.set_index(["method", "steps"])["value"]
    # More steps invert better, and nothing beats the autoencoder's own decoder by more than noise.
    assert value["ldae", 40] < value["ldae", 5]
    assert value["ldae", 40] < 1.2 * value["autoencoder"].iloc[0]
    # Without its stochastic code a scan comes back worse.
    assert value["ldae_semantic", 40] > 1.5 * value["ldae", 40]
    assert (table["n_scans"].dropna() <= 18).all()
    assert examples["original"].shape == examples["ldae"].shape == (2, *SHAPE)


class Killed(ToyModel):
    """A model whose process is killed while it encodes the third batch."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 2

    def to_latent(self, x: torch.Tensor) -> torch.Tensor:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().to_latent(x)


def test_a_killed_evaluation_goes_on_after_its_last_batch(
    store: VolumeStore, tmp_path: Path
) -> None:
    def evaluate(model: ToyModel, folder: Path | None) -> tuple[pd.DataFrame, dict]:
        steps = {"steps": [2], "voxel_steps": [2], "n_scans": 6, "batch_size": 2}
        pieces = Pieces(folder)
        return evaluate_reconstruction(
            store, {"ldae": model}, STUDY, **steps, **OPTIONS, pieces=pieces
        )

    with pytest.raises(KeyboardInterrupt):
        evaluate(Killed(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    last = Killed()
    last.left = 1  # one batch is left to compute
    scores, examples = evaluate(last, tmp_path)
    whole, shown = evaluate(ToyModel(), None)
    pd.testing.assert_frame_equal(scores, whole)
    np.testing.assert_array_equal(examples["ldae"], shown["ldae"])


def test_numbers_do_not_depend_on_the_batch(store: VolumeStore) -> None:
    scores = [
        evaluate_reconstruction(
            store,
            models(),
            STUDY,
            steps=[5],
            voxel_steps=[5],
            n_scans=6,
            batch_size=size,
            **OPTIONS,
        )[0]
        for size in (2, 6)
    ]
    keys = ["method", "steps", "region", "window", "scan", "metric"]
    ordered = [s.sort_values(keys).reset_index(drop=True) for s in scores]
    pd.testing.assert_frame_equal(*ordered, rtol=1e-4)


def test_scans_are_spread_over_participants_and_reproducible(store: VolumeStore) -> None:
    rows = choose_rows(store.index, "test", 6, seed=1)
    assert store.index.loc[rows, "subject"].nunique() == 6
    np.testing.assert_array_equal(rows, choose_rows(store.index, "test", 6, seed=1))
    assert (store.index.loc[rows, "split"] == "test").all()
    assert len(choose_rows(store.index, "test", 8, seed=1)) == 8
    assert len(choose_rows(store.index, "test", 999, seed=1)) == 18


def test_chosen_scans_are_found_again_by_name(store: VolumeStore, tmp_path: Path) -> None:
    rows = choose_rows(store.index, "test", 6, seed=1)
    write_selection(store.index, rows, tmp_path / "edited.tsv")
    scans = read_selection(tmp_path / "edited.tsv")
    assert scans == store.index["scan"].iloc[rows].tolist()
    np.testing.assert_array_equal(rows_of(store.index, scans), rows)
    np.testing.assert_array_equal(rows_of(store.index, scans[::-1]), rows[::-1])
    with pytest.raises(InputError, match="sub-gone: the scan is not in the index"):
        rows_of(store.index, [*scans, "sub-gone"])


def test_stochastic_variation_shrinks_with_what_the_code_knows(store: VolumeStore) -> None:
    spread = []
    for deviation in (0.2, 0.6):
        scores, examples = vary_stochastic(
            store,
            {"ldae": ToyModel(deviation=deviation)},
            n_steps=100,
            n_scans=3,
            n_samples=4,
            window=3,
            batch_size=3,
            seed=0,
        )
        rows = scores[(scores["metric"] == "std") & (scores["region"] == "mask")]
        spread.append(rows["value"].mean())
        assert rows["scan"].nunique() == 3
    assert spread[0] < 0.5 * spread[1]
    # z_0 | y has SD s, and a unit of latent is 0.3 of intensity.
    assert spread[0] == pytest.approx(0.2 * 0.3, rel=0.15)
    assert examples["samples"].shape == (4, *SHAPE)
