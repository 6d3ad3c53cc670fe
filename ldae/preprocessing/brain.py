"""Brain extraction: the template's mask, deepbet, a precomputed mask, or an external program."""

from __future__ import annotations

import subprocess
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from ldae.errors import InputError
from ldae.packages import PROGRAMS, check_program
from ldae.preprocessing.blame import is_short_of_memory, killed_by_scan, machine_error, name_end
from ldae.preprocessing.grid import Image, resample_affine
from ldae.preprocessing.masks import one_body
from ldae.preprocessing.registration import register_head
from ldae.preprocessing.scan import Scan, read_image
from ldae.preprocessing.template import load_template

if TYPE_CHECKING:
    from deepbet.bet import BrainExtraction

Mask = NDArray[np.bool_]
Float = NDArray[np.floating]

METHODS = ("template", "deepbet", "precomputed", "synthstrip", "hdbet")

# deepbet's second network sees the brain's box at this size; its own default is 256. At 192 the
# Dice against IXI's reference masks stays the same and the time falls to a third; at 160 Dice falls
# by 0.01 (docs/tried/preprocessing.md).
DEEPBET_SIZE = (192, 192, 192)
DEEPBET_THRESHOLD = 0.5  # deepbet's default

# Positions in the headers of a scan and of its mask may differ by rounding (mm).
AFFINE_TOLERANCE_MM = 0.01


def check_method(method: str) -> None:
    """Check that a brain extraction can run on this machine.

    Raises
    ------
    InputError
        If the method is unknown, or its package or command is not installed.
    """
    key = "preprocessing.brain_extraction"
    if method not in METHODS:
        raise InputError(key, f"'{method}' is unknown", f"Choose one of {', '.join(METHODS)}.")
    if method == "deepbet" and find_spec("deepbet") is None:
        raise InputError(
            key, "the package deepbet is not installed", "Install it with 'pip install deepbet'."
        )
    check_program(method)


def extract_brain(
    scan: Scan, corrected: Image, method: str, mask_path: Path | None
) -> tuple[Mask, Float | None]:
    """Brain mask of a scan in RAS order, and the head's affine where the method found one.

    Parameters
    ----------
    scan
        The raw scan.
    corrected
        The same, bias-corrected.
    method
        One of ``METHODS``.
    mask_path
        The precomputed mask, for ``precomputed``.

    Returns
    -------
    Mask of shape (H, W, D), one connected body without holes; and the (4, 4) affine from template
    to scan (RAS mm) for ``template``, else None.

    Raises
    ------
    InputError
        If a precomputed mask is missing or lies on another grid, or an external program fails.
    ValueError
        If no head or no brain is found.
    """
    start = None
    if method == "template":
        mask, start = template_mask(corrected)
    elif method == "deepbet":
        mask = deepbet_mask(corrected)
    elif method == "precomputed":
        if mask_path is None:
            raise ValueError("brain_extraction 'precomputed' needs the path of a mask")
        mask = read_mask(mask_path, scan)
    else:
        mask = external_mask(scan, method)
    return one_body(mask), start


def template_mask(image: Image) -> tuple[Mask, Float]:
    """Template's inner-skull mask carried to the scan by the head's affine, and that affine."""
    to_scan = register_head(image)
    template = load_template()
    carried = resample_affine(
        Image(template.mask, template.affine),
        np.linalg.inv(to_scan),
        image.data.shape,
        image.affine,
        order=1,
    )
    return carried > 0.5, to_scan


@lru_cache(maxsize=1)
def _load_deepbet() -> BrainExtraction:
    # Imported here: the template route needs neither torch nor deepbet.
    import torch
    from deepbet.bet import BrainExtraction

    torch.set_num_threads(1)
    return BrainExtraction(no_gpu=True)


def deepbet_mask(image: Image) -> Mask:
    """Mask by deepbet's two U-Nets (Fisch et al. 2024, Comput. Biol. Med. 179, 108845), on the CPU.

    Raises
    ------
    ValueError
        If the networks see no brain.
    """
    network = _load_deepbet()
    try:
        probability = network.run_model(image.data.copy(), shape=DEEPBET_SIZE)
        mask = network.postprocess((probability > DEEPBET_THRESHOLD).astype(np.float32))
    except (AssertionError, ValueError) as error:
        raise ValueError("deepbet sees no brain") from error
    return np.asarray(mask) > 0


def read_mask(path: Path, scan: Scan) -> Mask:
    """Voxels above zero of a mask or segmentation on the scan's own grid, in RAS order.

    Raises
    ------
    InputError
        If it cannot be read, or its shape or position differs from the scan's.
    """
    mask = read_image(path)
    if mask.native.shape != scan.native.shape:
        raise InputError(
            path,
            f"it has shape {mask.native.shape}, its scan {scan.native.shape}",
            "Make the mask on the scan's own grid.",
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in scan.native.shape])).reshape(3, -1)
    apart = (mask.native.affine - scan.native.affine)[:3] @ np.r_[corners, np.ones((1, 8))]
    if np.abs(apart).max() > AFFINE_TOLERANCE_MM:
        raise InputError(
            path,
            f"it lies up to {np.abs(apart).max():.2f} mm away from its scan",
            "Make the mask on the scan's own grid.",
        )
    return mask.image.data > 0


def external_mask(scan: Scan, method: str) -> Mask:
    """Mask by SynthStrip or HD-BET, run as a command on a copy of the scan.

    Raises
    ------
    InputError
        If the command fails or leaves no mask.
    MachineError
        If it ran out of memory or was killed.
    """
    command = PROGRAMS[method]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "head.nii.gz", Path(folder) / "brain.nii.gz"
        nib.save(scan.native, source)
        arguments = ["-i", str(source), "-m", str(target)]
        if method == "hdbet":
            arguments = ["-i", str(source), "-o", str(target), "-device", "cpu"]
            arguments += ["--disable_tta", "--save_bet_mask"]
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        # HD-BET 2 writes the mask beside its output, as brain_bet.nii.gz.
        found = target if method == "synthstrip" else target.with_name("brain_bet.nii.gz")
        if done.returncode != 0 or not found.is_file():
            lines = (done.stderr or done.stdout).strip().splitlines()
            problem = RuntimeError(lines[-1][:200] if lines else name_end(done.returncode))
            if is_short_of_memory(problem) or not killed_by_scan(done.returncode):
                raise machine_error(command, problem)
            raise InputError(command, f"it failed ({problem})", "Run it by hand on this scan.")
        return read_mask(found, scan)
