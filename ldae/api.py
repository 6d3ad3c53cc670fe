"""Trained models for other programs: load a finished study, encode scans.

>>> import ldae
>>> model = ldae.load("results")
>>> y = model.encode(model.preprocess("sub-01_T1w.nii.gz"))
>>> y.shape
(96,)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor

from ldae.data.addresses import Derivative, derivative_address
from ldae.errors import InputError
from ldae.methods import Method, study_methods, study_variants
from ldae.preprocessing.pipeline import grid_affine, preprocess_batch
from ldae.preprocessing.quality import exceeded_limits
from ldae.references import resolve

Image = str | Path | nib.Nifti1Image | Tensor | np.ndarray
"""A scan: a NIfTI file, an image of nibabel, or voxels."""

# Greatest distance between an image's affine and the study grid's, mm.
AFFINE_TOLERANCE = 1e-3


class Model:
    """A trained model of a finished study.

    Parameters
    ----------
    method
        The method of the study.
    encoder
        Its semantic encoder: y (B, dim) of scans x (B, 1, H, W, D) in [0, 1].
    config
        Complete settings of the study.
    device
        Where the encoder is.
    """

    def __init__(
        self,
        method: Method,
        encoder: Callable[[Tensor], Tensor],
        config: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.method = method
        self.config = config
        self.device = device
        self._encoder = encoder

    def __repr__(self) -> str:
        name, device = self.method.name, str(self.device)
        return f"{type(self).__name__}(method={name!r}, shape={self.shape}, device={device!r})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid (H, W, D) of the scans, voxels to the right, to the front and upwards."""
        h, w, d = self.config["grid"]["shape"]
        return int(h), int(w), int(d)

    @cached_property
    def affine(self) -> np.ndarray:
        """From voxel indices of the grid to MNI152 space, RAS mm, (4, 4)."""
        return grid_affine(float(self.config["grid"]["spacing_mm"]), self.shape)

    @torch.inference_mode()
    def encode(self, image: Image) -> np.ndarray:
        """Semantic code of a preprocessed scan, or of several.

        Parameters
        ----------
        image
            A NIfTI file or image on the study's grid, as :meth:`preprocess` and the study's own
            preprocessing make it; or voxels of one scan (H, W, D), or of several (B, 1, H, W, D).
            Intensities are in [0, 1], and 0 outside the brain.

        Returns
        -------
        numpy.ndarray
            float32 (dim,) of one scan, (B, dim) of several. Codes of the study's scans are those in
            its folder ``codes`` but for rounding.

        Raises
        ------
        InputError
            If the image cannot be read, lies on another grid or has other intensities.
        """
        x = _check_intensities(self._voxels(image))
        y = self._encoder(x.reshape(-1, 1, *self.shape).to(self.device))
        codes: np.ndarray = y.float().cpu().numpy()
        return codes[0] if x.ndim == 3 else codes

    def preprocess(self, path: str | Path) -> nib.Nifti1Image:
        """Bring a raw T1-weighted head onto the study's grid, as the study did with its own.

        SimpleITK works with one thread in this process from then on: it gives the same bits every
        time.

        Parameters
        ----------
        path
            NIfTI file.

        Returns
        -------
        nibabel.Nifti1Image
            float32 intensities in [0, 1], 0 outside the brain.

        Raises
        ------
        InputError
            If the scan cannot be preprocessed or exceeds a limit of the study's quality control, or
            if the study took its brain masks from elsewhere.
        MachineError
            If the machine failed, for want of memory or disk.
        """
        settings = self.config["preprocessing"]
        if settings["brain_extraction"] == "precomputed":
            raise InputError(
                path,
                "the study's brain masks were not made by its preprocessing",
                "Preprocess it with a study of its own, and encode what that makes",
            )
        if not Path(path).is_file():
            problem = "it cannot be preprocessed: there is no such file"
            raise InputError(path, problem, "Name a NIfTI file")
        image, measures = _preprocess(Path(path), settings, self.config["grid"])
        exceeded = exceeded_limits(measures, self.config["quality"])
        if exceeded:
            problem = f"it would be excluded from the study ({'; '.join(exceeded)})"
            raise InputError(path, problem, "Look at the scan: it may be no whole T1w head")
        return image

    def _voxels(self, image: Image) -> Tensor:
        """Scans as float32, (H, W, D) or (B, 1, H, W, D)."""
        if isinstance(image, Tensor | np.ndarray):
            x = torch.as_tensor(image).float()
            if tuple(x.shape) != self.shape and tuple(x.shape[1:]) != (1, *self.shape):
                problem = f"have shape {tuple(x.shape)}, the study's grid is {self.shape}"
                raise InputError("voxels", problem, "Give (H, W, D), or (B, 1, H, W, D)")
            return x
        nifti = nib.as_closest_canonical(image if isinstance(image, _Nifti) else _read(image))
        name = nifti.get_filename() or "image"
        remedy = "Of a raw head, encode model.preprocess(path)"
        if nifti.shape != self.shape:
            problem = f"it has shape {nifti.shape}, the study's grid is {self.shape}"
            raise InputError(name, problem, remedy)
        if not np.allclose(nifti.affine, self.affine, rtol=0, atol=AFFINE_TOLERANCE):
            raise InputError(name, "it lies elsewhere in space than the study's grid", remedy)
        # the study keeps its scans in half precision
        return torch.from_numpy(np.asarray(nifti.dataobj, np.float16).astype(np.float32))


