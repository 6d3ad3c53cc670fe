"""Results of toy studies that only have predictions and scores, as their evaluations leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ldae.data.manifest import SCAN_COLUMNS
from ldae.data.triples import find_triples
from ldae.data.volumes import INDEX_COLUMNS
from ldae.statistics.predictions import write_predictions
from ldae.statistics.scores import BEST_IN_TRAINING, write_scores
from ldae.workflow.config import complete_config

VISITS = (0, 6, 12, 24)


def toy_index(splits: Mapping[str, str], visits: Sequence[int] = VISITS) -> pd.DataFrame:
    """Visits of participants, whose splits are given, with ages that follow from their names."""
    rows = [
        {
            "subject": subject, "session": f"M{month:03d}", "scan": f"{subject}_M{month:03d}",
            "months": month, "age": 60 + 3 * int(subject[-2:]) + month / 12, "split": split,
            "sex": "F", "diagnosis": "AD" if int(subject[-2:]) % 2 else "CN", "site": "",
        }
        for subject, split in splits.items()
        for month in visits
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(row=range(len(rows)))


def write_finished(
    folder: Path,
    index: pd.DataFrame,
    settings: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    seeds: Sequence[int] = (0,),
) -> Path:
    """Write a study that scores random numbers of every participant of its scored split.

    Parameters
    ----------
    folder
        Its results.
    index
        Its scans, from :func:`toy_index`.
    settings
        Its settings, but for defaults.
    seed
        Of its random numbers.
    seeds
        Its training seeds.
    """
    few = {"evaluation": {"n_bootstrap": 20}, "training_seeds": list(seeds)}
    config = complete_config(few | dict(settings or {}))
    for name in ("volumes", "manifest"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    index[INDEX_COLUMNS].to_csv(folder / "volumes/index.tsv", sep="\t", index=False)
    scans = index.assign(path=index["scan"], sha256="0" * 64)
    scans[list(SCAN_COLUMNS)].to_csv(folder / "manifest/scans.tsv", sep="\t", index=False)
    split, rng = ("test" if config["final"] else "val"), np.random.default_rng(seed)
    scored = index[index["split"] == split]
    for run in seeds:
        _write(folder / f"probes/ldae/seed-{run}.tsv", _predictions(scored, rng), "ldae", run)
    _write(folder / "probes/voxel_pca/shared.tsv", _predictions(scored, rng), "voxel_pca", None)
    trivial = _middles(index, config, "voxel_average", rng).assign(note=BEST_IN_TRAINING)
    for run in seeds:
        middles = _middles(index, config, "ldae", rng).assign(steps=20)
        for name, frame in (
            ("reconstruction", _reconstruction(scored, rng)),
            ("manipulation", _edits(scored, rng)),
            ("interpolation", pd.concat([trivial, middles])),
        ):
            path = folder / f"scores/{name}/seed-{run}.tsv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_scores(frame, name, run, split, path)
    return folder


def _write(path: Path, predictions: pd.DataFrame, method: str, seed: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, method, seed, path)


def _predictions(scored: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Ages and diagnoses with some noise."""
    patient = (scored["diagnosis"] == "AD").astype(float)
    parts = [
        scored[["scan", "subject", "split"]].assign(
            task=task, target=truth, label="", prediction=truth + rng.normal(0, sd, len(scored))
        )
        for task, truth, sd in (("ad_vs_cn", patient, 0.6), ("age", scored["age"], 5))
    ]
    return pd.concat(parts)


def _scores(scans: pd.DataFrame, rng: np.random.Generator, **columns: Any) -> pd.DataFrame:
    frame = scans[["scan", "subject"]].assign(note="", value=rng.uniform(size=len(scans)))
    return frame.assign(**columns)


def _reconstruction(scored: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    of_mask = {"steps": 20, "region": "mask", "method": "ldae"}
    ssim = _scores(scored, rng, metric="ssim", window=11, **of_mask)
    return pd.concat([ssim, _scores(scored, rng, metric="mse", window=np.nan, **of_mask)])


def _edits(scored: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    edit = {"method": "ldae", "task": "age", "attribute": "", "judge": "", "steps": 20}
    return pd.concat(
        [
            _scores(scored, rng, metric=metric, amount=amount, region="", **edit)
            for metric in ("map_correlation", "change_ratio")
            for amount in (-0.6, 0.0, 0.6)
        ]
    )


def _middles(
    index: pd.DataFrame, config: Mapping[str, Any], method: str, rng: np.random.Generator
) -> pd.DataFrame:
    """Errors of filled-in visits, numbered as an evaluation does."""
    most = config["evaluation"]["interpolation"]["max_triples"]
    split = "test" if config["final"] else "val"
    triples = find_triples(index, split, most, config["seed"])
    scans = index.iloc[[triple.rows[1] for triple in triples]]
    return _scores(
        scans, rng, metric="mse", method=method, steps=np.nan, target="real", region="mask",
        window=np.nan, triple=range(len(triples)), gap_months=12, nearest_months=6,
    )  # fmt: skip
