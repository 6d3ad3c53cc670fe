"""Training: batches by step, averages, clean discriminator gradients, exact resume."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from sklearn.decomposition import PCA
from torch.optim.swa_utils import AveragedModel

from ldae.data.diagnoses import Diagnoses
from ldae.data.draws import normal_part
from ldae.data.latents import LatentStore
from ldae.data.volumes import VolumeStore
from ldae.errors import InputError
from ldae.figures.training import plot_training
from ldae.models.latents import encode_latents, measure_latent_scale
from ldae.networks.autoencoder import (
    Autoencoder,
    load_autoencoder,
    save_autoencoder,
    space_to_depth,
)
from ldae.networks.encoders import load_encoder
from ldae.networks.residual import Visits, average_visits, load_residual
from ldae.networks.weights import read_weights
from ldae.training.autoencoder import AutoencoderTraining, perceptual_loss, train_autoencoder
from ldae.training.batches import StepBatches, batch_rows
from ldae.training.diffusion import train_ldae, train_prior, train_voxel_dae
from ldae.training.encoder_start import save_untrained_encoder, untrained_encoder
from ldae.training.fit import fingerprint, fit, resolve_steps
from ldae.training.job import TrainingData, TrainingJob
from ldae.training.module import AveragedTraining, averaging
from ldae.training.pca_initialisation import initialise_by_pca
from ldae.training.residual import train_residual
from ldae.training.standard import adopt_standard, measure_standard
from ldae.training.status import format_duration
from ldae.training.supervised import supervised_targets, train_supervised

DIAGNOSES = Diagnoses("AD", "CN")
CPU = torch.device("cpu")
DIFFUSION = {"n_timesteps": 50, "beta_start": 1e-4, "beta_end": 0.2}
COMMON: dict[str, Any] = {
    "learning_rate": 1e-3,
    "n_steps": 6,
    "n_validations": 3,
    "micro_batch": None,
}
AUTOENCODER: dict[str, Any] = COMMON | {
    "patch_size": 2, "channels": [8, 16], "n_res_blocks": 1, "latent_channels": 3,
    "norm_groups": 4,
    "kl_weight": 1e-6, "spectral_weight": 0.1, "perceptual_weight": 0.0,
    "perceptual_weights_file": None, "adversarial_weight": 0.05, "adversarial_start": 2,
    "discriminator_patch_size": 1, "discriminator_channels": 8, "discriminator_layers": 1,
    "discriminator_learning_rate": 1e-3, "batch_size": 4, "z_score_input": True,
    "pca_initialisation": False,
}  # fmt: skip
UNET: dict[str, Any] = {
    "channels": [8, 16], "attention_levels": [False, True], "n_res_blocks": 1, "dropout": 0.1,
    "v_prediction": True, "norm_groups": 4,
}  # fmt: skip
AVERAGED: dict[str, Any] = COMMON | {"ema_decay": 0.9, "batch_size": 4}
RESIDUAL = {"patch_size": 2, "channels": 8, "n_blocks": 1}
ENCODER: dict[str, Any] = {
    "backbone": "slices", "slab": 4, "dim_y": 8, "depths": [1], "widths": [8], "patch_size": 4,
    "n_heads": 2, "pretrained": None, "z_score_input": True,
}  # fmt: skip
VOLUME: dict[str, Any] = {
    "backbone": "volume", "window": 4, "stride": 4, "n_bins": 4, "channels": [8, 8], "dim_y": 8,
    "pretrained": None,
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> VolumeStore:
    n, shape = 14, (8, 8, 8)
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 8)[:, None, None] * np.ones(shape)
    strength = rng.uniform(0.5, 1, (n, 1, 1, 1))
    np.save(tmp_path / "v.npy", (strength * ramp).astype(np.float16))
    np.save(tmp_path / "m.npy", np.ones((n, *shape), np.uint8))
    pd.DataFrame(
        {
            "row": range(n), "scan": [f"s{i}" for i in range(n)],
            "subject": [f"p{i // 3}" for i in range(n)], "session": "",
            "months": [6.0 * (i % 3) for i in range(n)],
            "age": rng.uniform(60, 80, n), "sex": "F", "site": "",
            "diagnosis": ["AD", "CN", "MCI", "AD", "CN", "CN", "AD"] * 2,
            "split": ["train"] * 9 + ["val"] * 3 + ["test"] * 2,
        }
    ).to_csv(tmp_path / "i.tsv", sep="\t", index=False)  # fmt: skip
    return VolumeStore(tmp_path / "v.npy", tmp_path / "m.npy", tmp_path / "i.tsv")


@pytest.fixture
def latents(store: VolumeStore, tmp_path: Path) -> LatentStore:
    torch.manual_seed(0)
    autoencoder = Autoencoder(2, [8], 1, 3, 4).eval()
    paths = tmp_path / "mu.npy", tmp_path / "sigma.npy"
    encode_latents(autoencoder, store, 5, CPU, *paths)
    scale = measure_latent_scale(np.load(paths[0]), store.index)
    return LatentStore(*paths, tmp_path / "i.tsv", scale)


def training_job(folder: Path, tag: str) -> TrainingJob:
    return TrainingJob(
        seed=0,
        model_path=folder / f"{tag}.safetensors",
        metrics_path=folder / f"{tag}.csv",
        work_dir=folder / f"{tag}-work",
        checkpoint_minutes=60,
        code="toy",
    )


def test_batches_are_passes_over_the_training_rows() -> None:
    rows = np.arange(100, 110)
    seen = np.concatenate([batch_rows(rows, 4, seed=1, step=s) for s in range(5)])
    assert sorted(seen[:10]) == sorted(seen[10:]) == rows.tolist()
    assert seen[:10].tolist() != seen[10:].tolist()
    assert batch_rows(rows, 4, 1, 3).tolist() == seen[12:16].tolist()
    assert batch_rows(rows, 4, 2, 3).tolist() != seen[12:16].tolist()


def test_ranks_share_one_global_batch() -> None:
    def make(rows: np.ndarray, part: slice, generator: torch.Generator) -> dict[str, torch.Tensor]:
        noise = torch.randn(len(rows), generator=generator)
        return {"row": torch.from_numpy(rows[part]), "noise": noise[part]}

    def batches(rank: int, world: int, start: int = 0) -> list[dict[str, torch.Tensor]]:
        return list(StepBatches(make, np.arange(7), 4, 5, start, 6, rank, world))

    whole, halves = batches(0, 1), (batches(0, 2), batches(1, 2))
    for step in range(6):
        for name in ("row", "noise"):
            assert torch.equal(whole[step][name][::2], halves[0][step][name])
            assert torch.equal(whole[step][name][1::2], halves[1][step][name])
    resumed = batches(0, 1, start=4)
    assert torch.equal(resumed[1]["noise"], whole[5]["noise"])
    with pytest.raises(ValueError, match="not a multiple of 3"):
        StepBatches(make, np.arange(7), 4, 5, 0, 6, 0, 3)


@pytest.mark.parametrize("shape", [(4, 2, 2), (1, 4, 4, 3), (5,), (1,), (3, 7)])
@pytest.mark.parametrize(
    "part", [slice(0, None, 1), slice(1, None, 3), slice(2, 5), slice(6, None), slice(0, 0)]
)
def test_numbers_of_a_part_are_those_of_the_batch(shape: tuple[int, ...], part: slice) -> None:
    """Also the next numbers, whatever was passed over."""
    ours, whole = (torch.Generator().manual_seed(3) for _ in range(2))
    assert torch.equal(
        normal_part(7, shape, part, ours), torch.randn((7, *shape), generator=whole)[part]
    )
    assert torch.equal(torch.randn(3, generator=ours), torch.randn(3, generator=whole))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"n_steps": 7}, 7), ({"n_steps": None, "n_epochs": 3, "batch_size": 4}, 8)],
)
def test_epochs_become_steps(settings: dict[str, Any], expected: int) -> None:
    assert resolve_steps(settings, 10)["n_steps"] == expected


@pytest.mark.parametrize("settings", [{}, {"n_steps": 1, "n_epochs": 1}])
def test_steps_and_epochs_exclude_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        resolve_steps(settings, 10)


class EndedEarlyError(Exception):
    """Stands for whatever ends a job early."""


class Interrupt(pl.Callback):
    """Writes a checkpoint after `step` steps and ends the training, as a killed job would."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if int(pl_module.step) == self.step:
            trainer.save_checkpoint(self.path)
            raise EndedEarlyError


