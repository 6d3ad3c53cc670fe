"""Rotations of principal components to entries of equal variance."""

import numpy as np
import pytest

from ldae.statistics.rotation import equal_variance_rotation, rotate_to_equal_variance


@pytest.mark.parametrize(
    "variances",
    [[5.0, 1.0, 0.1, 0.01], [1.0, 1.0, 1.0], [0.0, 0.0], [3.0], [1e6, 1.0, 0.0], [7.0] * 2 + [2.0]],
)
def test_rotation_is_orthogonal_and_gives_every_entry_the_mean(variances: list[float]) -> None:
    rotation = equal_variance_rotation(np.array(variances))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(variances)), atol=1e-12)
    found = np.diag(rotation @ np.diag(variances) @ rotation.T)
    np.testing.assert_allclose(found, np.mean(variances), rtol=1e-9)


def test_many_components_of_unlike_variance() -> None:
    variances = np.random.default_rng(0).pareto(1.0, 200)
    rotation = equal_variance_rotation(variances)
    found = np.diag(rotation @ np.diag(variances) @ rotation.T)
    np.testing.assert_allclose(found, variances.mean(), rtol=1e-9)


def test_distances_between_scans_stay_and_only_training_rows_count() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 3)) - 0.0)[0]
    codes = np.concatenate([(axes - axes.mean(0)) * [30.0, 3.0, 1.0], rng.normal(size=(9, 3))])
    rows = np.arange(40)
    rotated = rotate_to_equal_variance(codes, rows)
    np.testing.assert_allclose(rotated @ rotated.T, codes @ codes.T, rtol=1e-4, atol=1e-3)
    codes[40:] *= 100
    np.testing.assert_array_equal(rotate_to_equal_variance(codes, rows)[:40], rotated[:40])
