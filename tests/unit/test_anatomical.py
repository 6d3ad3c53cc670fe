"""The recommended model: its start, what each part learns, the live code, filling in visits."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_joint import SHAPE, ageing, code
from torch import Tensor
from train_toy import read_store, sections_of, train, write_data

from ldae.data.latents import LatentStore
from ldae.data.triples import find_triples
from ldae.diffusion.schedule import NoiseSchedule
from ldae.methods import study_methods, study_variants
from ldae.models.anatomical import AnatomicalDiffusionAutoencoder
from ldae.models.inference import edit, sample
from ldae.networks.anatomical import AnatomicalNetwork, load_anatomical_network
from ldae.networks.autoencoder import Autoencoder
from ldae.networks.residual import Visits, average_visits
from ldae.networks.tokens import TokenDenoiser
from ldae.training.anatomical import AnatomicalTraining, started_network
from ldae.training.code_measures import effective_rank, explained_variance
from ldae.training.histograms import histogram_layer, histograms_of
from ldae.training.job import TrainingData
from ldae.workflow.config import complete_config

__all__ = ["ageing"]  # a fixture of the joint variant's tests

CPU = torch.device("cpu")
SCHEDULE = {"n_timesteps": 50, "beta_start": 1e-4, "beta_end": 0.2}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with toy brains and a network that was trained on them for six steps."""
    folder = tmp_path_factory.mktemp("toy")
    write_data(folder)
    train(folder, "ldae_anatomical", "trained")
    return folder


def started(folder: Path) -> AnatomicalNetwork:
    """The network before training."""
    data = TrainingData(
        *(folder / name for name in ("v.npy", "m.npy", "i.tsv", "mu.npy", "sigma.npy")),
        scale=folder / "scale.json",
    )
    sections = sections_of("ldae_anatomical")
    layer = histogram_layer(data.store, sections["ldae_anatomical"], 8.0)
    histograms = histograms_of(layer, data.store, data.store.rows())
    return started_network(data, layer, histograms, sections, 0).eval()


def toy_codes(folder: Path, network: AnatomicalNetwork) -> Tensor:
    """Codes of all toy brains."""
    with torch.no_grad():
        codes: Tensor = network.eval().encoder(read_store(folder).batch(np.arange(14)))
    return codes


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 0.0, 0.0], 1.0), ([1.0, 1.0, 0.0], 2.0), ([1.0, 1.0, 1.0], 3.0), ([0.0, 0, 0], 0.0)],
)
def test_rank_counts_the_directions_of_a_code(values: list[float], expected: float) -> None:
    basis = torch.linalg.qr(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))[0]
    basis = basis - basis.mean(0)
    basis = torch.linalg.qr(basis)[0][:, :3]
    assert effective_rank(basis * torch.tensor(values) + 7) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_explained_variance_is_that_of_held_out_latents(share: float, expected: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(600, 4, generator=generator)
    noise = torch.randn(600, 4, generator=generator)
    z = (math.sqrt(share) * y + math.sqrt(1 - share) * noise).reshape(600, 2, 2)
    found = explained_variance(y[:500], z[:500], y[500:], z[500:])
    assert found == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize("patch_size", [1, 2])
def test_an_untrained_denoiser_predicts_no_velocity(patch_size: int) -> None:
    network = TokenDenoiser((3, 4, 2, 2), patch_size, 8, 2, 2, 5, SCHEDULE)
    z, y = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 5)
    t = torch.tensor([1, 50])
    alpha_bar = NoiseSchedule(**SCHEDULE).alpha_bar[t].reshape(2, 1, 1, 1, 1)
    torch.testing.assert_close(network(z, t, y), (1 - alpha_bar).sqrt() * z)


def test_a_trained_denoiser_depends_on_all_that_it_is_given() -> None:
    torch.manual_seed(0)
    network = TokenDenoiser((3, 4, 2, 2), 2, 8, 1, 2, 5, SCHEDULE)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    z, y, t = torch.randn(1, 3, 4, 2, 2), torch.randn(1, 5), torch.tensor([20])
    out = network(z, t, y)
    elsewhere = z.clone()
    elsewhere[:, :, 3] += 1
    assert not torch.allclose(network(elsewhere, t, y)[:, :, 0], out[:, :, 0])
    assert not torch.allclose(network(z, t, y + 1), out)
    assert not torch.allclose(network(z, t + 9, y), out)


