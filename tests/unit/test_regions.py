"""Volumes of drawn structures are found, whatever the scanner's contrast."""

from __future__ import annotations

import numpy as np
import pytest

from ldae.evaluation.regions import measure_regions, region_atlas, tissue_means
from ldae.preprocessing.grid import Image, antialias, resample_affine
from ldae.preprocessing.resampling import grid_affine
from ldae.preprocessing.template import load_template

SHAPE, SPACING_MM = (40, 48, 40), 4.0
SIGNALS = ((0.2, 0.6, 0.9), (0.1, 0.45, 0.7))


def on_grid(values: np.ndarray) -> np.ndarray:
    """A map of the template on the study's grid."""
    image = antialias(Image(values.astype(np.float32), load_template().affine), SPACING_MM)
    affine = grid_affine(SPACING_MM, SHAPE)
    return resample_affine(image, np.eye(4), SHAPE, affine, order=1)


@pytest.fixture(scope="module")
def tissues() -> tuple[np.ndarray, ...]:
    """Fluid, grey and white matter of the template on the study's grid, and its brain."""
    template = load_template()
    inside, grey, white = map(on_grid, (template.mask, template.grey, template.white))
    return np.clip(inside - grey - white, 0, 1), grey, white, inside > 0.5


@pytest.fixture(scope="module")
def atlas():  # type: ignore[no-untyped-def]
    return region_atlas(SHAPE, grid_affine(SPACING_MM, SHAPE))


def draw(
    tissues: tuple[np.ndarray, ...], signal: tuple[float, ...], grown: float = 0.0
) -> np.ndarray:
    """A head of the template's tissues; `grown` of the tissue inside the ventricles' region turned
    to fluid."""
    fluid, grey, white, brain = tissues
    noise = 0.02 * np.random.default_rng(0).normal(size=SHAPE)
    image = fluid * signal[0] + grey * signal[1] + white * signal[2]
    region = region_atlas(SHAPE, grid_affine(SPACING_MM, SHAPE)).ventricles
    image = image + grown * region * (signal[0] - image)
    return np.clip((image + noise) * brain, 0, 1)


def test_means_of_a_mixture_are_found() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 6000)
    truth = np.array([0.2, 0.55, 0.85])
    values = truth[kind] + 0.04 * rng.normal(size=6000)
    prior = np.full((6000, 3), 0.2)
    prior[np.arange(6000), kind] = 0.6
    np.testing.assert_allclose(tissue_means(values, prior), truth, atol=0.01)


def test_tissues_of_the_template_are_measured(tissues, atlas) -> None:  # type: ignore[no-untyped-def]
    x, mask = draw(tissues, SIGNALS[0]), tissues[3]
    volumes = measure_regions(x[None], mask[None], atlas)
    true_grey = (tissues[1] * mask).sum() * SPACING_MM**3 / 1000
    assert volumes["grey"][0] == pytest.approx(true_grey, rel=0.2)
    assert 10 < volumes["ventricles"][0] < 26  # the template's have 17 ml
    sides = volumes["hippocampus_left"][0] + volumes["hippocampus_right"][0]
    assert volumes["hippocampi"][0] == pytest.approx(sides)
    assert volumes["brain"][0] == pytest.approx(volumes["grey"][0] + volumes["white"][0])


def test_growth_of_the_ventricles_is_measured_and_contrast_is_not(tissues, atlas) -> None:  # type: ignore[no-untyped-def]
    mask = tissues[3]
    for signal in SIGNALS:
        x = np.stack([draw(tissues, signal, grown) for grown in (0.0, 0.1, 0.2)])
        volume = measure_regions(x, np.repeat(mask[None], 3, 0), atlas)["ventricles"]
        assert (np.diff(volume) > 1).all()
    first = [
        measure_regions(draw(tissues, s)[None], mask[None], atlas)["ventricles"][0] for s in SIGNALS
    ]
    assert first[0] == pytest.approx(first[1], rel=0.1)


def test_regions_do_not_overlap_and_have_two_sides(atlas) -> None:  # type: ignore[no-untyped-def]
    # shares of a voxel: two regions may meet in one, but not hold more than all of it
    assert (atlas.ventricles + atlas.hippocampus_left).max() < 1 + 1e-6
    left, right = (
        np.argwhere(h > 0.25)[:, 0] for h in (atlas.hippocampus_left, atlas.hippocampus_right)
    )
    assert left.max() < right.min()
    assert abs(len(left) - len(right)) <= 2
