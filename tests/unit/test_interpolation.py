"""Interpolation: triples, trivial answers and skill."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import SHAPE, ToyModel, affine, make_store

from ldae.data.triples import bin_months
from ldae.data.volumes import VolumeStore
from ldae.evaluation.interpolation import find_triples, interpolate_gaps
from ldae.evaluation.regions import measure_regions, region_atlas
from ldae.evaluation.trivial_visits import (
    WIDTHS,
    TrivialAnswers,
    meet_halfway,
    smooth_inside,
)
from ldae.methods import METHODS, Methods, Role
from ldae.networks.residual import VisitResidual
from ldae.statistics.scores import BEST_IN_TRAINING, tabulate_scores
from ldae.statistics.tables import table_columns

STUDY = Methods(METHODS)
MAX_TRIPLES = 8


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    return make_store(tmp_path_factory.mktemp("study"), n_visits=4)


@pytest.fixture(scope="module")
def result(store: VolumeStore) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    scores, examples = interpolate_gaps(
        store,
        {"ldae": ToyModel()},
        region_atlas(SHAPE, affine()),
        n_steps=50,
        max_triples=MAX_TRIPLES,
        windows=[3, 4],
        batch_size=7,
        seed=0,
        residual=VisitResidual(SHAPE, latent_channels=1, patch_size=2, channels=8, n_blocks=1),
    )
    scores = scores.assign(seed=0, split="test")
    table = tabulate_scores(scores, "interpolation", STUDY, cohort="toy", n_bootstrap=50, seed=0)
    return table, examples


@pytest.mark.parametrize(
    ("months", "expected"), [(1, 6), (6.2, 6), (9, 12), (14.9, 12), (15, 18), (21, 24), (27, 30)]
)
def test_bins_of_half_a_year(months: float, expected: int) -> None:
    assert bin_months(months) == expected


def test_every_triple_of_every_participant_is_found(store: VolumeStore) -> None:
    triples = find_triples(store.index, "test")
    assert len(triples) == 6 * 4  # visits at 0, 6, 12, 24
    assert {(t.gap, t.nearest) for t in triples} == {(12, 6), (24, 6), (24, 12), (18, 6)}
    assert all(store.index["split"].iloc[list(t.rows)].eq("test").all() for t in triples)
    assert triples[0].alpha == pytest.approx(0.5)
    fewer = find_triples(store.index, "test", 8, seed=0)
    assert len(fewer) == 8 and len({(t.gap, t.nearest) for t in fewer}) == 4


def test_table_has_all_rows(result: tuple[pd.DataFrame, dict[str, np.ndarray]]) -> None:
    table, _ = result
    assert list(table.columns) == table_columns("interpolation")
    trivial = set(STUDY.select(Role.TRIVIAL, evaluation="interpolation"))
    assert {"smoothed_average", "halfway_registration"} < trivial
    assert set(table["method"]) == {"ldae", "ldae_residual"} | trivial
    assert set(table["target"]) == {"real", "autoencoder"}
    assert set(table["gap_months"].dropna()) == {12, 18, 24}
    assert set(table["nearest_months"].dropna()) == {6, 12}


def test_skill_is_relative_to_the_best_trivial_answer(
    result: tuple[pd.DataFrame, dict[str, np.ndarray]],
) -> None:
    table, _ = result
    overall = table[
        table["gap_months"].isna()
        & table["nearest_months"].isna()
        & (table["target"] == "real")
        & (table["region"] == "mask")
    ]
    mse = overall[overall["metric"] == "mse"].set_index("method")["value"]
    rows = overall[overall["metric"] == "skill"].set_index("method")
    chosen = overall.loc[overall["note"] == BEST_IN_TRAINING, "method"].unique()
    assert len(chosen) == 1 and set(rows["note"]) == {f"best trivial answer: {chosen[0]}"}
    skill = rows["value"]
    assert skill["ldae"] == pytest.approx(1 - mse["ldae"] / mse[chosen[0]])
    # The toy's autoencoder blurs and the participants hardly change: no model can win here, and the
    # skill says so.
    assert skill["ldae"] < 0


def test_untrained_residual_scores_as_the_voxel_average(
    result: tuple[pd.DataFrame, dict[str, np.ndarray]],
) -> None:
    table, examples = result
    assert np.array_equal(examples["ldae_residual"], examples["voxel_average"])
    overall = table[table["gap_months"].isna() & table["nearest_months"].isna()]
    wide = overall.pivot_table(
        index=["target", "region", "window", "metric"], columns="method", values="value",
        dropna=False,
    )  # fmt: skip
    wide = wide[wide["voxel_average"].notna()]
    assert len(wide) and wide["ldae_residual"].tolist() == wide["voxel_average"].tolist()


def test_residual_that_nobody_could_teach_is_noted(
    store: VolumeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    teachers = store.index["split"] == "train"
    index = store.index.assign(split=store.index["split"].where(~teachers, "val"))
    monkeypatch.setattr(store, "index", index)
    scores, _ = interpolate_gaps(
        store,
        {"ldae": ToyModel()},
        region_atlas(SHAPE, affine()),
        n_steps=2,
        max_triples=2,
        windows=[3],
        batch_size=2,
        seed=0,
        residual=VisitResidual(SHAPE, latent_channels=1, patch_size=2, channels=8, n_blocks=1),
    )
    noted = set(scores.loc[scores["note"].str.contains("no training participant"), "method"])
    assert noted == {"ldae_residual"}


def test_toy_follows_the_middle_visit_as_its_autoencoder_sees_it(
    result: tuple[pd.DataFrame, dict[str, np.ndarray]],
) -> None:
    table, examples = result
    row = table[
        (table["metric"] == "ssim")
        & (table["window"] == 4)
        & (table["target"] == "autoencoder")
        & (table["region"] == "mask")
        & (table["method"] == "ldae")
        & table["gap_months"].isna()
        & table["nearest_months"].isna()
    ]
    assert row["value"].item() > 0.9
    assert examples["months"].tolist() == [0, 12, 24]
    assert examples["sequence"].shape[0] == len(examples["sequence_alpha"]) == 5


def test_nobody_with_three_visits_stops(tmp_path: object) -> None:
    small = make_store(tmp_path, n_subjects=10, n_visits=2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="three visits"):
        interpolate_gaps(
            small, {"ldae": ToyModel()}, region_atlas(SHAPE, affine()), n_steps=2,
            max_triples=None, windows=[3], batch_size=4, seed=0,
        )  # fmt: skip


def test_copying_a_visit_errs_by_its_difference_in_volume(
    store: VolumeStore, result: tuple[pd.DataFrame, dict[str, np.ndarray]]
) -> None:
    table, _ = result
    chosen = (table["target"] == "real") & table["gap_months"].isna()
    rows = table[chosen & table["nearest_months"].isna() & (table["method"] == "nearest_visit")]
    value = rows.set_index("metric")["value"]
    atlas = region_atlas(SHAPE, affine())
    errors = []
    for triple in find_triples(store.index, "test", MAX_TRIPLES):
        a, m, b = triple.rows
        near = a if triple.alpha <= 0.5 else b
        ml = [measure_regions(store.batch([r]), store.mask_batch([m]), atlas) for r in (near, m)]
        errors.append([ml[0][k][0] - ml[1][k][0] for k in ("ventricles", "hippocampi")])
    expected = np.abs(errors).mean(0)
    assert value["ventricle_error_ml"] == pytest.approx(expected[0], rel=1e-4)
    assert value["hippocampus_error_ml"] == pytest.approx(expected[1], rel=1e-4)
    assert value["ventricle_bias_ml"] == pytest.approx(np.mean(errors, 0)[0], rel=1e-4)


def ball(radius: float) -> torch.Tensor:
    """Bright ball with a soft edge, (1, 20, 20, 20)."""
    axes = torch.meshgrid(*[torch.arange(20.0) - 9.5] * 3, indexing="ij")
    return torch.sigmoid(2 * (radius - torch.stack(axes).square().sum(0).sqrt()))[None]


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_halfway_is_between_in_shape_not_in_brightness(share: float) -> None:
    small, large = ball(4.0), ball(6.5)
    target = ball(4.0 + 2.5 * share)
    halfway = meet_halfway(small, large, share)
    blend = (1 - share) * small + share * large
    errors = [(x - target).square().mean() for x in (halfway, blend)]
    assert errors[0] < 0.25 * errors[1]


def test_halfway_between_equal_scans_is_that_scan() -> None:
    assert torch.allclose(meet_halfway(ball(5.0), ball(5.0), 0.3), ball(5.0), atol=1e-5)


def test_smoothing_stays_inside_the_brain_and_keeps_what_is_even() -> None:
    brain = ball(6.0)[None] > 0.5
    smooth = smooth_inside(0.7 * brain.float(), brain, 1.0)
    np.testing.assert_allclose(smooth[brain], 0.7, rtol=1e-5)
    assert (smooth[~brain] == 0).all()


def test_width_and_best_answer_are_chosen_on_the_given_triples(store: VolumeStore) -> None:
    triples = find_triples(store.index, "train", 6)
    answers = TrivialAnswers(store, ToyModel(), triples, 4)
    rows = np.array([t.rows[1] for t in triples])
    x, mask = store.batch(rows), store.mask_batch(rows)
    squares = {name: (answer - x).square() for name, answer in answers(triples).items()}
    inside = {name: float((error * mask).sum()) for name, error in squares.items()}
    everywhere = {name: float(error.sum()) for name, error in squares.items()}
    assert answers.best == {
        "mask": min(inside, key=lambda name: inside[name]),
        "whole": min(everywhere, key=lambda name: everywhere[name]),
    }
    average = answers(triples)["voxel_average"]
    tried = [smooth_inside(average, mask, width) for width in WIDTHS]
    errors = [float(((a - x).square() * mask).sum()) for a in tried]
    assert answers.width == WIDTHS[int(np.argmin(errors))]
    nobody = TrivialAnswers(store, ToyModel(), [], 4)
    assert nobody.best == {} and nobody.width == WIDTHS[0]
