"""Synthetic heads: the template with skull and scalp, moved, with a bias field and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ldae.preprocessing.grid import Image, apply_affine, grid_points, resample_affine, smooth
from ldae.preprocessing.template import load_template

SHAPE, SPACING = (50, 60, 56), 4.0


def affine_of(seed: int) -> np.ndarray:
    """A head's affine from template to scan: smaller than the template, turned and moved."""
    rng = np.random.default_rng(seed)
    turn = rng.uniform(-0.15, 0.15, 3)
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.array([[1, 0, 0], [0, cos[0], -sin[0]], [0, sin[0], cos[0]]])
    y = np.array([[cos[1], 0, sin[1]], [0, 1, 0], [-sin[1], 0, cos[1]]])
    z = np.array([[cos[2], -sin[2], 0], [sin[2], cos[2], 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = x @ y @ z @ np.diag(rng.uniform(0.86, 0.98, 3))
    matrix[:3, 3] = rng.uniform(-12, 12, 3)
    return matrix


def make_head(seed: int, bias: float = 0.25) -> tuple[Image, np.ndarray, np.ndarray]:
    """Synthetic head at 4 mm with skull, scalp, bias field and noise; its brain; its affine."""
    rng = np.random.default_rng(seed)
    truth = affine_of(seed)
    affine = np.diag([SPACING] * 3 + [1.0])
    affine[:3, 3] = [-98.0, -140.0, -110.0]
    template = load_template()
    inverse = np.linalg.inv(truth)

    def carry(values: np.ndarray) -> np.ndarray:
        coarse = smooth(Image(values, template.affine), 3.5)
        return resample_affine(coarse, inverse, SHAPE, affine, order=1)

    brain = carry(template.mask) > 0.5
    outside = ndimage.distance_transform_edt(~brain, sampling=SPACING)
    points = apply_affine(inverse, grid_points(SHAPE, affine))
    head = carry(template.t1) * brain + 0.05
    head[(outside > 5.5) & (outside < 13) & (points[..., 2] > -40)] = 0.9
    neck = (points[..., 2] < -40) & (np.abs(points[..., 0]) < 55) & (np.abs(points[..., 1]) < 75)
    head[neck & ~brain & (outside > 5)] = 0.5
    head[(outside > 13) & ~neck] = 0.0
    field = np.exp(bias * np.sin(points[..., 0] / 60 + seed) * np.cos(points[..., 1] / 70))
    noisy = np.abs(head * field + rng.normal(0, 0.02, SHAPE))
    return Image((400 * noisy).astype(np.float32), affine), brain, truth
