"""Similarity measures equal scikit-image's; the ventricle measure follows the ventricles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ldae.evaluation import metrics
from ldae.evaluation.metrics import (
    lpips_obstacle,
    ms_ssim,
    ms_ssim_scales,
    mse,
    psnr,
    score_pairs,
    ssim,
)


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 24, 27, 22, generator=generator)
    y = (x + 0.2 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    return x, y, torch.rand(x.shape, generator=generator) > 0.6


@pytest.mark.parametrize("window", [3, 7, 11])
def test_ssim_is_that_of_scikit_image(pair: tuple[torch.Tensor, ...], window: int) -> None:
    x, y, mask = pair
    options: dict[str, object] = {"win_size": window}
    if window == 11:
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i in range(len(x)):
        a, b = (v[i, 0].double().numpy() for v in (x, y))
        value, full = structural_similarity(a, b, data_range=1.0, full=True, **options)
        assert ssim(x, y, None, window)[i].item() == pytest.approx(value, abs=1e-5)
        inside = full[mask[i, 0].numpy()].mean()
        assert ssim(x, y, mask, window)[i].item() == pytest.approx(inside, abs=1e-5)


def test_even_window_covers_two_voxels_below_and_one_above() -> None:
    """Window 4 at voxel i is i-2 … i+1, computed here voxel by voxel."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, 8, 8, 8))
    a, b = x[2:6, 3:7, 1:5].ravel(), y[2:6, 3:7, 1:5].ravel()
    covariance = np.cov(a, b)
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    tensors = [torch.from_numpy(v)[None, None] for v in (x, y)]
    voxel = torch.zeros(1, 1, 8, 8, 8, dtype=torch.bool)
    voxel[0, 0, 4, 5, 3] = True
    assert ssim(*tensors, voxel, 4).item() == pytest.approx(expected, abs=1e-5)


def test_mse_and_psnr(pair: tuple[torch.Tensor, ...]) -> None:
    x, y, mask = pair
    expected = peak_signal_noise_ratio(x[0].numpy(), y[0].numpy(), data_range=1)
    assert psnr(x, y)[0].item() == pytest.approx(expected, abs=1e-4)
    inside = ((x[0] - y[0])[mask[0]] ** 2).mean().item()
    assert mse(x, y, mask)[0].item() == pytest.approx(inside, rel=1e-5)
    assert torch.isfinite(psnr(x, x)).all()


def test_equal_scans_are_perfect(pair: tuple[torch.Tensor, ...]) -> None:
    x, _, mask = pair
    for window in (3, 4, 11):
        for where in (None, mask):
            torch.testing.assert_close(ssim(x, x, where, window), torch.ones(2))
            torch.testing.assert_close(ms_ssim(x, x, where, window), torch.ones(2))


def test_mask_ignores_what_lies_outside(pair: tuple[torch.Tensor, ...]) -> None:
    x, y, _ = pair
    mask = torch.zeros_like(x, dtype=torch.bool)
    mask[..., 8:16, 8:16, 8:16] = True
    spoiled = y.clone()
    spoiled[..., :2, :, :] = 1 - spoiled[..., :2, :, :]
    torch.testing.assert_close(ssim(x, y, mask, 11), ssim(x, spoiled, mask, 11))
    torch.testing.assert_close(mse(x, y, mask), mse(x, spoiled, mask))


def test_ms_ssim_uses_the_scales_that_fit(pair: tuple[torch.Tensor, ...]) -> None:
    x, y, mask = pair
    assert ms_ssim_scales((24, 27, 22), 11) == 2
    assert ms_ssim_scales((176, 176, 176), 11) == 5
    assert torch.isnan(ms_ssim(x[..., :20], y[..., :20], mask[..., :20], 11)).all()
    assert ((ms_ssim(x, y) > 0) & (ms_ssim(x, y) < 1)).all()


def test_full_ms_ssim_is_that_of_torchmetrics() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 1, 48, 48, 48, generator=generator)
    y = (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    weights = metrics.MS_SSIM_WEIGHTS[:3]
    betas = tuple(w * sum(metrics.MS_SSIM_WEIGHTS) / sum(weights) for w in weights)
    expected = multiscale_structural_similarity_index_measure(
        x, y, gaussian_kernel=True, sigma=1.5, kernel_size=11, data_range=1.0, betas=betas
    )
    assert ms_ssim(x, y, None, 11).item() == pytest.approx(float(expected), abs=2e-2)


def test_missing_perceptual_weights_leave_an_empty_cell_with_its_reason(
    pair: tuple[torch.Tensor, ...],
) -> None:
    table = score_pairs(*pair, windows=(3, 4, 11))
    rows = table[table["metric"] == "lpips"]
    if lpips_obstacle():
        assert rows["value"].isna().all() and (rows["note"] != "").all()
    assert set(table["region"]) == {"whole", "mask"}
    assert len(table) == 2 * 2 * (3 * 2 + 3)


def test_wrong_shapes_stop() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        ssim(torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 9))
