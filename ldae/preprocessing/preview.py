"""One small picture per scan: brain outline on the native scan, and on the study grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from ldae.preprocessing.grid import Image

TILE = 96  # pixels per side; with the quality below, 1000 scans make a page of about 13 MB
QUALITY, SUBSAMPLING = 50, "4:2:0"  # JPEG settings that keep the outlines readable
NATIVE_COLOUR = (255, 176, 0)
STUDY_COLOUR = (60, 200, 255)
GREY_PERCENTILE = 99.5  # brightest shown value inside the brain's box
BORDER_MM = 12.0  # shown around the native brain


def draw_preview(
    native: Image,
    mask: NDArray[np.bool_],
    volume: NDArray[np.floating],
    study_mask: NDArray[np.bool_],
    path: Path,
) -> None:
    """Write a JPEG of the native scan (top) and the study grid, three outlined slices each."""
    voxels = np.argwhere(mask)
    centre = np.round(voxels.mean(axis=0)).astype(int)
    margin = np.ceil(BORDER_MM / native.spacing).astype(int)
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = np.minimum(voxels.max(axis=0) + margin + 1, mask.shape)
    bright = float(np.percentile(native.data[mask], GREY_PERCENTILE))
    top = [
        _tile(native.data, mask, centre, axis, low, high, native.spacing, bright, NATIVE_COLOUR)
        for axis in range(3)
    ]
    shape = np.array(volume.shape)
    bottom = [
        _tile(volume, study_mask, shape // 2, axis, shape * 0, shape, np.ones(3), 1.0, STUDY_COLOUR)
        for axis in range(3)
    ]
    mosaic = np.vstack([np.hstack(top), np.hstack(bottom)])
    Picture.fromarray(mosaic).save(path, quality=QUALITY, optimize=True, subsampling=SUBSAMPLING)


def _tile(
    data: np.ndarray,
    mask: NDArray[np.bool_],
    centre: np.ndarray,
    axis: int,
    low: np.ndarray,
    high: np.ndarray,
    spacing: np.ndarray,
    bright: float,
    colour: tuple[int, int, int],
) -> NDArray[np.uint8]:
    """One slice as (TILE, TILE, 3): front to the left, or the subject's right to the left."""
    rest = [k for k in range(3) if k != axis]
    index: list[int | slice] = [slice(int(low[k]), int(high[k])) for k in range(3)]
    index[axis] = int(np.clip(centre[axis], 0, data.shape[axis] - 1))
    grey = np.clip(data[tuple(index)] / max(bright, 1e-12), 0.0, 1.0).astype(np.float32)
    inside = mask[tuple(index)].astype(np.float32)
    extent = np.array(grey.shape) * spacing[rest]
    scale = TILE / extent.max()
    zoom = scale * spacing[rest]
    shown = np.clip(ndimage.zoom(grey, zoom, order=1, grid_mode=True, mode="nearest"), 0, 1)
    outline = ndimage.zoom(inside, zoom, order=1, grid_mode=True, mode="nearest") > 0.5
    edge = outline & ~ndimage.binary_erosion(outline)
    picture = np.repeat((shown * 255).astype(np.uint8)[..., None], 3, axis=2)
    picture[edge] = colour
    # Rows go down from superior (or anterior); columns begin at anterior or the right side.
    picture = picture.transpose(1, 0, 2)[::-1, ::-1]
    picture = picture[:TILE, :TILE]
    tile = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    y, x = (np.array([TILE, TILE]) - picture.shape[:2]) // 2
    tile[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return tile
