"""How alike two scans are.

The similarity measures take batches (B, 1, H, W, D) and give one number per scan, over the whole
volume or inside a mask. They are written on tensors because no library covers what the protocol
asks for: three dimensions, masks, the even window of a published table, and volumes of 24 voxels.
The tests hold them to scikit-image.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchmetrics import Metric

K1, K2 = 0.01, 0.03
"""Stabilising constants of SSIM (Wang et al. 2004, section III-B)."""

GAUSSIAN_WINDOW = 11
GAUSSIAN_SIGMA = 1.5
"""The standard window of SSIM: 11 voxels, Gaussian of 1.5 voxels (Wang et al. 2004)."""

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales (Wang et al. 2003, section 3.2)."""

SMALLEST_MSE = 1e-10
"""Bound below which the PSNR is not followed (100 dB), so that equal scans keep a finite number."""

LPIPS_NET: Literal["alex"] = "alex"
LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
"""Backbone of LPIPS (Zhang et al. 2018, their recommended metric) and torchvision's file of it."""


def _kernel(window: int) -> list[float]:
    """One-dimensional window that sums to 1: uniform, or Gaussian for the standard window."""
    if window == GAUSSIAN_WINDOW:
        offset = np.arange(window) - window // 2
        weights = np.exp(-0.5 * (offset / GAUSSIAN_SIGMA) ** 2)
        return [float(w) for w in weights / weights.sum()]
    if window < 2:
        raise ValueError(f"window must be at least 2 voxels, got {window}")
    return [1 / window] * window


def _filter(x: Tensor, kernel: Sequence[float]) -> Tensor:
    """Separable filter over the last three axes, full windows only; each axis shrinks by len-1."""
    for axis in (-3, -2, -1):
        n = x.shape[axis] - len(kernel) + 1
        out = x.narrow(axis, 0, n) * kernel[0]
        for i in range(1, len(kernel)):
            out.add_(x.narrow(axis, i, n), alpha=kernel[i])
        x = out
    return x


def _pad_symmetric(x: Tensor, before: int, after: int) -> Tensor:
    """Mirror the last three axes with the edge repeated (scipy's `reflect`)."""
    for axis in (-3, -2, -1):
        n = x.shape[axis]
        source = np.pad(np.arange(n), (before, after), mode="symmetric")
        x = x.index_select(x.ndim + axis, torch.from_numpy(source).to(x.device))
    return x


