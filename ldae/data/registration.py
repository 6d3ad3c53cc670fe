"""Registration of scans that lie on one grid already."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

ITERATIONS = 12
FIELD_SIGMA = 1.0
"""Smoothing of the displacement after each step, voxels."""


def register(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displacement that leads from points of `fixed` to those of `moving`.

    Diffeomorphic demons (Vercauteren et al. 2009, NeuroImage 45:S61-S72).

    Parameters
    ----------
    fixed, moving
        Scans, (H, W, D).

    Returns
    -------
    numpy.ndarray
        (3, H, W, D), voxels.
    """
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)  # with more, sums are taken in another order
    demons.SetNumberOfIterations(ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(FIELD_SIGMA)
    # SimpleITK's axes are those of the array in reverse; so are the field's components.
    field = demons.Execute(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving))
    displacement = np.moveaxis(sitk.GetArrayFromImage(field)[..., ::-1], -1, 0)
    return np.ascontiguousarray(displacement, np.float32)
