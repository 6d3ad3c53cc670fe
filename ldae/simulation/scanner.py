"""Simulated scanners: contrast, coil shading, noise, voxel size, orientation and head pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ldae.simulation.anatomy import TISSUES, Anatomy, State, tissue_at
from ldae.simulation.population import STREAM_SITE, random_stream
from ldae.simulation.sampling import (
    Array,
    chain,
    grid_points,
    mix,
    move_points,
    refine_linear,
    sample_linear,
    settle,
)
from ldae.simulation.settings import SimulationSettings
from ldae.simulation.template import HEAD_MAPS, HeadTemplate

# Field of view, mm (x, y, z), as in an adult head scan that includes part of the neck.
FIELD_OF_VIEW_MM = (192.0, 236.0, 228.0)
# Centre of the field in the participant's frame (close to MNI): slightly below the brain's centre.
FIELD_CENTRE_MM = (0.0, -14.0, -14.0)

# Signal in MPRAGE at 3 T, relative to white matter (order of magnitude).
SIGNAL = {
    "ventricles": 0.20, "fluid": 0.22, "white": 0.92, "grey": 0.64, "hippocampus": 0.60,
    "cortex": 0.60, "muscle": 0.46, "fat": 1.05, "humour": 0.16,
}  # fmt: skip
SCAN_SIGNAL_LOG_SD = 0.01  # tissue signals vary by about 1 % between scans of a site
GAIN_RANGE = (150.0, 1500.0)  # signal of white matter, arbitrary units
NOISE_RANGE = (0.018, 0.028)  # SD, relative to white matter
BIAS_LOG_SD = (0.04, 0.08)  # SD of the log of the coil shading's coefficients
ORIENTATIONS = ("RAS", "LPS", "PSR")
# Voxel size relative to the cohort's spacing in x, y, z: isotropic; thick slices; thin slices.
VOXEL_RATIOS = ((1.0, 1.0, 1.0), (0.98, 0.98, 1.04), (1.04, 0.98, 0.98))
# SD per axis of the head's pose in the scanner.
ROTATION_SD_DEGREES = 3.0
TRANSLATION_SD_MM = 3.0
# Grid spacing at which the mapping from scanner to template is computed, mm.
MAPPING_STEP_MM = 8.0


@dataclass(frozen=True)
class Site:
    """Properties of one site's scanner.

    Parameters
    ----------
    signal
        Signal of each tissue in `SIGNAL`, arbitrary units, shape (9,).
    noise
        SD of the noise in each of the two channels, in the units of `signal`.
    bias
        Coefficients (9,) of the log of the coil shading: x, y, z, xx, yy, zz, xy, xz, yz over the
        field of view.
    voxel_mm
        Voxel size in x, y, z.
    orientation
        Axis codes of the stored image, e.g. "LPS".
    """

    signal: NDArray[np.float64]
    noise: float
    bias: NDArray[np.float64]
    voxel_mm: tuple[float, float, float]
    orientation: str


def draw_site(settings: SimulationSettings, seed: int, number: int) -> Site:
    """Scanner of one site; depends only on settings, seed and the site's number."""
    spacing_mm = settings.spacing_mm
    rng = random_stream(seed, STREAM_SITE, number)
    gain = np.exp(rng.uniform(*np.log(GAIN_RANGE)))
    signal = np.array(list(SIGNAL.values())) * np.exp(settings.contrast_sd * rng.standard_normal(9))
    ratio = VOXEL_RATIOS[number % len(VOXEL_RATIOS)]
    return Site(
        signal=settle(gain * signal),
        noise=round(float(gain * rng.uniform(*NOISE_RANGE)), 4),
        bias=rng.standard_normal(9) * rng.uniform(*BIAS_LOG_SD),
        voxel_mm=(spacing_mm * ratio[0], spacing_mm * ratio[1], spacing_mm * ratio[2]),
        orientation=ORIENTATIONS[number % len(ORIENTATIONS)],
    )