def load(
    path: str | Path,
    method: str = "ldae",
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
) -> Model:
    """Load a trained model from the results of a finished study.

    Parameters
    ----------
    path
        Folder of the results: it holds ``config.yaml`` and the folder of the method's network.
    method
        A method with a semantic code: ``ldae``, ``ldae_anatomical``, ``voxel_dae``, ``supervised``,
        or an ablation of one of them.
    seed
        Training seed; by default the first of the study.
    device
        Where to compute, such as ``cuda``.

    Raises
    ------
    InputError
        If the folder holds no study, or the study no such model.
    """
    config = _read_settings(Path(path))
    coded = {m.name: m for m in study_methods(config).coded().values() if m.network}
    if method not in coded:
        remedy = f"Choose one of {', '.join(coded)}"
        raise InputError(method, "the study has no encoder of this name", remedy)
    chosen = coded[method]
    variant = study_variants(config)[str(chosen.network)]
    seed = config["training_seeds"][0] if seed is None else seed
    weights = Path(path) / variant.name / f"seed-{seed}" / "model.safetensors"
    if not weights.is_file():
        seeds = ", ".join(map(str, config["training_seeds"]))
        remedy = f"Run the study to its end; its training seeds are {seeds}"
        raise InputError(weights, "there are no such weights", remedy)
    place = torch.device(device)
    encoder = resolve(str(variant.network.encoder))(weights, place)
    return Model(chosen, encoder, config, place)


def _read_settings(folder: Path) -> dict[str, Any]:
    """Complete settings of a study."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise InputError(folder, "it holds no study (no config.yaml)", "Name a results folder")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


_Nifti = nib.spatialimages.SpatialImage


def _read(path: str | Path) -> nib.Nifti1Image:
    """An image from its file."""
    try:
        return nib.Nifti1Image.from_filename(path)
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        problem = f"it cannot be read as NIfTI ({error})"
        raise InputError(path, problem, "Name a .nii or .nii.gz file") from error


def _check_intensities(x: Tensor) -> Tensor:
    """Scans as they are, if their intensities are in [0, 1]."""
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise InputError(
            "intensities",
            f"they lie from {float(x.min()):g} to {float(x.max()):g}, not in [0, 1]",
            "Encode what model.preprocess(path) returns, or scale them in the same way",
        )
    return x


def _preprocess(
    path: Path, settings: dict[str, Any], grid: dict[str, Any]
) -> tuple[nib.Nifti1Image, dict[str, float | None]]:
    """A raw head on the study's grid, and its measures of quality."""
    name = "sub-scan"
    row = {"scan": name, "subject": name, "session": "", "path": path.name}
    with tempfile.TemporaryDirectory(prefix="ldae-") as folder:
        out, scans = Path(folder), pd.DataFrame([row])
        outcome = preprocess_batch(scans, path.absolute().parent, out, settings, grid, 0).iloc[0]
        if outcome["reason"]:
            problem = f"it cannot be preprocessed ({outcome['reason']})"
            raise InputError(path, problem, "Correct the scan")
        sidecar = (out / derivative_address(name, Derivative.SIDECAR)).read_text(encoding="utf-8")
        kept = nib.Nifti1Image.from_filename(out / derivative_address(name, Derivative.VOLUME))
        image = nib.Nifti1Image(np.asarray(kept.dataobj, np.float32), kept.affine, kept.header)
    return image, json.loads(sidecar)["measures"]
