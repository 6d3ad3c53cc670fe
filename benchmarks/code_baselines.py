"""Stronger baselines for the probes, none of them a trained network, on a finished study's scans.

    .venv/bin/python -m benchmarks.code_baselines results docs/results/code_baselines

One scan, the first, of every training and validation participant; test participants are not read.
Five folds over participants, with everything fitted on the other four: standardisation, principal
components, and the strength of the probe's penalty. Written is a table of the area under the ROC
curve (patients against controls) and of the mean absolute error of age in years, with 95 %
intervals over participants.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812
import yaml
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from ldae.data.volumes import VolumeStore, batches
from ldae.statistics.auc import auc_interval
from ldae.statistics.bootstrap import subject_bootstrap, weighted_mean
from ldae.training.histograms import histogram_layer, histograms_of

logger = logging.getLogger(__name__)

SCALES_MM = (48.0, 24.0, 16.0)
"""Edges of the windows of the multi-scale histograms; their centres are half an edge apart."""
RANDOM_CHANNELS, RANDOM_LEVELS = 24, 3
N_FOLDS, SEED, N_BOOTSTRAP = 5, 0, 1000
C_GRID, ALPHA_GRID = np.logspace(-5, 2, 8), np.logspace(-1, 6, 8)
GAMMA_SHARES = (0.1, 0.3, 1.0)
"""Candidates for the width of the Gaussian kernel, in units of one over the number of features."""


@dataclass(frozen=True)
class Baseline:
    """Features, what reduces them, and the probe on top.

    Histograms are of 48 mm unless the label says otherwise; the random network's covariances are
    pooled in octants.
    """

    label: str
    features: str
    n_components: int | None
    kernel: str = "linear"
    whitened: bool = False


BASELINES = (
    Baseline("voxel PCA, 64 components, whitened", "voxels", 64, whitened=True),
    Baseline("voxel PCA, 64 components", "voxels", 64),
    Baseline("voxel PCA, all components", "voxels", None),
    Baseline("the same, Gaussian process", "voxels", None, "process"),
    Baseline("histograms, 64 components, whitened", "histograms", 64, whitened=True),
    Baseline("histograms, 64 components", "histograms", 64),
    Baseline("histograms, all components", "histograms", None),
    Baseline("the same, Gaussian process", "histograms", None, "process"),
    Baseline("the same, Gaussian kernel", "histograms", None, "rbf"),
    Baseline("histograms of 48, 24 and 16 mm, 64 components", "scales", 64),
    Baseline("histograms of 48, 24 and 16 mm, all components", "scales", None),
    Baseline("random 3-D network, 64 components", "random", 64),
    Baseline("random 3-D network, all components", "random", None),
)  # fmt: skip


@torch.no_grad()
def random_covariances(store: VolumeStore, rows: np.ndarray) -> np.ndarray:
    """Covariances of the channels of an untrained 3-D network, pooled in octants, (N, K) float32.

    Each level is a convolution of size 3 with He-normal weights, a rectifier and a halving; in each
    octant of the grid the upper triangle of the covariance of its channels is a feature, as the
    second-order pooling of Lin et al. (2015). No weight is trained.
    """
    generator = torch.Generator().manual_seed(SEED)
    widths = (1, *[RANDOM_CHANNELS] * RANDOM_LEVELS)
    weights = [
        torch.randn(n_out, n_in, 3, 3, 3, generator=generator) * (2 / (27 * n_in)) ** 0.5
        for n_in, n_out in pairwise(widths)
    ]
    found = []
    for piece in batches(rows, 16):
        x, features = store.batch(piece), []
        for weight in weights:
            x = F.avg_pool3d(F.relu(F.conv3d(x, weight, padding=1)), 2)
            features.append(_octant_covariances(x))
        found.append(torch.cat(features, 1))
    return torch.cat(found).numpy()


def _octant_covariances(x: Tensor) -> Tensor:
    """Upper triangles of the channels' covariances in each octant of maps (B, C, H, W, D)."""
    upper = torch.triu_indices(x.shape[1], x.shape[1])
    covariances = []
    for halves in (part for a in x.chunk(2, 2) for b in a.chunk(2, 3) for part in b.chunk(2, 4)):
        flat = halves.flatten(2)
        centred = flat - flat.mean(2, keepdim=True)
        covariance = centred @ centred.transpose(1, 2) / flat.shape[2]
        covariances.append(covariance[:, upper[0], upper[1]])
    return torch.cat(covariances, 1)


def histograms(
    store: VolumeStore, rows: np.ndarray, spacing_mm: float, scales: tuple[float, ...]
) -> np.ndarray:
    """Local intensity histograms in windows of several sizes, (N, K) float32."""
    found = []
    for edge in scales:
        settings = {"window_mm": edge, "stride_mm": edge / 2, "n_bins": 8}
        layer = histogram_layer(store, settings, spacing_mm)
        found.append(histograms_of(layer, store, rows).flatten(1).numpy())
    return np.concatenate(found, 1)


