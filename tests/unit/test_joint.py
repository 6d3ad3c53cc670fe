"""The jointly trained variant: where it starts, what its code holds, what it decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from train_toy import read_store, write_data

from ldae.latents import LatentStore
from ldae.networks.joint import JointNetwork
from ldae.networks.standard import measure_latent_standard
from ldae.training.joint import JointTraining
from ldae.training.joint_start import fit_joint_start, fit_temporal_scores, visit_pairs

SHAPE = (3, 2, 2, 2)
UNET = {
    "channels": [8], "attention_levels": [False], "n_res_blocks": 1, "dropout": 0.0,
    "norm_groups": 4, "schedule": {"n_levels": 50, "beta_start": 1e-4, "beta_end": 0.2},
}  # fmt: skip


def made(shape: tuple[int, ...], n_components: int = 6, temporal: bool = True) -> JointNetwork:
    return JointNetwork(shape, n_components, temporal, 4, 4, UNET)


@pytest.fixture
def ageing(tmp_path: Path) -> LatentStore:
    """40 people, three visits each: one channel of one place rises with time, noise elsewhere."""
    rng = np.random.default_rng(0)
    months = np.tile([0.0, 6.0, 24.0], 40)
    person = rng.normal(size=(40, *SHAPE)).repeat(3, 0)
    mu = person + 0.3 * rng.normal(size=person.shape)
    mu[:, 1, 0, 1, 0] += months / 12
    np.save(tmp_path / "mu.npy", mu.astype(np.float32))
    np.save(tmp_path / "sigma.npy", np.zeros_like(mu, dtype=np.float32))
    subject = np.arange(40).repeat(3)
    table = {
        "row": range(120), "scan": [f"s{i}" for i in range(120)],
        "subject": [f"p{i}" for i in subject], "session": "", "months": months, "age": 70.0,
        "sex": "F", "diagnosis": "CN", "site": "",
        "split": np.where(subject < 28, "train", np.where(subject < 34, "val", "test")),
    }  # fmt: skip
    pd.DataFrame(table).to_csv(tmp_path / "i.tsv", sep="\t", index=False)
    return LatentStore(tmp_path / "mu.npy", tmp_path / "sigma.npy", tmp_path / "i.tsv", 1.0)


def started(latents: LatentStore, **settings: int) -> JointNetwork:
    torch.manual_seed(0)
    network = made(latents.shape, **settings)
    network.standard.load_state_dict(measure_latent_standard(latents).state_dict())
    fit_joint_start(network, latents, 0)
    return network.eval()


def test_pairs_are_of_training_people_in_order_of_time(ageing: LatentStore) -> None:
    pairs = visit_pairs(ageing.index)
    assert len(pairs) == 28 * 3
    assert (ageing.index["split"].iloc[pairs["earlier"]] == "train").all()
    months = ageing.index["months"].to_numpy()
    years = (months[pairs["later"]] - months[pairs["earlier"]]) / 12
    np.testing.assert_allclose(pairs["years"], years)
    assert (years > 0).all()


def test_temporal_scores_find_the_place_and_channel_that_change(ageing: LatentStore) -> None:
    network = started(ageing)
    weight = fit_temporal_scores(network, ageing)
    assert weight.shape == (8, 3)
    place = np.ravel_multi_index((0, 1, 0), SHAPE[1:])
    assert abs(weight[place, 1]) > 3 * np.abs(np.delete(weight[place], 1)).max()
    assert weight[place, 1] > 0, "later is higher"
    held_out = ageing.rows("test")
    scores = network.encoder.scores(network.standard(ageing.mean(held_out)))[:, place]
    months = ageing.index["months"].to_numpy()[held_out]
    assert np.corrcoef(scores.numpy(), months)[0, 1] > 0.4


def test_code_starts_as_whitened_components_and_the_guess_as_their_inverse(
    ageing: LatentStore,
) -> None:
    network = started(ageing, n_components=24)
    z = network.standard(ageing.mean(ageing.rows("train")))
    with torch.no_grad():
        y = network.encoder(z)
        guess = network.guess(y).reshape(z.shape)
    assert y.shape == (len(z), 24 + 8)
    np.testing.assert_allclose(torch.cov(y[:, :24].T).numpy(), np.eye(24), atol=1e-3)
    np.testing.assert_allclose(guess.numpy(), z.numpy(), atol=1e-3)


def test_components_beyond_those_of_the_data_are_zero(ageing: LatentStore) -> None:
    network = started(ageing, n_components=30)
    with torch.no_grad():
        y = network.encoder(network.standard(ageing.mean(ageing.rows("train"))))
    assert (y[:, 24:30] == 0).all() and (y[:, :24].std(0) > 0.5).all()


def test_without_second_visits_there_are_no_scores(ageing: LatentStore) -> None:
    first = ageing.index["months"] == 0
    assert visit_pairs(ageing.index[first]).empty
    assert made(SHAPE, temporal=False).encoder.dim_y == 6


def test_denoiser_sees_what_the_guess_leaves(ageing: LatentStore) -> None:
    network = started(ageing, n_components=24)
    with torch.no_grad():
        for parameter in network.unet.parameters():
            parameter.zero_()
        z_0 = network.standard(ageing.mean(ageing.rows("train")[:4]))
        y, t = network.encoder(z_0), torch.full((4,), 10)
        alpha_bar = torch.full((4,), 0.5)
        # v̂ = 0 of a residual of zero is ε̂ = √(1-ᾱ_t)·0
        eps = network.noise(0.5**0.5 * z_0, t, y, alpha_bar)
    np.testing.assert_allclose(eps.numpy(), 0, atol=1e-3)


def test_code_comes_from_another_visit_of_the_same_person(tmp_path: Path) -> None:
    write_data(tmp_path)
    store = read_store(tmp_path)
    latents = LatentStore(tmp_path / "mu.npy", tmp_path / "sigma.npy", tmp_path / "i.tsv", 1.0)
    settings = {"batch_size": 4, "n_steps": 1, "n_validations": 1, "ema_decay": 0.9}
    network = made(latents.shape)
    training = JointTraining(network, latents, settings, 0, network.unet.schedule)
    rows = store.rows("train")
    other = training.other_visits(rows, torch.Generator().manual_seed(0))
    subject = latents.index["subject"].to_numpy()
    assert (subject[other] == subject[rows]).all()
    assert (other != rows).all(), "each of them has three"
    alone = store.rows("train")[:1]
    training.visits[alone[0]] = alone
    assert training.other_visits(alone, torch.Generator().manual_seed(0)) == alone
