"""What describes the preprocessed scans as a BIDS derivative data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ldae import __version__

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