def _ssim_terms(x: Tensor, y: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Maps of SSIM and its contrast-structure factor at full windows (Wang et al. 2004, eq. 13)."""
    kernel = _kernel(window)
    # Sample covariance for uniform windows, as scikit-image; the Gaussian is a population
    # weighting.
    n_voxels = window**3
    norm = 1.0 if window == GAUSSIAN_WINDOW else n_voxels / (n_voxels - 1)
    mean_x, mean_y = _filter(x, kernel), _filter(y, kernel)
    var_x = norm * (_filter(x * x, kernel) - mean_x * mean_x)
    var_y = norm * (_filter(y * y, kernel) - mean_y * mean_y)
    cov = norm * (_filter(x * y, kernel) - mean_x * mean_y)
    structure = (2 * cov + K2**2) / (var_x + var_y + K2**2)
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x * mean_x + mean_y * mean_y + K1**2)
    return luminance * structure, structure


def _check_pair(x: Tensor, y: Tensor, mask: Tensor | None) -> None:
    if x.ndim != 5 or x.shape != y.shape:
        raise ValueError(f"need two equal shapes (B, 1, H, W, D), got {x.shape} and {y.shape}")
    if mask is not None and mask.shape != x.shape:
        raise ValueError(f"mask {tuple(mask.shape)} for scans {tuple(x.shape)}")


def _masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of each sample, (B,), over all its voxels or over those in the mask (NaN if none)."""
    if mask is None:
        return values.flatten(1).mean(1)
    weights = mask.to(values.dtype).flatten(1)
    return (values.flatten(1) * weights).sum(1) / weights.sum(1)


def _padded_terms(x: Tensor, y: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Maps of SSIM and of its contrast-structure factor at every voxel, edges mirrored.

    A window of even width has no middle voxel: its value is given to the voxel just above the
    middle along each axis (window 4 around voxel i covers i-2 … i+1).
    """
    before, after = window // 2, (window - 1) // 2
    x, y = (_pad_symmetric(v.float(), before, after) for v in (x, y))
    return _ssim_terms(x, y, window)


def _region_means(values: Tensor, mask: Tensor | None, window: int) -> dict[str, Tensor]:
    """Means of a map, (B,): `whole` over the full windows, `mask` inside the mask, if any."""
    core = values
    for axis in (-3, -2, -1):
        core = core.narrow(axis, window // 2, values.shape[axis] - window + 1)
    means = {"whole": _masked_mean(core, None)}
    if mask is not None:
        means["mask"] = _masked_mean(values, mask)
    return means


def structural_scores(
    x: Tensor, y: Tensor, mask: Tensor | None, window: int, *, multiscale: bool
) -> dict[tuple[str, str], Tensor]:
    """SSIM and MS-SSIM of each pair, from one pass; see :func:`ssim` and :func:`ms_ssim`.

    Returns
    -------
    dict
        (metric, region) to (B,); metrics ``ssim`` and, if `multiscale`, ``ms_ssim``; regions
        ``whole`` and, if there is a mask, ``mask``.
    """
    _check_pair(x, y, mask)
    regions = ["whole"] if mask is None else ["whole", "mask"]
    nothing = torch.full((len(x),), torch.nan, device=x.device)
    n_scales = ms_ssim_scales(x.shape[2:], window)
    result: dict[tuple[str, str], Tensor] = {}
    for region in regions:
        result["ssim", region] = nothing
        if multiscale:
            result["ms_ssim", region] = nothing
    if n_scales == 0:
        return result
    x, y = x.float(), y.float()
    full, structure = _padded_terms(x, y, window)
    for region, value in _region_means(full, mask, window).items():
        result["ssim", region] = value
    if not multiscale or n_scales < 2:
        return result
    exponents = np.array(MS_SSIM_WEIGHTS[:n_scales])
    exponents *= sum(MS_SSIM_WEIGHTS) / exponents.sum()
    weights = None if mask is None else mask.float()
    product = dict.fromkeys(regions, torch.ones(len(x), device=x.device))
    for scale, exponent in enumerate(exponents):
        if scale > 0:
            x, y = (torch.nn.functional.avg_pool3d(v, 2) for v in (x, y))
            weights = None if weights is None else torch.nn.functional.avg_pool3d(weights, 2)
            full, structure = _padded_terms(x, y, window)
        factor = full if scale == n_scales - 1 else structure
        for region, value in _region_means(factor, weights, window).items():
            product[region] = product[region] * value.clamp(min=0) ** float(exponent)
    return result | {("ms_ssim", region): value for region, value in product.items()}


def ssim(x: Tensor, y: Tensor, mask: Tensor | None = None, window: int = GAUSSIAN_WINDOW) -> Tensor:
    """Structural similarity of each pair, (B,), at most 1 (Wang et al. 2004).

    Parameters
    ----------
    x, y
        Scans, (B, 1, H, W, D), intensities in [0, 1].
    mask
        Bool, (B, 1, H, W, D). With a mask the SSIM map (edges mirrored) is averaged inside it;
        without, over every window that lies fully inside the volume, as scikit-image does.
    window
        Width in voxels: 11 is the standard Gaussian, any other is uniform (3 and 4 are those of the
        published tables).

    Returns
    -------
    Tensor
        float32, on the device of `x`; NaN where the volume is smaller than the window.
    """
    scores = structural_scores(x, y, mask, window, multiscale=False)
    return scores["ssim", "whole" if mask is None else "mask"]


def ms_ssim_scales(shape: Sequence[int], window: int) -> int:
    """How many of the five dyadic scales of MS-SSIM hold a full window, 0..5."""
    smallest = min(shape)
    return sum(smallest // 2**scale >= window for scale in range(len(MS_SSIM_WEIGHTS)))


def ms_ssim(
    x: Tensor, y: Tensor, mask: Tensor | None = None, window: int = GAUSSIAN_WINDOW
) -> Tensor:
    """Multi-scale structural similarity of each pair, (B,), in [0, 1] (Wang et al. 2003).

    Only scales on which a full window fits are used, their exponents scaled to sum to the five's
    (:func:`ms_ssim_scales` says how many; below two, NaN). Negative factors count as 0. Arguments
    as for :func:`ssim`; a mask is averaged down with the scan and weighs the voxels of each scale.
    """
    scores = structural_scores(x, y, mask, window, multiscale=True)
    return scores["ms_ssim", "whole" if mask is None else "mask"]


def mse(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared difference of each pair, (B,), over the volume or inside the mask."""
    _check_pair(x, y, mask)
    return _masked_mean((x.float() - y.float()).square(), mask)


def psnr(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of each pair, (B,): -10·log10(MSE), intensities span 1."""
    return -10 * torch.log10(mse(x, y, mask).clamp(min=SMALLEST_MSE))


def lpips_obstacle() -> str:
    """Why LPIPS cannot be computed here; empty if it can. Nothing is ever downloaded for it."""
    if importlib.util.find_spec("torchvision") is None:
        return "needs torchvision and its pretrained weights"
    weights = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS
    return "" if weights.is_file() else f"needs the pretrained weights {LPIPS_WEIGHTS}"


def lpips(x: Tensor, y: Tensor) -> Tensor:
    """Learned perceptual distance of each pair, (B,): mean over axial slices (Zhang et al. 2018).

    Slices are repeated over three channels; needs what :func:`lpips_obstacle` names.
    """
    _check_pair(x, y, None)

    def slices(scan: Tensor) -> Tensor:
        return scan.permute(3, 0, 1, 2).expand(-1, 3, -1, -1)  # (D, 3, H, W)

    measure = _lpips_network()
    distances = [
        measure(slices(a), slices(b))
        for a, b in zip(x.cpu().float().clamp(0, 1), y.cpu().float().clamp(0, 1), strict=True)
    ]
    measure.reset()
    return torch.stack(distances)


@functools.cache
def _lpips_network() -> Metric:
    """The network of LPIPS, loaded once: a scan has dozens of reconstructions."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type=LPIPS_NET, normalize=True)


def score_pairs(
    x: Tensor, y: Tensor, mask: Tensor, windows: Sequence[int], *, full: bool = True
) -> pd.DataFrame:
    """Every similarity measure of each pair, over the whole volume and inside the mask.

    Parameters
    ----------
    x, y
        Scans and their references, (B, 1, H, W, D), intensities in [0, 1].
    mask
        Brain masks, bool, same shape.
    windows
        Widths for SSIM and MS-SSIM, voxels.
    full
        Also MS-SSIM, PSNR and LPIPS; otherwise SSIM and MSE only.

    Returns
    -------
    pandas.DataFrame
        sample (position in the batch), region (whole | mask), window (0 where none applies),
        metric, value, note.
    """
    parts: list[tuple[str, int, str, Tensor, str]] = []
    for window in windows:
        n_scales = ms_ssim_scales(x.shape[2:], window)
        of_five = f"window {window}: {n_scales} of {len(MS_SSIM_WEIGHTS)} scales fit the grid"
        scores = structural_scores(x, y, mask, window, multiscale=full)
        for (metric, region), value in scores.items():
            partial = metric == "ms_ssim" and n_scales < len(MS_SSIM_WEIGHTS)
            parts.append((region, window, metric, value, of_five if partial else ""))
    obstacle = lpips_obstacle() if full else ""
    for region, where in (("whole", None), ("mask", mask)):
        parts.append((region, 0, "mse", mse(x, y, where), ""))
        if full:
            parts.append((region, 0, "psnr", psnr(x, y, where), ""))
            inside = 1 if where is None else where
            value = torch.full((len(x),), torch.nan) if obstacle else lpips(x * inside, y * inside)
            parts.append((region, 0, "lpips", value, obstacle))
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "sample": np.arange(len(x)),
                    "region": region,
                    "window": window,
                    "metric": metric,
                    "value": value.detach().cpu().numpy().astype(np.float64),
                    "note": note,
                }
            )
            for region, window, metric, value, note in parts
        ],
        ignore_index=True,
    )
