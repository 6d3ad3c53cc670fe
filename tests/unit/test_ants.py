"""ANTs: its fields in our coordinates, their inverse, and, where it is installed, itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from head_toy import make_head

from ldae.deployment.placement import unwarp
from ldae.preprocessing.ants import fit_field, read_itk_field
from ldae.preprocessing.grid import Image, grid_points, sample
from ldae.preprocessing.registration import DEFORMABLE, register_deformable
from ldae.preprocessing.template import head_template

HAS_ANTS = find_spec("ants") is not None
needs_ants = pytest.mark.skipif(
    not HAS_ANTS, reason="antspyx is in the environment of the preprocessing alone"
)

SHAPE = (20, 22, 18)
AFFINE = np.array([[-4.0, 0, 0, 40], [0, 3, 0, -30], [0, 0, 5, -20], [0, 0, 0, 1]])
"""A grid whose first axis runs to the left."""


def displaced(points: np.ndarray, pull: float) -> np.ndarray:
    """Displacements in mm with a slope of up to `pull` per axis, 0 far from the middle."""
    away = points - grid_points(SHAPE, AFFINE).reshape(-1, 3).mean(0)
    return pull * away * np.exp(-np.square(away).sum(-1, keepdims=True) / (2 * 12**2))


def test_a_field_of_itk_moves_points_as_itk_does(tmp_path: Path) -> None:
    expected = displaced(grid_points(SHAPE, AFFINE), 0.4) + np.array([0.5, -1.0, 2.0])
    lps = np.diag([-1.0, -1.0, 1.0])
    field = sitk.GetImageFromArray(np.swapaxes(expected @ lps, 0, 2), isVector=True)
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    field.SetSpacing(spacing.tolist())
    field.SetDirection((lps @ AFFINE[:3, :3] / spacing).ravel().tolist())
    field.SetOrigin((lps @ AFFINE[:3, 3]).tolist())
    sitk.WriteImage(field, tmp_path / "syn_0Warp.nii.gz")
    found = read_itk_field(tmp_path / "syn_0Warp.nii.gz")
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    np.testing.assert_allclose(found.data, expected, atol=1e-5)
    point = np.array([7.0, -3.0, 11.0])
    moved = lps @ sitk.DisplacementFieldTransform(field).TransformPoint((lps @ point).tolist())
    own = [sample(Image(found.data[..., k], AFFINE), point[None], order=1)[0] for k in range(3)]
    np.testing.assert_allclose(point + own, moved, atol=1e-4)


@pytest.mark.parametrize("pull", [0.5, -0.8, 1.6, 2.1])
def test_fields_are_inverted_where_they_stretch_by_more_than_the_distance(pull: float) -> None:
    warp = Image(displaced(grid_points(SHAPE, AFFINE), pull), AFFINE)
    inside = np.random.default_rng(0).uniform(0.25, 0.75, (200, 3)) * np.array(SHAPE)
    points = inside @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    found = unwarp(points, warp)
    shift = [sample(Image(warp.data[..., k], AFFINE), found, order=1) for k in range(3)]
    assert np.linalg.norm(found + np.stack(shift, -1) - points, axis=-1).max() < 0.1  # mm


@needs_ants
def test_syn_brings_the_scan_closer_and_back_the_same_every_time() -> None:
    head, brain, truth = make_head(5, bias=0.0)
    off = truth @ np.diag([1.06, 0.95, 1.04, 1.0])  # an affine error that the field has to undo
    warp, again = (register_deformable(head, brain, off, 4.0, "syn") for _ in range(2))
    assert np.array_equal(warp.data, again.data)
    template = head_template(4.0)
    points = np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3]

    def likeness(field: Image | None) -> float:
        there = points
        if field is not None:
            shift = [
                sample(Image(field.data[..., k], field.affine), points, order=1) for k in (0, 1, 2)
            ]
            there = points + np.stack(shift, -1)
            assert np.abs(unwarp(there, field) - points).max() < 0.5
        values = sample(head, there @ off[:3, :3].T + off[:3, 3], order=1)
        return float(np.corrcoef(values, template.t1[template.mask])[0, 1])

    assert likeness(warp) > likeness(None) + 0.02
    assert likeness(warp) > likeness(register_deformable(head, brain, off, 4.0, DEFORMABLE[0]))


@needs_ants
def test_n4_of_ants_finds_the_field_that_was_put_in() -> None:
    flat, brain, _ = make_head(6, bias=0.0)
    biased, _, _ = make_head(6, bias=0.3)
    put_in = np.log(biased.data[brain] / flat.data[brain])
    found = np.log(fit_field(biased.data)[brain] / fit_field(flat.data)[brain])
    assert np.corrcoef(put_in, found)[0, 1] > 0.8
