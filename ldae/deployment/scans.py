"""Scans as a model takes them: voxels on its grid, and the way back to where they came from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ldae.deployment.placement import Placement
from ldae.errors import InputError
from ldae.preprocessing.grid import Image as Volume
from ldae.preprocessing.pipeline import Preprocessed, preprocess_image
from ldae.preprocessing.resampling import grid_affine, study_image
from ldae.preprocessing.scan import Scan, to_native

Image = str | Path | nib.Nifti1Image | Tensor | np.ndarray
"""A scan: a NIfTI file, an image of nibabel, or voxels."""

AFFINE_TOLERANCE = 1e-3
"""Greatest distance between an image's affine and the study grid's, mm."""

LEAST_BACKGROUND = 0.05
"""Share of voxels that are 0 in a brain on a grid; a box around a sphere has half."""

RECORDED = ("registration", "bias_correction", "intensity_percentiles")
"""Settings that the file beside a preprocessed scan may name, and that must be the model's."""

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Grid:
    """Where a model's scans lie, and how they are preprocessed.

    Attributes
    ----------
    config
        Complete settings of the study.
    """

    config: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, D): voxels to the right, to the front and upwards."""
        h, w, d = self.config["grid"]["shape"]
        return int(h), int(w), int(d)

    @property
    def affine(self) -> np.ndarray:
        """From voxel indices to MNI152 space, RAS mm, (4, 4)."""
        return grid_affine(float(self.config["grid"]["spacing_mm"]), self.shape)

    def image(self, values: np.ndarray) -> nib.Nifti1Image:
        """Values (H, W, D) as an image in template space, float32."""
        return study_image(np.asarray(values, np.float32), self.affine)

    def holds(self, image: nib.Nifti1Image) -> bool:
        """Whether an image lies on the grid, in any order of its axes."""
        if len(image.shape) != 3 or sorted(image.shape) != sorted(self.shape):
            return False
        canonical = nib.as_closest_canonical(image)
        return canonical.shape == self.shape and bool(
            np.allclose(canonical.affine, self.affine, rtol=0, atol=AFFINE_TOLERANCE)
        )


@dataclass(frozen=True)
class Opened:
    """A scan on a model's grid.

    Attributes
    ----------
    x
        Intensities in [0, 1], float32 (1, 1, H, W, D).
    kind
        ``raw head``, ``preprocessed brain`` or ``voxels``.
    grid
        The model's.
    placement
        Way back of a raw head; else None.
    source
        The preprocessed image as it was given; else None.
    """

    x: Tensor
    kind: str
    grid: Grid
    placement: Placement | None = None
    source: Scan | None = None

    def own_brain(self, x: np.ndarray) -> nib.Nifti1Image:
        """A decoded brain (H, W, D) in the space, grid and intensities of the scan itself."""
        if self.placement is not None:
            return self.placement.brain_image(x)
        return self._own(x)

    def own_changed(self, change: np.ndarray) -> nib.Nifti1Image:
        """The scan itself with a change (H, W, D) inside the brain added."""
        if self.placement is not None:
            return self.placement.changed_image(change)
        x = self.x[0, 0].numpy() if self.source is None else self.source.image.data
        inside = ndimage.binary_fill_holes(x > 0)
        return self._own(np.where(inside, np.clip(x + change, 0, 1), x))

    def _own(self, values: np.ndarray) -> nib.Nifti1Image:
        if self.source is None:
            return self.grid.image(values)
        return to_native(np.asarray(values, np.float32), self.source)


def open_scan(image: Image, grid: Grid, *, preprocessed: bool | None = None) -> Opened:
    """A scan on the grid of a model.

    Parameters
    ----------
    image
        A raw head in any orientation, which is preprocessed as the study's own were; a brain that
        the study's preprocessing has made; or voxels of one (H, W, D).
    grid
        The model's.
    preprocessed
        Whether the scan is already preprocessed. None decides by the grid: what lies on it is.

    Raises
    ------
    InputError
        If it cannot be read or preprocessed, or was preprocessed otherwise.
    MachineError
        If the machine failed, for want of memory or disk.
    """
    if isinstance(image, Tensor | np.ndarray):
        x = torch.as_tensor(image).float()
        if tuple(x.shape) != grid.shape:
            problem = f"have shape {tuple(x.shape)}, the model's grid is {grid.shape}"
            raise InputError("voxels", problem, "Give (H, W, D)")
        return Opened(check_intensities("voxels", x)[None, None], "voxels", grid)
    given = image if isinstance(image, nib.spatialimages.SpatialImage) else _header(Path(image))
    on_grid = given is not None and grid.holds(given)
    if preprocessed or (preprocessed is None and on_grid):
        return _open_preprocessed(image, given, grid, vouched=bool(preprocessed))
    done = preprocess(image, grid)
    percentiles = grid.config["preprocessing"]["intensity_percentiles"]
    original = done.brain.scan.native if given is None else given
    placement = Placement(done, grid.affine, percentiles, original)
    return Opened(_as_stored(done.volume)[None, None], "raw head", grid, placement)


def preprocess(image: str | Path | nib.Nifti1Image, grid: Grid) -> Preprocessed:
    """Bring a raw T1-weighted head onto the grid, as the study did with its own.

    Raises
    ------
    InputError
        If the scan cannot be preprocessed or exceeds a limit of the study's quality control, or if
        the study took its brain masks from elsewhere.
    MachineError
        If the machine failed.
    """
    from ldae.preprocessing.limits import exceeded_limits

    settings, name = grid.config["preprocessing"], name_of(image)
    if settings["brain_extraction"] == "precomputed":
        raise InputError(
            name,
            "the brain masks of the model's study were not made by its preprocessing",
            "Preprocess it with a study of its own, and use what that makes",
        )
    if isinstance(image, str | Path) and not Path(image).is_file():
        raise InputError(name, "there is no such file", "Name a NIfTI file")
    if isinstance(image, nib.spatialimages.SpatialImage):
        with tempfile.TemporaryDirectory(prefix="ldae-") as folder:
            path = Path(folder) / "image.nii"
            nib.save(nib.Nifti1Image.from_image(image), path)
            done = preprocess_image(path, settings, dict(grid.config["grid"]))
    else:
        done = preprocess_image(Path(image), settings, dict(grid.config["grid"]))
    measures = {k: v if np.isfinite(v) else None for k, v in done.measures.items()}
    exceeded = exceeded_limits(measures, grid.config["quality"])
    if exceeded:
        problem = f"it would be excluded from the model's study ({'; '.join(exceeded)})"
        raise InputError(name, problem, "Look at the scan: it may be no whole T1w head")
    return done


def name_of(image: Image) -> str:
    """Name of a scan in messages."""
    if isinstance(image, str | Path):
        return str(image)
    if isinstance(image, nib.spatialimages.SpatialImage):
        return str(image.get_filename() or "image")
    return "voxels"


def _header(path: Path) -> nib.Nifti1Image | None:
    """A file's image, its values unread; None where the preprocessing will say what is wrong."""
    try:
        image = nib.load(path)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError):
        return None
    return image if isinstance(image, nib.Nifti1Image) else None  # NIfTI-2 is one too