def test_it_starts_at_principal_components(toy: Path) -> None:
    network = started(toy)
    y = toy_codes(toy, network)
    n = network.encoder.linear.out_features
    assert torch.equal(network.encoder.order(y), torch.zeros(14, y.shape[1] - n))
    live = y[:9, :n][:, y[:9, :n].std(0) > 1e-3]
    torch.testing.assert_close(live.var(0), torch.ones(live.shape[1]), atol=2e-2, rtol=0)
    d = network.encoder.standard(network.encoder.histograms(read_store(toy).batch(np.arange(9))))
    restored = network.anatomy(y[:9]).reshape(d.shape)
    assert (restored - d).square().mean() < 0.1 * d.square().mean()


def test_filling_in_starts_at_the_filter_that_restores_training_visits_best(toy: Path) -> None:
    store, head = read_store(toy), started(toy).fill_in
    assert head is not None
    triples = find_triples(store.index, "train")
    errors: dict[str, list[Tensor]] = {"start": [], "average": []}
    for triple in triples:
        x_a, x, x_b = store.batch(list(triple.rows)).split(1)
        a, b = (Visits(visit, torch.randn(1, 3, 4, 4, 4)) for visit in (x_a, x_b))
        alpha, gap = torch.tensor([triple.alpha]), torch.tensor([triple.gap])
        average = average_visits(x_a, x_b, alpha)
        with torch.no_grad():
            answers = {"start": head(a, b, alpha, gap), "average": average}
        assert (answers["start"][average == 0] == 0).all()
        for name, answer in answers.items():
            errors[name].append((answer - x).square().mean())
    start, average_error = (torch.stack(errors[name]).mean() for name in ("start", "average"))
    assert start < 0.8 * average_error


def test_every_part_learns_and_the_code_stays_alive(toy: Path) -> None:
    network = load_anatomical_network(toy / "trained.safetensors", CPU)
    before = started(toy).state_dict()
    moved = {
        n.split(".")[0] for n, v in network.state_dict().items() if not torch.equal(v, before[n])
    }
    assert moved == {"encoder", "guess", "anatomy", "denoiser", "fill_in", "deformation"}
    log = pd.read_csv(toy / "trained.csv")
    assert {"train_velocity", "train_anatomy", "train_order", "train_fill_in"} <= set(log)
    assert log["code_rank"].notna().tolist() == [False, False, True]
    y = toy_codes(toy, network)
    assert log["code_rank"].iloc[-1] == pytest.approx(effective_rank(y[:9]), rel=1e-4)


