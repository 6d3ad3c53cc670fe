"""A model of one cohort on another one: what is the source's and what the target's."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import train_toy
import yaml
from model_toy import SHAPE, write_study

from ldae.__main__ import main
from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import SCAN_COLUMNS
from ldae.data.volumes import INDEX_COLUMNS
from ldae.deployment.fine_tuning import fine_tune
from ldae.deployment.model import load
from ldae.deployment.transfer import N_DRAWS, Target, _draws, _of_task
from ldae.evaluation.probes.fitting import Probe, fit_probes
from ldae.networks.autoencoder import Autoencoder, save_autoencoder
from ldae.networks.weights import read_weights
from ldae.statistics.measures import AGE
from ldae.statistics.tables import read_table
from ldae.workflow.config import complete_config

SOURCE_AGES, TARGET_AGES = (60, 90), (20, 50)


class Store:
    """Packed scans of which only the index is asked."""

    def __init__(self, index: pd.DataFrame) -> None:
        self.index = index


def cohort(ages: tuple[int, int], shift: float, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Codes of 120 participants whose first entry is age, in a scanner that shifts all codes."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(*ages, 120)
    index = pd.DataFrame({"subject": [f"sub-{i}" for i in range(120)], "age": age})
    index = index.assign(scan=index["subject"], sex="F", diagnosis="", site="")
    index["split"] = np.array(["train", "train", "test"])[np.arange(120) % 3]
    codes = rng.normal(size=(120, 4)) * 0.3
    codes[:, 0] += age / 10
    return codes + shift, index


@cache
def source_probe() -> Probe:
    codes, index = cohort(SOURCE_AGES, 0, 0)
    probes, _ = fit_probes(
        codes, index, Diagnoses("AD", "CN"),
        c_grid=[1.0], alpha_grid=[1.0], n_folds=3, outer_folds=None, seed=0,
    )  # fmt: skip
    return Probe.from_dict(probes[AGE])


def errors(
    codes: np.ndarray, index: pd.DataFrame, *, final: bool = True
) -> dict[tuple[str, int | None], float]:
    """Mean absolute errors by adaptation and number of labelled participants."""
    few = {"evaluation": {"n_bootstrap": 10}, "probes": {"alpha_grid": [1.0, 10.0], "n_folds": 3}}
    config = complete_config(few | {"final": final})
    target = Target(config, Store(index), {})  # type: ignore[arg-type]
    rows = _of_task(codes, source_probe(), target, [10, 40, 10_000])
    return {(str(r["adaptation"]), r["n_labelled"]): float(r["value"]) for r in rows}  # type: ignore[arg-type, misc]


def test_labels_make_up_for_another_scanner() -> None:
    """Statistics alone do, too, where both cohorts have the same ages, and do harm otherwise."""
    same = errors(*cohort(SOURCE_AGES, 3, 1))
    assert same["frozen", None] > same["constant", None] > same["statistics", None]
    assert same["labels", 80] < 4 and 80 in {n for _, n in same}  # all of them
    other = errors(*cohort(TARGET_AGES, 0, 1))
    assert other["frozen", None] < 0.5 * other["statistics", None]


def test_test_participants_adapt_nothing() -> None:
    codes, index = cohort(SOURCE_AGES, 3, 1)
    before = errors(codes, index)
    tested = np.flatnonzero(index["split"] == "test")
    moved, older = codes.copy(), index.copy()
    moved[tested[1:]] += 100
    older.loc[tested[1:], "split"] = "val"
    after = errors(moved, older)
    alone = errors(codes, index.assign(split=older["split"]))
    assert after == alone != before


def test_test_participants_are_scored_only_where_the_study_is_final() -> None:
    codes, index = cohort(SOURCE_AGES, 3, 1)
    validation = index["split"].eq("test") & index.index.isin(range(60))
    index.loc[validation, "split"] = "val"
    moved = codes.copy()
    moved[index["split"] == "test"] += 100
    assert errors(codes, index, final=False) == errors(moved, index, final=False)
    assert errors(codes, index) != errors(moved, index)


@pytest.mark.parametrize(("n", "draws"), [(10, N_DRAWS), (80, 1)])
def test_draws_are_of_participants_and_balanced(n: int, draws: int) -> None:
    _, index = cohort(SOURCE_AGES, 0, 0)
    index = pd.concat([index, index], ignore_index=True)  # two scans of each
    train = np.flatnonzero(index["split"] == "train")
    truth = (index["age"] > 65).to_numpy(float)
    subjects = index["subject"].to_numpy(str)
    found = list(_draws(train, truth, subjects, n, "ad_vs_cn", 0))
    assert len(found) == draws
    for rows in found:
        assert len(rows) == 2 * n and set(rows) <= set(train)
        assert n == 80 or truth[rows].mean() == 0.5


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results of a toy study with a model, and of another one with packed scans."""
    source, target = (tmp_path_factory.mktemp(name) / "results" for name in ("source", "target"))
    write_study(source)
    write_study(target)
    shutil.rmtree(target / "ldae")
    rng = np.random.default_rng(0)
    index = pd.read_csv(target / "volumes/index.tsv", sep="\t")
    volumes = np.zeros((len(index), *SHAPE), np.float16)
    volumes[:, 10:30, 10:38, 10:30] = rng.uniform(0.2, 1, (len(index), 20, 28, 20))
    np.save(target / "volumes/volumes.npy", volumes)
    np.save(target / "volumes/masks.npy", (volumes > 0).astype(np.uint8))
    config = yaml.safe_load((target / "config.yaml").read_text())
    config["verdicts"]["n_steps"], config["evaluation"]["n_bootstrap"] = 2, 20
    (target / "config.yaml").write_text(yaml.safe_dump(config | {"study": "other", "final": True}))
    return source, target