@dataclass(frozen=True)
class RawScan:
    """Raw head image with its ground truth, axes in RAS order.

    Parameters
    ----------
    image
        (X, Y, Z) int16, arbitrary units.
    tissue
        (X, Y, Z, 6) fractions in [0, 1], in the order of `TISSUES`.
    affine
        (4, 4) voxel to scanner mm.
    pose
        (4, 4) scanner mm to the participant's own frame, mm.
    """

    image: NDArray[np.int16]
    tissue: Array
    affine: NDArray[np.float64]
    pose: NDArray[np.float64]


def acquire_scan(
    template: HeadTemplate, anatomy: Anatomy, state: State, site: Site, rng: np.random.Generator
) -> RawScan:
    """Raw head image of a participant at one visit, from the scanner of a site.

    Parameters
    ----------
    template
        The template head.
    anatomy
        The participant's healthy anatomy.
    state
        State of the brain at this visit.
    site
        The scanner.
    rng
        Generator for the pose, the contrast, the shading and the noise of this scan.
    """
    voxel = np.array(site.voxel_mm)
    shape = tuple(round(f / v) for f, v in zip(FIELD_OF_VIEW_MM, voxel, strict=True))
    affine = np.diag([*voxel, 1.0])
    affine[:3, 3] = -voxel * (np.array(shape) - 1) / 2
    angles = np.deg2rad(ROTATION_SD_DEGREES) * rng.standard_normal(3)
    pose = np.eye(4)
    pose[:3, :3] = _rotation(angles)
    pose[:3, 3] = np.array(FIELD_CENTRE_MM) + TRANSLATION_SD_MM * rng.standard_normal(3)

    voxels = grid_points((shape[0], shape[1], shape[2]))
    # The mapping to the template is smooth: computed on a coarse grid and interpolated.
    step = np.maximum(1.0, MAPPING_STEP_MM / voxel)  # in voxels
    nx, ny, nz = (int(n) for n in np.ceil((np.array(shape) - 1) / step) + 1)
    nodes = grid_points((nx, ny, nz))
    to_head = chain(pose, affine, np.diag([*step, 1.0]))
    coarse = anatomy.to_template(move_points(to_head, nodes))
    fine = refine_linear(coarse.reshape(nx, ny, nz, 3), (shape[0], shape[1], shape[2]), 1 / step)
    places = fine.reshape(-1, 3)

    body = np.flatnonzero(template.is_body(places))
    head = np.zeros((len(places), len(HEAD_MAPS)), np.float32)
    head[body] = sample_linear(template.head, template.to_voxels(places[body]))
    inside = np.flatnonzero(head[:, 0] > 0)
    tissue = np.zeros((len(head), len(TISSUES)), np.float32)
    tissue[inside] = tissue_at(template, places[inside], state)

    tone = np.exp(SCAN_SIGNAL_LOG_SD * rng.standard_normal(9))
    signal = settle(site.signal * tone)
    clean = mix(tissue, signal[:6]) + mix(head[:, 1:], signal[6:])
    clean *= _shading(voxels, shape, site.bias + 0.02 * rng.standard_normal(9))
    noise = np.float32(site.noise) * rng.standard_normal((2, len(clean)), dtype=np.float32)
    # Rician noise: magnitude of a complex signal with Gaussian noise in both channels.
    image = np.sqrt(np.square(clean + noise[0]) + np.square(noise[1]))
    return RawScan(
        image=np.round(np.clip(image, 0, np.iinfo(np.int16).max)).astype(np.int16).reshape(shape),
        tissue=tissue.reshape(*shape, len(TISSUES)),
        affine=affine,
        pose=pose,
    )


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) about x, then y, then z; angles in radians, (3,)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return settle(chain(about_z, about_y, about_x), 2.0**-30)


def _shading(voxels: Array, shape: tuple[int, ...], weights: NDArray[np.float64]) -> Array:
    """Multiplicative field (N,) whose log is quadratic over the field of view."""
    x, y, z = (voxels / (np.array(shape, np.float32) - 1) * 2 - 1).T
    terms = (x, y, z, x * x, y * y, z * z, x * y, x * z, y * z)
    log = np.zeros(len(voxels), np.float32)
    for weight, term in zip(weights, terms, strict=True):
        log += np.float32(weight) * term
    # In double precision, so that single precision hides in what bits processors differ.
    return np.exp(log.astype(np.float64)).astype(np.float32)