def _open_preprocessed(
    image: str | Path | nib.Nifti1Image,
    given: nib.Nifti1Image | None,
    grid: Grid,
    *,
    vouched: bool,
) -> Opened:
    """A brain that lies on the grid, if it is what the study's preprocessing makes."""
    name = name_of(image)
    if given is None:
        problem = "it cannot be read as NIfTI, or there is no such file"
        raise InputError(name, problem, "Name a .nii or .nii.gz file")
    if not grid.holds(given):
        lies = (
            "elsewhere in space" if sorted(given.shape) == sorted(grid.shape) else "on another grid"
        )
        problem = f"it has shape {given.shape} and lies {lies} than the model's {grid.shape}"
        raise InputError(name, problem, "Give the raw head: it is preprocessed as the study's were")
    if isinstance(image, str | Path):
        _check_record(Path(image), grid)
    canonical = nib.as_closest_canonical(given)
    try:
        values = np.asarray(canonical.dataobj, np.float32)
    except (OSError, EOFError, ValueError) as error:
        problem = f"its data cannot be read ({error})"
        raise InputError(name, problem, "Copy or convert it again") from error
    x = check_intensities(name, torch.from_numpy(values))
    if not vouched and float((x == 0).float().mean()) < LEAST_BACKGROUND:
        problem = "it lies on the model's grid but is not 0 outside the brain"
        remedy = "Give the raw head; or, if it is one (--raw) or a brain all the same, say so"
        raise InputError(name, problem, remedy)
    source = Scan(Volume(values, canonical.affine), given)
    return Opened(_as_stored(values)[None, None], "preprocessed brain", grid, None, source)


def _check_record(path: Path, grid: Grid) -> None:
    """Refuse a brain whose own record names other settings than the model's."""
    beside = path.with_name(f"{stem_of(path)}.json")
    if not beside.is_file():
        return
    try:
        record = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError:
        return
    settings = grid.config["preprocessing"]
    record = record | record.get("preprocessing", {}) if isinstance(record, dict) else {}
    for key in RECORDED:
        if key in record and record[key] != settings[key]:
            problem = (
                f"it was preprocessed with {key} {json.dumps(record[key])}, the scans of the "
                f"model with {json.dumps(settings[key])} (says {beside.name})"
            )
            raise InputError(path, problem, "Give the raw head, or use a model of the same study")


def stem_of(path: Path) -> str:
    """Name of a NIfTI file without its extension."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def check_intensities(name: str, x: Tensor) -> Tensor:
    """Scans as they are, if their intensities are in [0, 1].

    Raises
    ------
    InputError
        If they are not.
    """
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise InputError(
            name,
            f"its intensities lie from {float(x.min()):g} to {float(x.max()):g}, not in [0, 1], "
            "so it was not preprocessed as the model's scans were",
            "Give the raw head",
        )
    return x


def _as_stored(values: np.ndarray) -> Tensor:
    """Voxels as a study keeps them: in half precision."""
    return torch.from_numpy(values.astype(np.float16).astype(np.float32))
