"""ANTs, where antspyx is installed: SyN, and N4 as ANTs runs it.

SyN: Avants et al. 2008, Medical Image Analysis 12, 26-41. antspyx is in the environment of the
preprocessing alone (envs/preprocess.lock) and imported only where a setting asks for it.

ITK reads NIfTI files itself; of its own files only the field of displacements has to be converted,
because ITK's millimetres run to the left and to the back (LPS).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.errors import MachineError
from ldae.preprocessing.grid import Image

Float = NDArray[np.floating]

LPS = np.array([-1.0, -1.0, 1.0])  # RAS to LPS, and back
SEED = 1  # of ANTs; with one thread and dense sampling nothing is drawn, the seed makes sure of it
# Cross-correlation in cubes of 9 voxels, as in ANTs' own antsRegistrationSyN.sh; step and smoothing
# of the field, and 40 and 20 iterations, as in antspyx, but at 2 and 1 times the working spacing:
# the finest level counts (docs/tried/preprocessing.md).
METRIC = "CC[{fixed},{moving},1,4]"
TRANSFORM = "SyN[0.2,3,0]"
CONVERGENCE = "[40x20,1e-6,10]"
SHRINK_FACTORS = "2x1"
SMOOTHING = "1x0vox"

AGAIN = (
    "Give the job more memory or disk, and start again. If it fails again, look at the scan, and "
    "leave it out of the cohort's tables"
)


def register_syn(fixed: Image, moving: Image) -> Image:
    """Displacement of SyN between two images on one grid.

    Parameters
    ----------
    fixed, moving
        Template, and the scan brought onto its grid by the affine, (H, W, D).

    Returns
    -------
    Image
        Displacements u in mm (RAS), float32 (H, W, D, 3): the point p of `fixed` corresponds to the
        point p + u(p) of `moving`.

    Raises
    ------
    MachineError
        If ANTs fails: it does not say whether memory, disk or the images are to blame.
    """
    import ants

    with tempfile.TemporaryDirectory() as folder:
        paths = {name: str(Path(folder) / f"{name}.nii.gz") for name in ("fixed", "moving")}
        for name, image in (("fixed", fixed), ("moving", moving)):
            nib.save(nib.Nifti1Image(image.data.astype(np.float32), image.affine), paths[name])
        arguments = {
            "dimensionality": "3",
            "float": "1",
            "random-seed": str(SEED),
            "metric": METRIC.format(**paths),
            "transform": TRANSFORM,
            "convergence": CONVERGENCE,
            "shrink-factors": SHRINK_FACTORS,
            "smoothing-sigmas": SMOOTHING,
            "output": str(Path(folder) / "syn_"),
        }
        words = [word for key, value in arguments.items() for word in (f"--{key}", value)]
        try:
            ants.registration(words, None)  # the arguments of antsRegistration as they are
        except RuntimeError as error:
            raise MachineError("SyN of ANTs", str(error), AGAIN) from error
        return read_itk_field(Path(folder) / "syn_0Warp.nii.gz")


def read_itk_field(path: Path) -> Image:
    """Field of displacements that ITK has written, in RAS mm, float32 (H, W, D, 3)."""
    image = nib.Nifti1Image.from_filename(path)
    vectors = np.asarray(image.dataobj)[:, :, :, 0]  # the file has room for time as well
    return Image((vectors * LPS).astype(np.float32), np.asarray(image.affine, dtype=float))


def fit_field(data: Float) -> Float:
    """Bias field of a head by N4 with the defaults of ANTs: four levels of 50 iterations.

    Parameters
    ----------
    data
        Intensities without negative values, (H, W, D).

    Returns
    -------
    Factor by which each voxel is too bright, (H, W, D).

    Raises
    ------
    MachineError
        If ANTs fails.
    """
    import ants

    image = ants.from_numpy(np.ascontiguousarray(data, dtype=np.float32))
    field: Float = ants.n4_bias_field_correction(image, return_bias_field=True).numpy()
    if not (field > 0).all() or np.array_equal(field, image.numpy()):  # it reports no failure
        raise MachineError("N4 of ANTs", "it found no field", AGAIN)
    return field
