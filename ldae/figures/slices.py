"""Orthogonal slices through a scan, drawn as neuroimagers expect them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

Examples = Mapping[str, np.ndarray]
"""Volumes that an evaluation keeps for pictures, and facts about them, by name."""

PLANES = ("sagittal", "coronal", "axial")
CONVENTION = (
    "Neurological convention: the participant's left is on the left (L, R). Voxels of the study's "
    "grid are interpolated for display."
)

DIFFERENCE_LABEL = "difference of intensity"


def brain_centre(mask: np.ndarray) -> tuple[int, int, int]:
    """Voxel in the middle of the mask's bounding box, moved off the midline to a lateral ventricle.

    The sagittal slice lies an eighth of the brain's width to the right, where it meets a lateral
    ventricle and not the cleft between the hemispheres.
    """
    found = [np.flatnonzero(np.asarray(mask).any(axis=tuple({0, 1, 2} - {k}))) for k in range(3)]
    if any(len(f) == 0 for f in found):
        x, y, z = (n // 2 for n in np.asarray(mask).shape)
        return x, y, z
    low, high = ([int(f[end]) for f in found] for end in (0, -1))
    x, y, z = ((a + b) // 2 for a, b in zip(low, high, strict=True))
    return x + round((high[0] - low[0]) / 8), y, z


def cut(volume: np.ndarray, plane: str, centre: tuple[int, int, int]) -> np.ndarray:
    """Slice of a RAS volume as an image (rows from top to bottom).

    Axial: anterior up, left on the left; coronal: superior up, left on the left; sagittal: superior
    up, anterior on the right.
    """
    x, y, z = centre
    plane_of = {"sagittal": volume[x], "coronal": volume[:, y], "axial": volume[:, :, z]}
    return np.flipud(plane_of[plane].T)


def bounding_box(mask: np.ndarray, margin: int = 1) -> tuple[slice, slice, slice]:
    """Box around the mask with a margin in voxels; the whole volume for an empty mask."""
    shape = np.asarray(mask).shape
    box = []
    for k in range(3):
        found = np.flatnonzero(np.asarray(mask).any(axis=tuple({0, 1, 2} - {k})))
        low, high = (int(found[0]), int(found[-1])) if len(found) else (0, shape[k] - 1)
        box.append(slice(max(0, low - margin), min(shape[k], high + margin + 1)))
    return box[0], box[1], box[2]


def crop(
    examples: Examples, names: Iterable[str], mask: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Volumes (…, h, w, d) of `names`, and the mask, cropped to the mask's box."""
    box = bounding_box(mask)
    inside = {name: np.asarray(examples[name], float)[(..., *box)] for name in names}
    return inside, np.asarray(mask)[box] > 0


def show_slice(axis: Axes, image: np.ndarray, *, sides: bool = False, **options: Any) -> AxesImage:
    """Draw one slice without frame; `sides` marks L and R.

    Parameters
    ----------
    axis
        Where to draw.
    image
        As :func:`cut` returns it.
    sides
        Mark the participant's left and right (axial and coronal slices).
    options
        For ``imshow``; grey and [0, 1] by default.
    """
    defaults = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "bicubic"}
    options = {**defaults, **options}
    drawn = axis.imshow(image, **options)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if sides:
        color = "white" if options["cmap"] == "gray" else "black"
        for text, x in (("L", 0.03), ("R", 0.97)):
            axis.text(
                x, 0.97, text, color=color, fontsize=6.5, va="top",
                ha="left" if text == "L" else "right", transform=axis.transAxes,
            )  # fmt: skip
    return drawn


def difference_limit(*differences: np.ndarray) -> float:
    """Symmetric limit of a difference map's colours: 99.5 % of what differs, at least 0.02."""
    values = np.concatenate([np.abs(d).ravel() for d in differences])
    values = values[values > 1e-4]
    return max(0.02, float(np.quantile(values, 0.995))) if len(values) else 0.02


def difference_colors(limit: float) -> dict[str, Any]:
    """Options of :func:`show_slice` for differences, white at 0 and symmetric."""
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def color_bar(figure: Figure, drawn: AxesImage, axes: Any, label: str, **options: Any) -> None:
    """Colour bar beside the axes; `options` are its size and place."""
    bar = figure.colorbar(drawn, ax=axes, **options)
    bar.set_label(label)
    bar.outline.set_visible(False)
