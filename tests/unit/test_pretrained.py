"""Trainings that start from the weights of a trained model (setting ``pretrained``)."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import train_toy
import yaml

from ldae.data.exported import CHECKSUMS, MANIFEST
from ldae.errors import InputError
from ldae.methods import study_variants
from ldae.networks.weights import read_weights
from ldae.workflow.config import complete_config
from ldae.workflow.pretrained import (
    check_pretrained,
    kept_scale,
    weights_of_autoencoder,
    weights_of_network,
)

STAGES = ("autoencoder", "prior", "ldae", "ldae_anatomical", "voxel_dae")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy brains, and every network that can be trained on, trained for two steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    train_toy.write_data(folder)
    for stage in STAGES:
        train_toy.train(folder, stage, stage, n_steps=2)
    return folder


def weights(folder: Path, tag: str) -> dict[str, torch.Tensor]:
    return read_weights(folder / f"{tag}.safetensors")[0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_frozen_network_keeps_its_weights(trained: Path, stage: str) -> None:
    train_toy.train(trained, stage, "frozen", n_steps=2, pretrained=stage, start="frozen")
    kept, before = weights(trained, "frozen"), weights(trained, stage)
    assert all(torch.equal(kept[name], before[name]) for name in before)
    assert pd.read_csv(trained / "frozen.csv").empty


@pytest.mark.parametrize("stage", STAGES)
def test_training_goes_on_from_the_weights(trained: Path, stage: str) -> None:
    slow: dict[str, Any] = {"learning_rate": 1e-7, "n_steps": 1}
    if stage == "ldae_anatomical":
        slow["component_learning_rate"] = 1e-7
    before = weights(trained, stage)
    train_toy.train(trained, stage, "on", pretrained=stage, **slow)
    train_toy.train(trained, stage, "scratch", **slow)
    on, scratch = weights(trained, "on"), weights(trained, "scratch")
    # of the recommended model, the guess of the latents and the deformation are fitted again
    kept = [name for name in before if not name.startswith(("guess", "deformation"))]
    assert 0 < max((on[name] - before[name]).abs().max() for name in kept) < 1e-5
    assert max((scratch[name] - before[name]).abs().max() for name in before) > 1e-4


def test_what_a_cohort_cannot_teach_stays(trained: Path, tmp_path: Path) -> None:
    """Order scores and fill-in head stay where everyone has one visit; latents are measured."""
    for name in ("v.npy", "m.npy", "sigma.npy", "scale.json"):
        (tmp_path / name).symlink_to(trained / name)
    np.save(tmp_path / "mu.npy", 3 * np.load(trained / "mu.npy") + 1)
    (tmp_path / "before.safetensors").symlink_to(trained / "ldae_anatomical.safetensors")
    index = pd.read_csv(trained / "i.tsv", sep="\t", keep_default_na=False)
    index.assign(subject=index["scan"], months=0.0).to_csv(tmp_path / "i.tsv", sep="\t")
    train_toy.train(tmp_path, "ldae_anatomical", "scratch", n_steps=1)
    train_toy.train(tmp_path, "ldae_anatomical", "on", n_steps=1, pretrained="before")
    names = {tag: set(weights(tmp_path, tag)) for tag in ("scratch", "on", "before")}
    assert names["on"] == names["before"] > names["scratch"]
    on, before = weights(tmp_path, "on"), weights(tmp_path, "before")
    measured = [n for n in before if "histograms" in n or n.startswith("encoder.standard")]
    assert measured and all(torch.equal(on[name], before[name]) for name in measured)
    ratio = on["standard.deviation"] / before["standard.deviation"]  # other latents, other SD
    torch.testing.assert_close(ratio, torch.full_like(ratio, 3.0), rtol=1e-4, atol=0)


def test_other_sizes_are_refused(trained: Path) -> None:
    with pytest.raises(InputError, match=r"its sizes are .* those of the settings"):
        train_toy.train(trained, "prior", "x", pretrained="prior", channels=[8, 24])


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Settings that name an exported model of the default settings; its weights are no networks."""
    settings = complete_config({"ablations": {
        "narrow": {"network": "ldae_anatomical", "change": {"ldae_anatomical": {"width": 64}}},
    }})  # fmt: skip
    folder = tmp_path / "model"
    (folder / "models").mkdir(parents=True)
    names = {"ldae_anatomical": ".safetensors", "autoencoder": ".safetensors", "scale": ".json"}
    files = {name: f"models/{name}{suffix}" for name, suffix in names.items()}
    for path in files.values():
        (folder / path).write_text(path)
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "ldae": "0.2.0", "files": files}))
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in folder.rglob("*.*")
    ]
    (folder / CHECKSUMS).write_text("".join(lines))
    changed = copy.deepcopy(settings) | {"pretrained": str(folder)}
    changed["ablations"]["narrow"]["change"]["ldae_anatomical"]["start"] = "scratch"
    return changed


def check(config: dict[str, Any]) -> None:
    check_pretrained(config, study_variants(config).values())


def test_networks_of_the_model_start_from_it(config: dict[str, Any]) -> None:
    check(config)
    found = {name: weights_of_network(config, v) for name, v in study_variants(config).items()}
    folder = config["pretrained"]
    assert {name: file for name, file in found.items() if file} == {
        "ldae_anatomical": f"{folder}/models/ldae_anatomical.safetensors"
    }
    assert weights_of_autoencoder(config) == f"{folder}/models/autoencoder.safetensors"
    assert kept_scale(config) == f"{folder}/models/scale.json"
    config["autoencoder"]["start"] = "scratch"
    assert weights_of_autoencoder(config) == kept_scale(config) == []
    config["pretrained"] = None
    check(config)
    assert not any(weights_of_network(config, v) for v in study_variants(config).values())


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("grid", {"spacing_mm": 3.0}, "grid.spacing_mm: 3.0 is not 4.0, as in the model in"),
    ("diffusion", {"n_timesteps": 500}, "diffusion.n_timesteps: 500 is not 1000"),
    ("autoencoder", {"latent_channels": 16}, "autoencoder.latent_channels: 16 is not 32"),
    ("ldae_anatomical", {"depth": 2}, "ldae_anatomical.depth: 2 is not 3"),
    ("prior", {"start": "frozen"}, "prior.start: the model in .* has no weights of prior"),
]


@pytest.mark.parametrize(("section", "change", "words"), CASES)
def test_a_model_that_does_not_fit_is_refused(
    config: dict[str, Any], section: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        check(config | {section: config[section] | change})
    for key in ("n_steps", "learning_rate", "batch_size"):  # these may differ
        config["ldae_anatomical"][key] = 7
    check(config)


def test_an_ablation_of_other_sizes_starts_from_scratch(config: dict[str, Any]) -> None:
    del config["ablations"]["narrow"]["change"]["ldae_anatomical"]["start"]
    with pytest.raises(InputError, match="width: 64 of the ablation narrow is not 128"):
        check(config)


def test_a_folder_that_is_no_model_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    (Path(config["pretrained"]) / "models/scale.json").write_text("changed")
    with pytest.raises(InputError, match="the file is not the one that was exported"):
        check(config)
    with pytest.raises(InputError, match="it is no exported model"):
        check(config | {"pretrained": str(tmp_path)})
    with pytest.raises(InputError, match=r"prior.start: there are no weights to keep"):
        complete_config({"prior": {"start": "frozen"}})