def training_data(folder: Path, index: str = "i.tsv", **other: Path) -> TrainingData:
    """The toy scans and latents of the fixtures as files."""
    scale = measure_latent_scale(np.load(folder / "mu.npy"), pd.read_csv(folder / index, sep="\t"))
    (folder / "scale.json").write_text(json.dumps({"scale": scale}))
    files = (folder / name for name in ("v.npy", "m.npy", index, "mu.npy", "sigma.npy"))
    return TrainingData(*files, scale=folder / "scale.json", **other)


def sections_of(stage: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """Settings that a stage's training reads, by section."""
    own = {
        "autoencoder": AUTOENCODER,
        "prior": UNET | AVERAGED,
        "ldae": AVERAGED | {"snr_gamma": 0.1},
        "voxel_dae": UNET | AVERAGED | {"patch_size": 2},
        "residual": RESIDUAL | AVERAGED,
        "supervised": AVERAGED,
    }[stage]
    cohort = {"diagnoses": asdict(DIAGNOSES)}
    shared = {"cohort": cohort, "encoder": ENCODER, "diffusion": DIFFUSION}
    return {**shared, stage: own | changes}


TRAININGS = {
    "autoencoder": train_autoencoder, "prior": train_prior, "ldae": train_ldae,
    "voxel_dae": train_voxel_dae, "residual": train_residual, "supervised": train_supervised,
}  # fmt: skip


def train_stage(stage: str, folder: Path, job: TrainingJob, index: str = "i.tsv") -> None:
    """Run one stage's training at the smallest size."""
    if stage not in ("ldae", "ldae_volume"):
        TRAININGS[stage](training_data(folder, index), sections_of(stage), job)
        return
    prior = training_job(folder, "prior-for-ldae")
    if not prior.model_path.exists():
        train_prior(training_data(folder), sections_of("prior"), prior)
    encoder = {"encoder": VOLUME} if stage == "ldae_volume" else {}
    data = training_data(folder, stands_on=prior.model_path)
    train_ldae(data, sections_of("ldae") | encoder, job)


STAGES = ("autoencoder", "prior", "ldae", "ldae_volume", "voxel_dae", "supervised", "residual")


@pytest.mark.parametrize("stage", STAGES)
def test_resumed_training_equals_uninterrupted(
    stage: str,
    store: VolumeStore,
    latents: LatentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = training_job(tmp_path, "straight")
    train_stage(stage, tmp_path, straight)

    resumed = training_job(tmp_path, "resumed")
    original = pl.Trainer.__init__

    def with_interrupt(self: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        kwargs["callbacks"].append(Interrupt(4, identity_folder[0] / "last.ckpt"))
        original(self, *args, **kwargs)

    identity_folder: list[Path] = []
    real_fingerprint = fingerprint

    def remembered(*parts: Any) -> str:
        identity = real_fingerprint(*parts)
        identity_folder[:] = [resumed.work_dir / identity]
        return identity

    modules = [f"ldae.training.{m}" for m in ("autoencoder", "diffusion", "supervised", "residual")]
    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "__init__", with_interrupt)
        for name in modules:
            patch.setattr(f"{name}.fingerprint", remembered)
        with pytest.raises(EndedEarlyError):
            train_stage(stage, tmp_path, resumed)
    assert not resumed.model_path.exists()
    train_stage(stage, tmp_path, resumed)

    expected, _ = read_weights(straight.model_path)
    found, _ = read_weights(resumed.model_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    columns = ["step", "train_loss", "val_loss"]
    tables = [pd.read_csv(job.metrics_path)[columns] for job in (straight, resumed)]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["step"].tolist() == [2, 4, 6]
    left = sorted(path.name for path in resumed.work_dir.iterdir())
    assert left == sorted([identity_folder[0].name, "tensorboard"])


def test_checkpoints_of_another_split_are_not_resumed(
    store: VolumeStore, latents: LatentStore, tmp_path: Path
) -> None:
    job = training_job(tmp_path, "stage")
    train_stage("autoencoder", tmp_path, job)
    index = store.index.assign(split=store.index["split"].to_numpy()[::-1])
    index.to_csv(tmp_path / "i2.tsv", sep="\t", index=False)
    train_stage("autoencoder", tmp_path, job, "i2.tsv")
    assert len(list((job.work_dir / "tensorboard").iterdir())) == 2


def test_checkpoints_of_other_code_are_not_resumed(latents: LatentStore, tmp_path: Path) -> None:
    job = training_job(tmp_path, "stage")
    train_stage("autoencoder", tmp_path, job)
    train_stage("autoencoder", tmp_path, replace(job, code="changed"))
    assert len(list((job.work_dir / "tensorboard").iterdir())) == 2


def test_checkpoints_on_another_prior_are_not_resumed(
    store: VolumeStore, latents: LatentStore, tmp_path: Path
) -> None:
    job, prior = training_job(tmp_path, "stage"), training_job(tmp_path, "prior-for-ldae")
    train_stage("ldae", tmp_path, job)
    train_prior(training_data(tmp_path), sections_of("prior", learning_rate=0.1), prior)
    train_stage("ldae", tmp_path, job)
    assert len(list((job.work_dir / "tensorboard").iterdir())) == 2


def test_average_moves_once_per_optimizer_step() -> None:
    class Count(AveragedTraining):
        def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Any:
            return {"x": torch.randn(len(rows), 2, generator=generator)[part]}

        def losses(self, network: Any, batch: Any) -> Any:
            return {"loss": network(batch["x"]).square().mean()}

    settings = AVERAGED | {"micro_batch": 1}
    module = Count(torch.nn.Linear(2, 1), np.arange(8), np.arange(0), settings, 0)
    trainer = pl.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(module)
    assert trainer.global_step == 6
    assert int(module.average.n_averaged) == int(module.step) == 6


@pytest.mark.parametrize(("decay", "steps"), [(0.99, 40), (0.999, 40), (0.9, 200)])
def test_the_average_forgets_the_weights_before_training(decay: float, steps: int) -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(network, multi_avg_fn=averaging(decay))
    torch.nn.init.constant_(network.weight, 1.0)
    average.update_parameters(network)
    for _ in range(steps):
        torch.nn.init.constant_(network.weight, 0.0)
        average.update_parameters(network)
    assert 0 < average.module.weight.item() < 1e-4
    torch.nn.init.constant_(average.module.weight, 1.0)
    average.n_averaged.fill_(10**6)
    average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(decay)


def test_discriminator_gets_its_own_gradient_only(store: VolumeStore) -> None:
    """After a step the discriminator's gradient is that of its own loss, nothing left over."""
    torch.manual_seed(0)
    settings = AUTOENCODER | {"adversarial_start": 0, "adversarial_weight": 10.0, "n_steps": 1}
    settings |= {"discriminator_learning_rate": 0.0, "learning_rate": 0.0}
    module = AutoencoderTraining(Autoencoder(2, [8, 16], 1, 3, 4), store, settings, 0)
    trainer = pl.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(module)
    found = [p.grad.clone() for p in module.discriminator.parameters()]

    rows = batch_rows(store.rows("train"), 4, 0, 0)
    from ldae.training.batches import step_seed

    batch = module.make_batch(rows, slice(None), torch.Generator().manual_seed(step_seed(0, 0)))
    _, x_hat = module.reconstruction_losses(module.network, batch)
    adversarial = module.adversarial
    fake = adversarial(module.discriminate(x_hat.detach()), False, True)
    real = adversarial(module.discriminate(batch["x"]), True, True)
    module.discriminator.zero_grad()
    ((fake + real) / 2).backward()
    for gradient, parameter in zip(found, module.discriminator.parameters(), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=1e-6)


def test_perceptual_loss_says_what_is_missing() -> None:
    assert perceptual_loss(AUTOENCODER) is None
    with pytest.raises(InputError, match=r"torchvision|no weights at"):
        perceptual_loss(AUTOENCODER | {"perceptual_weight": 0.1})


def test_autoencoder_training_names_the_grid(latents: LatentStore, tmp_path: Path) -> None:
    sections = sections_of("autoencoder", patch_size=4, channels=[8, 8, 8])
    with pytest.raises(InputError, match=r"grid\.shape"):
        train_autoencoder(training_data(tmp_path), sections, training_job(tmp_path, "x"))


def test_standard_is_of_the_training_split(store: VolumeStore) -> None:
    standard = measure_standard(store)
    x = store.batch(store.rows("train"))
    assert torch.allclose(standard.mean, x.mean(0, keepdim=True), atol=1e-4)
    expected = x.std(0, correction=0, keepdim=True).clamp_min(0.02)
    assert torch.allclose(standard.deviation, expected, atol=1e-3)
    assert torch.allclose(standard.invert(standard(x)), x, atol=1e-5)
    volumes = store.volumes[:]
    volumes[store.rows("test")] = 1
    store.volumes = volumes
    assert torch.equal(measure_standard(store).mean, standard.mean)


def test_a_saved_untrained_encoder_is_the_one_in_memory(
    store: VolumeStore, latents: LatentStore, tmp_path: Path
) -> None:
    job = training_job(tmp_path, "untrained")
    save_untrained_encoder(training_data(tmp_path), {"encoder": ENCODER}, job)
    x = store.batch([0, 1])
    expected = untrained_encoder(ENCODER, store, job.seed, CPU)(x)
    assert torch.equal(load_encoder(job.model_path, CPU)(x), expected)
    assert pd.read_csv(job.metrics_path).empty


@pytest.mark.parametrize("settings", [ENCODER, VOLUME], ids=["slices", "volume"])
def test_untrained_encoder_depends_on_the_seed_and_the_training_participants(
    store: VolumeStore, settings: dict[str, Any]
) -> None:
    x = store.batch(store.rows("val"))
    first = untrained_encoder(settings, store, 3, CPU)(x)
    torch.rand(7)
    assert torch.equal(first, untrained_encoder(settings, store, 3, CPU)(x))
    assert not torch.equal(first, untrained_encoder(settings, store, 4, CPU)(x))
    volumes = store.volumes[:]
    volumes[store.rows("test")] = 1
    store.volumes = volumes
    assert torch.equal(first, untrained_encoder(settings, store, 3, CPU)(x))
    volumes[store.rows("train")[0]] = 1
    assert not torch.equal(first, untrained_encoder(settings, store, 3, CPU)(x))


def test_pca_initialisation_is_the_principal_components_of_patches(store: VolumeStore) -> None:
    torch.manual_seed(0)
    autoencoder = Autoencoder(
        2, [8, 8], 1, 3, 4, standard_shape=store.shape, pca_initialisation=True
    )
    adopt_standard(autoencoder, measure_standard(store))
    initialise_by_pca(autoencoder, store, seed=0)
    x = store.batch(store.rows("train"))
    with torch.inference_mode():
        mu, _ = autoencoder.moments(x)
        x_hat = autoencoder.decode(mu)
    standard = autoencoder.standard
    assert standard is not None
    patches = space_to_depth(standard(x), 4).permute(0, 2, 3, 4, 1).reshape(-1, 64).numpy()
    pca = PCA(3).fit(patches)
    expected = pca.inverse_transform(pca.transform(patches))
    found = space_to_depth(standard(x_hat), 4).permute(0, 2, 3, 4, 1).reshape(-1, 64).numpy()
    # the mean patch becomes one bias: equal up to that
    assert np.abs(found - expected).mean() < 0.1 * np.abs(patches).mean()
    assert np.square(found - patches).mean() < 1.1 * np.square(expected - patches).mean() + 1e-3


def test_latent_scale_is_of_the_training_split(store: VolumeStore) -> None:
    rng = np.random.default_rng(1)
    mu = rng.normal(0, 0.25, (14, 3, 2, 2, 2)).astype(np.float32)
    train = (store.index["split"] == "train").to_numpy()
    assert measure_latent_scale(mu, store.index) == pytest.approx(1 / mu[train].std(), rel=1e-5)
    other = mu.copy()
    other[~train] *= 100
    assert measure_latent_scale(other, store.index) == measure_latent_scale(mu, store.index)
    with pytest.raises(InputError, match="collapsed"):
        measure_latent_scale(np.zeros_like(mu), store.index)


def test_latents_do_not_depend_on_the_batch_size(store: VolumeStore, tmp_path: Path) -> None:
    autoencoder = Autoencoder(2, [8], 1, 3, 4).eval()
    found = []
    for size in (1, 14):
        encode_latents(autoencoder, store, size, CPU, tmp_path / "m1.npy", tmp_path / "s1.npy")
        found.append(np.load(tmp_path / "m1.npy").copy())
    assert np.allclose(*found, atol=1e-5)


def test_residual_without_anything_to_learn_from_stays_the_average(
    store: VolumeStore,
    latents: LatentStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index = store.index.assign(months=0.0)
    index.to_csv(tmp_path / "i2.tsv", sep="\t", index=False)
    job = training_job(tmp_path, "none")
    train_stage("residual", tmp_path, job, "i2.tsv")
    assert "No training participant has three visits" in caplog.text
    a, b = (Visits(store.batch([row]), latents.mean([row])) for row in (0, 1))
    alpha = torch.tensor([0.3])
    filled = load_residual(job.model_path, CPU)(a, b, alpha, torch.tensor([6.0]))
    assert torch.equal(filled, average_visits(a.x, b.x, alpha))
    log = pd.read_csv(job.metrics_path)
    autoencoder = pd.DataFrame({"step": [1, 2], "seconds": [1, 2], "train_loss": [2.0, 1.0]})
    _, data = plot_training({"autoencoder": autoencoder, "residual": log}, {})
    assert set(data["stage"]) == {"autoencoder"}


def test_supervised_targets_use_training_statistics(store: VolumeStore) -> None:
    targets = supervised_targets(store, DIAGNOSES)
    assert np.isnan(targets["ad_vs_cn"][2]) and targets["ad_vs_cn"][0] == 1
    train = store.rows("train")
    assert abs(targets["age"][train].mean()) < 1e-5
    before = targets["age"][train]
    store.index.loc[store.rows("test"), "age"] = 500.0
    assert np.array_equal(before, supervised_targets(store, DIAGNOSES)["age"][train])
    store.index["diagnosis"] = "CN"
    assert "ad_vs_cn" not in supervised_targets(store, DIAGNOSES)


def test_trained_autoencoder_reconstructs_better(latents: LatentStore, tmp_path: Path) -> None:
    job = training_job(tmp_path, "ae")
    train_autoencoder(training_data(tmp_path), sections_of("autoencoder", n_steps=40), job)
    metrics = pd.read_csv(job.metrics_path)
    assert metrics["val_l1"].iloc[-1] < 0.8 * metrics["val_l1"].iloc[0]
    assert load_autoencoder(job.model_path, CPU).downsampling == 4


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_unfinished_training_is_an_error(store: VolumeStore, tmp_path: Path) -> None:
    module = AutoencoderTraining(Autoencoder(2, [8], 1, 3, 4), store, dict(AUTOENCODER), 0)
    module.train_dataloader = lambda: torch.utils.data.DataLoader(  # type: ignore[method-assign]
        StepBatches(module.make_batch, module.train_rows, 4, 0, 0, 2, 0, 1), batch_size=None
    )
    with pytest.raises(RuntimeError, match="stopped at step 2"):
        fit(module, "short", training_job(tmp_path, "short"), "id", save_autoencoder)
