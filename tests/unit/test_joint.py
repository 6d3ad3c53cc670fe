"""The joint variant: histograms, initialisation, temporal scores, code and denoiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from train_toy import read_store, write_data

from ldae.data.latents import LatentStore
from ldae.evaluation.histogram_pca import fit_histogram_pca
from ldae.networks.histograms import LocalHistograms
from ldae.networks.joint import JointNetwork
from ldae.training.histograms import histogram_layer
from ldae.training.joint import JointTraining
from ldae.training.joint_start import fit_joint_start, fit_temporal_scores, visit_pairs
from ldae.training.standard import measure_latent_standard

SHAPE = (3, 2, 2, 2)
N_PLACES, N_BINS = 8, 3
UNET = {
    "channels": [8], "attention_levels": [False], "n_res_blocks": 1, "dropout": 0.0,
    "norm_groups": 4, "schedule": {"n_timesteps": 50, "beta_start": 1e-4, "beta_end": 0.2},
}  # fmt: skip


def made(n_components: int = 6, temporal: bool = True) -> JointNetwork:
    encoder = {
        "shape": [4, 4, 4], "window": 2, "stride": 2, "n_bins": N_BINS, "n_places": N_PLACES,
        "n_components": n_components, "temporal": temporal, "width": 4,
    }  # fmt: skip
    return JointNetwork(encoder, SHAPE, UNET)


@pytest.fixture
def ageing(tmp_path: Path) -> tuple[LatentStore, Tensor]:
    """40 participants with three visits; one bin of one window increases with time, plus noise.

    Latents are a linear map of the histograms.
    """
    rng = np.random.default_rng(0)
    months = np.tile([0.0, 6.0, 24.0], 40)
    subject_effect = rng.normal(size=(40, N_PLACES, N_BINS)).repeat(3, 0)
    histograms = subject_effect + 0.3 * rng.normal(size=subject_effect.shape)
    histograms[:, 2, 1] += months / 12
    mu = histograms.reshape(120, -1) @ rng.normal(size=(24, 24)) / 5
    np.save(tmp_path / "mu.npy", mu.reshape(120, *SHAPE).astype(np.float32))
    np.save(tmp_path / "sigma.npy", np.zeros((120, *SHAPE), np.float32))
    subject = np.arange(40).repeat(3)
    table = {
        "row": range(120), "scan": [f"s{i}" for i in range(120)],
        "subject": [f"p{i}" for i in subject], "session": "", "months": months, "age": 70.0,
        "sex": "F", "diagnosis": "CN", "site": "",
        "split": np.where(subject < 28, "train", np.where(subject < 34, "val", "test")),
    }  # fmt: skip
    pd.DataFrame(table).to_csv(tmp_path / "i.tsv", sep="\t", index=False)
    latents = LatentStore(tmp_path / "mu.npy", tmp_path / "sigma.npy", tmp_path / "i.tsv", 1.0)
    return latents, torch.from_numpy(histograms).float()


def started(ageing: tuple[LatentStore, Tensor], **settings: int) -> JointNetwork:
    torch.manual_seed(0)
    network = made(**settings)
    network.standard.load_state_dict(measure_latent_standard(ageing[0]).state_dict())
    fit_joint_start(network, *ageing, 0)
    return network.eval()


def code(network: JointNetwork, histograms: Tensor) -> Tensor:
    with torch.no_grad():
        return network.encoder.code(network.encoder.standard(histograms))


def test_histograms_are_intensity_shares_in_the_brain_of_a_window() -> None:
    layer = LocalHistograms((4, 4, 4), 2, 2, 3, 2)
    layer.inside.fill_(1)
    layer.inside[0, 0, 0, 0, 0] = 0  # one of the eight voxels of the first window
    layer.places.copy_(torch.tensor([0, 7]))
    x = torch.zeros(2, 1, 4, 4, 4)
    x[1, 0, :2, :2, :2] = 0.75
    x[0, 0, 2:, 2:, 2:] = torch.tensor([0.0, 1.0]).repeat(4).reshape(2, 2, 2)
    expected = [[[1, 0, 0], [0.5, 0, 0.5]], [[0, 0.5, 0.5], [1, 0, 0]]]
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-6)
    x[1, 0, 0, 0, 0] = 0.1
    np.testing.assert_allclose(layer(x)[1, 0].numpy(), expected[1][0], atol=1e-6)


def test_windows_are_selected_by_the_training_participants(tmp_path: Path) -> None:
    write_data(tmp_path)
    masks = np.zeros((14, 8, 8, 8), np.uint8)
    masks[:9, :4] = 1
    masks[9:, 4:] = 1  # validation and test: must not count
    np.save(tmp_path / "m.npy", masks)
    layer = histogram_layer(read_store(tmp_path), {"window_mm": 8, "stride_mm": 8, "n_bins": 5}, 2)
    assert layer.places.tolist() == [0, 1, 2, 3]
    assert layer.inside[0, 0, :4].min() == 1 and layer.inside[0, 0, 4:].max() == 0


def test_histogram_components_are_fitted_on_training_participants(tmp_path: Path) -> None:
    write_data(tmp_path)
    settings = {"window_mm": 8, "stride_mm": 8, "n_bins": 5}
    codes = fit_histogram_pca(read_store(tmp_path), settings, 2, 3, 0)
    volumes = np.load(tmp_path / "v.npy")
    assert codes.shape == (14, 3)
    brightness = volumes.mean((1, 2, 3), dtype=np.float64)
    centred = np.c_[codes, np.ones(14)]
    guess = centred @ np.linalg.lstsq(centred, brightness, rcond=None)[0]
    assert np.corrcoef(guess, brightness)[0, 1] > 0.9
    np.testing.assert_allclose(codes[:9].var(0), codes[:9].var(), rtol=1e-3)
    volumes[12:] = 0.5  # test participants
    np.save(tmp_path / "v.npy", volumes)
    again = fit_histogram_pca(read_store(tmp_path), settings, 2, 3, 0)
    np.testing.assert_array_equal(again[:9], codes[:9])


def test_pairs_are_visits_of_training_participants_in_chronological_order(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    index = ageing[0].index
    pairs = visit_pairs(index)
    assert len(pairs) == 28 * 3
    assert (index["split"].iloc[pairs["earlier"]] == "train").all()
    months = index["months"].to_numpy()
    years = (months[pairs["later"]] - months[pairs["earlier"]]) / 12
    np.testing.assert_allclose(pairs["years"], years)
    assert (years > 0).all()


def test_temporal_scores_find_the_window_and_bin_that_change(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    latents, histograms = ageing
    network = started(ageing)
    standardised = network.encoder.standard(histograms)
    weight = fit_temporal_scores(standardised.numpy(), latents.index)
    assert weight.shape == (N_PLACES, N_BINS)
    assert weight[2, 1] > 3 * np.abs(weight[2, [0, 2]]).max(), "later visits must score higher"
    held_out = latents.rows("test")
    scores = network.encoder.scores(standardised[held_out])[:, 2]
    months = latents.index["months"].to_numpy()[held_out]
    assert np.corrcoef(scores.numpy(), months)[0, 1] > 0.4


def test_code_starts_as_components_of_equal_variance_and_predicts_the_latents(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    latents, histograms = ageing
    network = started(ageing, n_components=24)
    rows = latents.rows("train")
    z = network.standard(latents.mean(rows))
    y = code(network, histograms[rows])
    guess = network.guess(y).detach().reshape(z.shape)
    assert y.shape == (len(z), 24 + N_PLACES)
    np.testing.assert_allclose(y[:, :24].var(0).numpy(), 1, atol=1e-3)
    flat = network.encoder.standard(histograms[rows]).flatten(1)
    variances = torch.linalg.svdvals(flat - flat.mean(0)).square()[:24]
    kept = torch.linalg.eigvalsh(torch.cov(y[:, :24].T)).flip(0)
    np.testing.assert_allclose(kept / kept.sum(), variances / variances.sum(), atol=1e-3)
    assert (guess - z).square().mean() < 0.01 * z.square().mean()


def test_components_beyond_those_of_the_data_are_zero(ageing: tuple[LatentStore, Tensor]) -> None:
    network = started(ageing, n_components=30)
    y = code(network, ageing[1][ageing[0].rows("train")])
    assert (y[:, 24:30] == 0).all() and (y[:, :24].std(0) > 0.5).all()


def test_visits_that_do_not_differ_have_no_temporal_score(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    index = ageing[0].index
    alike = np.ones((len(index), N_PLACES, N_BINS), np.float32)
    assert not fit_temporal_scores(alike, index).any()


def test_without_second_visits_there_are_no_temporal_scores(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    first = ageing[0].index["months"] == 0
    assert visit_pairs(ageing[0].index[first]).empty
    assert made(temporal=False).encoder.dim_y == 6


def test_denoiser_sees_the_residual_of_the_linear_prediction(
    ageing: tuple[LatentStore, Tensor],
) -> None:
    latents, histograms = ageing
    network = started(ageing, n_components=24)
    rows = latents.rows("train")[:4]
    with torch.no_grad():
        for parameter in network.denoiser.parameters():
            parameter.zero_()
        y, t = code(network, histograms[rows]), torch.full((4,), 10)
        alpha_bar = torch.full((4,), 0.5)
        guess = network.guess(y).reshape(-1, *SHAPE)
        # v̂ = 0 of a residual of zero is ε̂ = √(1-ᾱ_t)·0
        eps = network.noise(0.5**0.5 * guess, t, y, alpha_bar)
    np.testing.assert_allclose(eps.numpy(), 0, atol=1e-6)


def test_code_comes_from_another_visit_of_the_same_participant(tmp_path: Path) -> None:
    write_data(tmp_path)
    store = read_store(tmp_path)
    latents = LatentStore(tmp_path / "mu.npy", tmp_path / "sigma.npy", tmp_path / "i.tsv", 1.0)
    settings = {
        "batch_size": 4, "micro_batch": None, "n_steps": 1, "n_validations": 1,
        "ema_decay": 0.9, "other_visit": True,
    }  # fmt: skip
    network = made()
    histograms = torch.arange(14.0)[:, None, None].expand(14, N_PLACES, N_BINS)
    schedule = network.denoiser.schedule
    training = JointTraining(network, latents, histograms, settings, 0, schedule)
    rows = store.rows("train")
    other = training.other_visits(rows, torch.Generator().manual_seed(0))
    subject = latents.index["subject"].to_numpy()
    assert (subject[other] == subject[rows]).all()
    assert (other != rows).all(), "each participant has three visits"
    batch = training.make_batch(rows, slice(2, 5), torch.Generator().manual_seed(0))
    assert batch["histograms"][:, 0, 0].tolist() == rows[2:5].tolist()
    alone = store.rows("train")[:1]
    training.visits[alone[0]] = alone
    assert training.other_visits(alone, torch.Generator().manual_seed(0)) == alone