def test_one_scan_under_the_names_of_three_visits_can_be_trained_on(tmp_path: Path) -> None:
    """Their average makes no error that the fill-in's could be divided by."""
    write_data(tmp_path)
    for name in ("v.npy", "mu.npy", "sigma.npy"):
        values = np.load(tmp_path / name)
        np.save(tmp_path / name, values[np.arange(14) // 3 * 3])
    train(tmp_path, "ldae_anatomical", "linked", n_steps=2)
    log = pd.read_csv(tmp_path / "linked.csv")
    assert np.isfinite(log[["train_fill_in", "val_fill_in"]]).all(axis=None)


def test_order_scores_learn_the_years_between_visits(
    ageing: tuple[LatentStore, Tensor], tmp_path: Path
) -> None:
    latents, histograms = ageing
    torch.manual_seed(0)
    encoder = {
        "shape": [4, 4, 4], "window": 2, "stride": 2, "n_bins": 3, "n_places": 8,
        "n_components": 4, "n_scores": 2, "width": 16, "dropout": 0.0,
    }  # fmt: skip
    denoiser = {"patch_size": 1, "width": 8, "depth": 1, "n_heads": 2, "schedule": SCHEDULE}
    network = AnatomicalNetwork(encoder, SHAPE, denoiser, None, [2, 2, 2])
    settings = {
        "batch_size": 32, "micro_batch": None, "n_steps": 1, "learning_rate": 1e-2,
        "component_learning_rate": 1e-3, "ema_decay": 0.9, "anatomy_weight": 0.0,
        "order_weight": 1.0, "other_visit": True,
    }  # fmt: skip
    training = AnatomicalTraining(
        network,
        latents,
        latents,
        histograms,
        settings,
        0,
        NoiseSchedule(**SCHEDULE),  # type: ignore[arg-type]
    )
    optimizer = training.configure_optimizers()
    rows = latents.rows("train")[:32]
    first = last = 0.0
    for step in range(150):
        generator = torch.Generator().manual_seed(step)
        losses = training.losses(network, training.make_batch(rows, slice(None), generator))
        last = losses["order"].item()
        first = first or last
        optimizer.zero_grad()
        losses["order"].backward()
        optimizer.step()
    assert first == pytest.approx(1, abs=0.4) and last < 0.2
    scores = network.encoder.order(code(network, histograms)).mean(1).reshape(40, 3)  # type: ignore[arg-type]
    assert (scores[28:, 2] > scores[28:, 0]).float().mean() > 0.9  # participants not trained on


def trained_model(folder: Path) -> AnatomicalDiffusionAutoencoder:
    network = load_anatomical_network(folder / "trained.safetensors", CPU)
    autoencoder = Autoencoder(2, [8], 1, 3, 4).eval()
    return AnatomicalDiffusionAutoencoder(
        autoencoder, network, NoiseSchedule(**SCHEDULE), 1.0, (8, 8, 8), CPU
    )


def test_what_depends_on_the_code_alone_is_computed_once(toy: Path) -> None:
    model, calls = trained_model(toy), []
    x = read_store(toy).batch([0, 2])
    y, z_0 = model.semantic_code(x), model.to_latent(x)
    one_by_one = [model.noise(z_0, torch.full((2,), t), y) for t in (1, 20, 40)]
    handle = model.network.guess.register_forward_hook(lambda *_: calls.append(1))
    predict = model.noise_given(y)
    with torch.inference_mode():
        at_once = [predict(z_0, torch.full((2,), t)) for t in (1, 20, 40)]
    handle.remove()
    assert len(calls) == 1
    assert all(map(torch.equal, at_once, one_by_one))
    with pytest.raises(ValueError, match="needs a semantic code"):
        model.noise_given(None)


def test_edits_deform_the_scan_or_sample_with_the_moved_code(toy: Path) -> None:
    model = trained_model(toy)
    x = read_store(toy).batch([0, 2])
    y, z_T = model.semantic_code(x), torch.randn(2, 3, 4, 4, 4)  # noqa: N806
    moved = y + 1
    assert model.deformation is not None
    torch.testing.assert_close(edit(model, x, z_T, y, y, 3), x, atol=1e-4, rtol=0)
    model.network.deformation.slope.normal_()
    deformed = edit(model, x, z_T, y, moved, 3)
    assert 0 <= deformed.min() and deformed.max() <= 1 and not torch.allclose(deformed, x)
    sampler_alone = ModelWithoutDeformation(model)
    sampled = model.from_latent(sample(model, z_T, moved, 3))
    assert torch.equal(edit(sampler_alone, x, z_T, y, moved, 3), sampled)  # type: ignore[arg-type]


class ModelWithoutDeformation:
    """A model that is edited by its diffusion, as the paper's."""

    deformation = None

    def __init__(self, model: AnatomicalDiffusionAutoencoder) -> None:
        self._model = model

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


def test_visits_are_filled_in_by_the_head_or_by_the_codes(toy: Path) -> None:
    model = trained_model(toy)
    x = read_store(toy).batch([0, 2])
    a, b = (Visits(x[i : i + 1], model.to_latent(x[i : i + 1])) for i in range(2))
    alpha, gap = torch.tensor([0.5]), torch.tensor([12.0])
    fill_in = model.fill_in
    assert fill_in is not None
    filled = fill_in(a, b, alpha, gap)
    assert filled.shape == (1, 1, 8, 8, 8) and 0 <= filled.min() and filled.max() <= 1
    torch.testing.assert_close(fill_in(b, a, 1 - alpha, gap), filled)
    model.network.fill_in = None
    assert model.fill_in is None


@pytest.mark.parametrize(
    ("settings", "there"),
    [
        ({}, set()),
        ({"variants": ["residual"]}, {"residual"}),
        (
            {
                "ablations": {
                    "x": {"network": "ldae_joint", "change": {"ldae_joint": {"n_bins": 4}}}
                }
            },
            {"ldae_joint", "x"},
        ),
    ],
)
def test_variants_are_trained_where_they_are_asked_for(settings: dict, there: set[str]) -> None:
    config = complete_config(settings)
    optional = {"ldae_joint", "residual", "x"}
    assert set(study_variants(config)) & optional == there
    networks = {m.network for m in study_methods(config).values()}
    assert networks & optional == there
    assert "ldae_anatomical" in networks
