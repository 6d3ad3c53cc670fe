"""The data set of the preprocessed scans: files of a scan, and what describes them all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ldae import __version__
from ldae.data.addresses import Derivative, derivative_address

BIDS_VERSION = "1.10.0"

# The standard has no place yet for transforms and pictures; a validator passes over them.
IGNORED = ("*_xfm.*", "figures")


def describe_dataset(study: str, checksums: Iterable[str], bids_dir: Path) -> dict[str, Any]:
    """Content of ``dataset_description.json``; it names no place of this machine.

    Parameters
    ----------
    study
        Short name of the study.
    checksums
        SHA-256 of each raw scan. A digest of them all stands for the version of the raw data.
    bids_dir
        Folder of the raw scans; the DOI of its own description is passed on if there is one.
    """
    digest = hashlib.sha256("\n".join(sorted(checksums)).encode()).hexdigest()
    source = {"Version": f"sha256:{digest}"}
    path = bids_dir / "dataset_description.json"
    if path.is_file():
        doi = json.loads(path.read_text(encoding="utf-8")).get("DatasetDOI")
        source |= {"DOI": doi} if doi else {}
    return {
        "Name": f"{study}: preprocessed T1-weighted scans",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "ldae", "Version": __version__}],
        "SourceDatasets": [source],
    }


def write_description(description: dict[str, Any], path: Path, ignore_path: Path) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` of a data set."""
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    ignore_path.write_text("".join(f"{line}\n" for line in IGNORED), encoding="utf-8")


def scan_folders(scan: str, out_dir: Path) -> set[Path]:
    """Folders of a scan's files."""
    return {(out_dir / derivative_address(scan, kind)).parent for kind in Derivative}


def remove_files(scan: str, out_dir: Path) -> None:
    """Remove the files of a scan, which an earlier attempt may have left."""
    paths = {out_dir / derivative_address(scan, kind) for kind in Derivative}
    for folder in scan_folders(scan, out_dir):
        with suppress(FileNotFoundError):  # a list of each folder: a call for each name costs more
            for path in paths.intersection(list(folder.iterdir())):
                path.unlink()


def digest_files(scan: str, out_dir: Path) -> str:
    """SHA-256 of a scan's files in the order of `Derivative`, one after another."""
    digest = hashlib.sha256()
    for kind in Derivative:
        with suppress(FileNotFoundError):
            digest.update((out_dir / derivative_address(scan, kind)).read_bytes())
    return digest.hexdigest()


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a file of JSON about a scan."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