def test_command(
    studies: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.set_num_threads(1)
    source, target = studies
    output = tmp_path / "transfer.tsv"
    words = ["transfer", str(source), "--target", str(target), "-o", str(output)]
    words += ["--method", "ldae", "--scans", "2", "--labelled", "10"]
    caplog.set_level("INFO", "ldae")
    assert main(words) == 0
    assert caplog.messages == [f"[1/1] {source} on {target}"]
    table = read_table(output)
    assert set(table["cohort"]) == {"other"} and set(table["source"]) == {"simulated"}
    assert set(table["task"].dropna()) == {"age", "ad_vs_cn"}
    assert set(table.loc[table["metric"] == "ssim", "method"]) == {"ldae", "autoencoder"}
    assert output.with_suffix(".md").is_file()
    assert main(words) == 2  # it is there already
    assert main([*words, "--target", str(source / ".." / source.name), "--overwrite"]) == 2
    assert "Give the results of another cohort as --target" in caplog.messages[-1]
    config = yaml.safe_load((target / "config.yaml").read_text())
    config["grid"]["spacing_mm"] = 5.0
    (target / "config.yaml").write_text(yaml.safe_dump(config))
    assert main([*words, "--overwrite"]) == 2  # another grid
    assert main([*words, "--target", str(tmp_path), "--overwrite"]) == 2  # no study
    assert main([*words, "--fine-tune", "2", "--overwrite"]) == 2  # not the recommended network


@pytest.fixture(scope="module")
def recommended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a toy study with the recommended network, which stand for both cohorts."""
    torch.set_num_threads(1)
    results = tmp_path_factory.mktemp("recommended") / "results"
    data = results.parent / "data"
    train_toy.write_data(data)
    train_toy.train(data, "ldae_anatomical", "anatomical")
    places = {
        "v.npy": "volumes/volumes.npy", "m.npy": "volumes/masks.npy",
        "anatomical.safetensors": "ldae_anatomical/seed-0/model.safetensors",
        "scale.json": "latents/scale.json",
    }  # fmt: skip
    for source, place in places.items():
        (results / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / source, results / place)
    torch.manual_seed(0)
    (results / "autoencoder").mkdir()
    save_autoencoder(results / "autoencoder/model.safetensors", Autoencoder(2, [8], 1, 3, 4).eval())
    index = pd.read_csv(data / "i.tsv", sep="\t", keep_default_na=False)
    index[INDEX_COLUMNS].to_csv(results / "volumes/index.tsv", sep="\t", index=False)
    (results / "manifest").mkdir()
    scans = index.assign(path=index["scan"], sha256="")[list(SCAN_COLUMNS)]
    scans.to_csv(results / "manifest/scans.tsv", sep="\t", index=False)
    probes, _ = fit_probes(
        np.random.default_rng(0).normal(size=(14, 8)), index, Diagnoses("AD", "CN"),
        c_grid=[1.0], alpha_grid=[1.0], n_folds=2, outer_folds=None, seed=0,
    )  # fmt: skip
    (results / "probes/ldae_anatomical").mkdir(parents=True)
    (results / "probes/ldae_anatomical/seed-0.json").write_text(json.dumps(probes))
    config = complete_config({}) | train_toy.sections_of("ldae_anatomical")
    config["cohort"] = complete_config({})["cohort"]
    config["grid"] = {"spacing_mm": 8.0, "shape": [8, 8, 8]}
    config["verdicts"]["n_steps"], config["evaluation"]["n_bootstrap"] = 2, 20
    config["verdicts"]["ssim_window"], config["probes"]["n_folds"] = 3, 2
    (results / "config.yaml").write_text(yaml.safe_dump(config))
    return results


def test_fine_tuning_is_measured_beside_the_frozen_model(recommended: Path, tmp_path: Path) -> None:
    output, target = tmp_path / "transfer.tsv", tmp_path / "target"
    shutil.copytree(recommended, target)
    words = ["transfer", str(recommended), "--target", str(target), "-o", str(output)]
    assert main([*words, "--scans", "1", "--labelled", "2", "--fine-tune", "3"]) == 0
    table = read_table(output)
    tuned = table[table["adaptation"] == "fine-tuned"]
    assert set(tuned["training_steps"]) == {3}
    assert set(tuned["metric"]) == {"mae", "roc_auc", "ssim", "mse", "seconds"}
    ages = tuned[tuned["task"] == "age"]
    assert ages["n_labelled"].isna().tolist() == [True, False]
    frozen = table[(table["adaptation"] == "frozen") & (table["metric"] == "mae")]
    assert frozen["value"].iloc[0] != ages["value"].iloc[0]
    assert table.loc[table["adaptation"] != "fine-tuned", "training_steps"].isna().all()
    assert main([*words, "--overwrite", "--fine-tune", "0"]) == 2


def test_fine_tuning_keeps_what_was_measured(recommended: Path, tmp_path: Path) -> None:
    source, target = load(recommended), Target.read(recommended)
    tuned, _ = fine_tune(source, target.files, target.store, target.config, 2, tmp_path)
    before, after = (
        read_weights(model.artefact.files["ldae_anatomical"])[0] for model in (source, tuned)
    )
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "encoder.linear.weight" in moved
    assert not any("standard" in name or "histograms" in name for name in moved)
    assert "scans" not in target.files  # the table with labels, of which it is given nothing
