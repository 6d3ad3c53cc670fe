"""Where the files of a scan lie: every path that holds a scan's name is made here.

A scan is called by its participant and session, ``sub-01_ses-M012``, or by its participant alone
where there are no sessions, ``sub-01``. Raw and preprocessed scans lie in two BIDS data sets, in
which that name decides the folder and the beginning of the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import pandas as pd

from ldae.errors import InputError

TEMPLATE = "MNI152NLin2009aSym"
"""Space of the preprocessed scans, as BIDS calls it."""

IMAGE_END = re.compile(r"(_T1w)?\.nii(\.gz)?$")
"""What follows the entities in the name of a raw scan's file."""

SESSION = "_ses-"
"""Begins the session in the name of a scan."""


class Derivative(StrEnum):
    """Files of a preprocessed scan, by what follows the scan's name."""

    VOLUME = f"space-{TEMPLATE}_desc-preproc_T1w.nii.gz"
    """Brain on the study's grid, intensities in [0, 1]."""

    SIDECAR = f"space-{TEMPLATE}_desc-preproc_T1w.json"
    """How the volume was made, and the measures of its quality."""

    MASK = f"space-{TEMPLATE}_desc-brain_mask.nii.gz"
    """Brain mask on the study's grid."""

    NATIVE_MASK = "desc-brain_mask.nii.gz"
    """Brain mask on the grid of the raw scan."""

    TRANSFORM = f"from-T1w_to-{TEMPLATE}_mode-image_xfm.json"
    """Affine from the raw scan to the template, and how the warp is used."""

    WARP = f"from-T1w_to-{TEMPLATE}_mode-image_xfm.nii.gz"
    """Displacements of a deformable registration; absent after an affine one."""

    PREVIEW = "desc-brain_T1w.jpg"
    """Slices of the raw and the preprocessed scan with the outlines of both masks."""


class TruthMap(StrEnum):
    """Maps of a simulated scan, by what follows the scan's name."""

    MASK = "mask.nii.gz"
    TISSUES = "tissues.nii.gz"
    DEFORMATION = "deformation.npz"


def scan_name(subject: str, session: str) -> str:
    """Name of a scan from its labels ``sub-…`` and ``ses-…``; an empty session is none."""
    return f"{subject}_{session}" if session else subject


def labels_of(scan: str) -> tuple[str, str]:
    """Labels of a scan's participant and session, the latter empty where there is none."""
    subject, separator, label = scan.partition(SESSION)
    return subject, separator.removeprefix("_") + label


def raw_labels(raw: str) -> tuple[str, str]:
    """Labels that the folders of a raw scan have, each empty where there is none.

    In a restricted cohort they are not those of the scan's name. Below a table of scans, folders
    may have any names.
    """
    folders = Path(raw).parts[:-1]
    subject, session = (
        next((name for name in folders if name.startswith(prefix)), "")
        for prefix in ("sub-", "ses-")
    )
    return subject, session


def hide_labels(text: str, raw: str, row: pd.Series) -> str:
    """Text about a raw scan with its participant and session as the table of scans calls them.

    Parameters
    ----------
    text
        With the labels that the folders of the scan have.
    raw
        Path of the scan below the cohort's folder.
    row
        Of the table of scans: subject and session.
    """
    for own, shown in zip(raw_labels(raw), (row["subject"], row["session"]), strict=True):
        text = text.replace(own, shown) if own else text
    return text


def raw_address(scan: str, extension: str = "nii.gz") -> Path:
    """File of a raw scan, relative to its data set, as the simulation writes it.

    Other cohorts may have further entities in the file's name: their table of scans tells the path.
    """
    return _folder(scan) / "anat" / f"{scan}_T1w.{extension}"


def derivative_address(scan: str, kind: Derivative) -> Path:
    """File of a preprocessed scan, relative to the data set of the preprocessed scans."""
    if kind is Derivative.PREVIEW:  # pictures of all visits lie together, as BIDS apps have them
        return Path(labels_of(scan)[0]) / "figures" / f"{scan}_{kind}"
    return _folder(scan) / "anat" / f"{scan}_{kind}"


def derivative_paths(
    preprocessed: Path, scans: Iterable[str], *kinds: Derivative
) -> Iterator[Path]:
    """Files of some kinds of preprocessed scans, whether they are there or not."""
    for scan in scans:
        for kind in kinds:
            yield preprocessed / derivative_address(scan, kind)


def truth_address(scan: str, kind: TruthMap) -> Path:
    """Map of a simulated scan, relative to the folder of the cohort's truth."""
    return Path("maps") / f"{scan}_{kind}"


def _folder(scan: str) -> Path:
    return Path(*filter(None, labels_of(scan)))


def find_derivative(preprocessed: Path, scan: str, kind: Derivative) -> Path:
    """File of a preprocessed scan that must be there.

    Parameters
    ----------
    preprocessed
        Data set of the preprocessed scans.
    scan
        Name of the scan.
    kind
        Which of its files.

    Raises
    ------
    InputError
        If there is no such file.
    """
    path = preprocessed / derivative_address(scan, kind)
    if not path.is_file():
        raise InputError(
            path,
            "there is no such file",
            "Delete the tables in manifest/batches and run the workflow again",
        )
    return path


def mask_path(pattern: str, raw: str, bids_dir: Path) -> Path:
    """File of a mask that a cohort has of one of its raw scans.

    Parameters
    ----------
    pattern
        Path under the BIDS folder with {scan}, {subject} and {session}. They are filled in as the
        path of the raw scan has them, because the table of scans may hold pseudonyms.
    raw
        Path of the raw scan under the BIDS folder.
    bids_dir
        Folder of the raw scans.
    """
    subject, session = raw_labels(raw)
    scan = IMAGE_END.sub("", Path(raw).name)
    filled = pattern.format(scan=scan, subject=subject, session=session)
    return bids_dir / Path(filled)  # Path drops the empty part that a missing session leaves


def mask_paths(pattern: str | None, scans: pd.DataFrame, bids_dir: Path) -> list[Path]:
    """Files of the masks of all scans; empty without a pattern."""
    if pattern is None:
        return []
    return [mask_path(pattern, path, bids_dir) for path in scans["path"]]
