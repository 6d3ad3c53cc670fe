"""Coverage of 95 % intervals of an AUC, and of a paired difference of two, by simulation.

    .venv/bin/python -m benchmarks.auc_coverage [SAMPLES]

Half of the subjects are cases. Each subject has 1 scan, or 1 to 4. Scores are normal with equal
variance in both classes; four fifths of the variance are shared by a subject's scans. Two methods
share half of the variance of each part. Compared are the intervals of `ldae.statistics.auc`, the
percentile bootstrap over subjects that they replaced, and the bootstrap on the logit scale. It
takes about five minutes with 1,000 samples, and writes the tables that
docs/explanation/evaluation.md summarises.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm

from ldae.statistics.auc import auc_difference, auc_interval
from ldae.statistics.bootstrap import replicate_weights
from ldae.statistics.measures import weighted_auc

SHARED_BY_SCANS = 0.8
SHARED_BY_METHODS = 0.5
N_REPLICATES = 300
MOST_VISITS = (1, 4)
N_SUBJECTS = (20, 40, 80, 200)
AUCS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.97)
PAIRS = ((0.6, 0.6), (0.8, 0.7), (0.9, 0.8), (0.9, 0.9), (0.95, 0.9), (0.97, 0.97))

Limits = tuple[float, float]
Method = Callable[[np.ndarray, np.ndarray], Limits]


def draw(
    rng: np.random.Generator, n_subjects: int, aucs: Sequence[float], most_visits: int
) -> tuple[np.ndarray, np.ndarray]:
    """A sample: target and the score of each method, (N, 1 + methods), and subjects, (N,)."""
    subjects = np.repeat(np.arange(n_subjects), rng.integers(1, most_visits + 1, n_subjects))
    target = subjects < n_subjects // 2

    def noise(size: int) -> np.ndarray:
        common, own = rng.normal(size=(1, size)), rng.normal(size=(len(aucs), size))
        mixed: np.ndarray = (
            np.sqrt(SHARED_BY_METHODS) * common + np.sqrt(1 - SHARED_BY_METHODS) * own
        )
        return mixed

    scores = np.sqrt(SHARED_BY_SCANS) * noise(n_subjects)[:, subjects]
    scores += np.sqrt(1 - SHARED_BY_SCANS) * noise(len(subjects))
    scores += np.sqrt(2) * norm.ppf(aucs)[:, None] * target
    return np.column_stack([target, *scores]), subjects.astype(str)


def coverage(
    method: Method, truth: float, n_samples: int, seed: int, sample: Callable[..., tuple]
) -> float:
    """Share of samples whose interval contains the truth."""
    rng = np.random.default_rng(seed)
    limits = np.array([method(*sample(rng)) for _ in range(n_samples)])
    return float(np.mean((limits[:, 0] <= truth) & (truth <= limits[:, 1])))


def _replicates(values: np.ndarray, subjects: np.ndarray) -> list[np.ndarray]:
    """AUC of each method in every replicate of the bootstrap."""
    weights = replicate_weights(subjects, N_REPLICATES, seed=len(np.unique(values)))
    return [weighted_auc(values[:, [0, k]], weights) for k in range(1, values.shape[1])]


def _percentiles(values: np.ndarray, subjects: np.ndarray) -> Limits:
    aucs = _replicates(values, subjects)
    gain = aucs[0] if len(aucs) == 1 else aucs[0] - aucs[1]
    low, high = np.nanquantile(gain, [0.025, 0.975])
    return float(low), float(high)


def _logit_bootstrap(values: np.ndarray, subjects: np.ndarray) -> Limits:
    n_pairs = len(np.unique(subjects)) ** 2 / 4
    (aucs,) = _replicates(values, subjects)
    value = weighted_auc(values, np.ones((1, len(values))))[0]
    least = 0.5 / n_pairs
    odds = [np.clip(a, least, 1 - least) for a in (aucs, value)]
    spread, centre = np.nanstd(np.log(odds[0] / (1 - odds[0]))), np.log(odds[1] / (1 - odds[1]))
    low, high = 1 / (1 + np.exp(-(centre + norm.ppf([0.025, 0.975]) * spread)))
    return float(low), float(high)


SINGLE: dict[str, Method] = {
    "used": lambda values, subjects: auc_interval(values, subjects)[1:],
    "percentile bootstrap": _percentiles,
    "logit bootstrap": _logit_bootstrap,
}
DIFFERENCE: dict[str, Method] = {
    "used": lambda values, subjects: auc_difference(values, subjects)[1:],
    "percentile bootstrap": _percentiles,
}


def main(n_samples: int) -> None:
    """Print a table of each interval."""
    points = [((auc,), auc) for auc in AUCS], [(pair, pair[0] - pair[1]) for pair in PAIRS]
    for methods, cases in zip((SINGLE, DIFFERENCE), points, strict=True):
        names = [" − ".join(f"{auc:g}" for auc in aucs) for aucs, _ in cases]
        sys.stdout.write(f"\n| visits | subjects | interval | {' | '.join(names)} |\n")
        sys.stdout.write("| --- | --- | --- |" + " --- |" * len(names) + "\n")
        for visits in MOST_VISITS:
            for n in N_SUBJECTS:
                for name, method in methods.items():
                    found = [
                        coverage(
                            method, truth, n_samples, 1,
                            lambda rng, n=n, a=aucs, v=visits: draw(rng, n, a, v),
                        )
                        for aucs, truth in cases
                    ]  # fmt: skip
                    cells = " | ".join(f"{share:.2f}" for share in found)
                    sys.stdout.write(f"| {visits} | {n} | {name} | {cells} |\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