def feature_sets(
    store: VolumeStore, rows: np.ndarray, spacing_mm: float
) -> Iterator[tuple[str, np.ndarray]]:
    """Features of the scans in `rows` by name, (N, K) each."""
    brain = store.masks[rows].astype(bool).any(0)
    yield "voxels", store.volumes[rows].astype(np.float32)[:, brain]
    yield "histograms", histograms(store, rows, spacing_mm, SCALES_MM[:1])
    yield "scales", histograms(store, rows, spacing_mm, SCALES_MM)
    yield "random", random_covariances(store, rows)


def _probe(kernel: str, is_disease: bool, n_features: int) -> BaseEstimator:
    """A probe that chooses its penalty by cross-validation within the training folds."""
    if kernel == "process":
        rbf = ConstantKernel(0.1) * RBF(n_features**0.5, (1, 1e3))
        prior = ConstantKernel(0.1) * DotProduct(1.0) + rbf + WhiteKernel(0.5)
        return GaussianProcessRegressor(prior, normalize_y=True, random_state=SEED)
    if kernel == "rbf":
        gammas = {"gamma": [share / n_features for share in GAMMA_SHARES]}
        if is_disease:
            machine = SVC(class_weight="balanced")
            return GridSearchCV(machine, gammas | {"C": C_GRID[2:]}, scoring="roc_auc")
        return GridSearchCV(KernelRidge(kernel="rbf"), gammas | {"alpha": ALPHA_GRID[:4] / 10})
    if is_disease:
        return LogisticRegressionCV(
            Cs=C_GRID, class_weight="balanced", scoring="roc_auc", max_iter=2000, l1_ratios=(0,),
            use_legacy_attributes=False,
        )  # fmt: skip
    return RidgeCV(ALPHA_GRID)


def cross_predictions(
    x: np.ndarray, target: np.ndarray, baseline: Baseline, is_disease: bool
) -> np.ndarray:
    """Prediction of every participant by what was fitted on the participants of other folds."""
    predicted = np.empty(len(target))
    strata = target if is_disease else pd.qcut(target, 5, labels=False)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
    for train, held_out in folds.split(x, strata):
        n = min(baseline.n_components or len(train), len(train) - 1, x.shape[1])
        reduce = make_pipeline(StandardScaler(), PCA(n, svd_solver="full"))
        codes = reduce.fit_transform(x[train])
        # One scale for all entries: else they would be whitened, and the last weigh like the first.
        scale = codes.std(0) if baseline.whitened else codes.std()
        codes = codes / scale
        probe = _probe(baseline.kernel, is_disease, codes.shape[1]).fit(codes, target[train])
        seen = reduce.transform(x[held_out]) / scale
        answer: Callable[[np.ndarray], np.ndarray] = getattr(
            probe, "decision_function", probe.predict
        )
        predicted[held_out] = answer(seen)
    return predicted


def compare(store: VolumeStore, spacing_mm: float, words: Mapping[str, str]) -> pd.DataFrame:
    """The table: a row for each baseline, with both scores and their intervals."""
    index = store.index[store.index["split"].isin(["train", "val"])]
    first = index.sort_values("months", na_position="last").groupby("subject").head(1).sort_index()
    rows, age = first.index.to_numpy(), first["age"].to_numpy(float)
    diagnosis = first["diagnosis"].to_numpy(str)
    judged = np.isin(diagnosis, [words["patient"], words["control"]])
    ill, aged = (diagnosis == words["patient"]).astype(int), np.isfinite(age)
    table = []
    for name, x in feature_sets(store, rows, spacing_mm):
        for baseline in (b for b in BASELINES if b.features == name):
            row: dict[str, object] = {"baseline": baseline.label, "features": x.shape[1]}
            if judged.any():
                score = cross_predictions(x[judged], ill[judged], baseline, True)
                subjects = first["subject"].to_numpy(str)[judged]
                auc = auc_interval(np.stack([ill[judged], score], 1), subjects)
                row |= dict(zip(("auc", "auc_low", "auc_high"), auc, strict=True))
            error = np.abs(cross_predictions(x[aged], age[aged], baseline, False) - age[aged])
            found = subject_bootstrap(
                error[:, None], first["subject"].to_numpy(str)[aged],
                lambda values, weights: weighted_mean(values[:, 0], weights), N_BOOTSTRAP, SEED,
            )  # fmt: skip
            row |= dict(zip(("mae", "mae_low", "mae_high"), found, strict=True))
            logger.info("%s", row)
            table.append(row | {"n_disease": int(judged.sum()), "n_age": int(aged.sum())})
    return pd.DataFrame(table)


def main() -> None:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="results folder of a finished study")
    parser.add_argument("output", type=Path, help="folder of the table")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    results = options.results
    config = yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8"))
    packed = [results / "volumes" / name for name in ("volumes.npy", "masks.npy", "index.tsv")]
    store = VolumeStore(*packed, results / "manifest" / "scans.tsv")
    table = compare(store, config["grid"]["spacing_mm"], config["cohort"]["diagnoses"])
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output / "code_baselines.tsv", sep="\t", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
