"""Where the files of a scan lie, and what makes the preprocessed scans a BIDS data set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ldae.data.addresses import (
    TEMPLATE,
    Derivative,
    derivative_address,
    find_derivative,
    labels_of,
    mask_path,
    raw_address,
    scan_name,
)
from ldae.data.pseudonyms import pseudonym
from ldae.errors import InputError
from ldae.preprocessing.dataset import describe_dataset, write_description

SUBJECTS = ("sub-01", "sub-HospitalA17", pseudonym("sub-01", b"key"))
SESSIONS = ("", "ses-M012", "ses-bl")

# File names of BIDS: entities in their order, then a suffix and an extension.
ENTITIES = r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?(_space-[A-Za-z0-9]+)?(_desc-[A-Za-z0-9]+)?"
FILE_NAME = re.compile(ENTITIES + r"_(T1w|mask)\.(nii\.gz|json)")
# Transforms and pictures have no names of the standard, and are left out by .bidsignore.
TRANSFORM = re.compile(r"sub-[\w-]+_from-T1w_to-[A-Za-z0-9]+_mode-image_xfm\.(json|nii\.gz)")


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("session", SESSIONS)
def test_a_name_gives_its_labels_and_its_place(subject: str, session: str) -> None:
    scan = scan_name(subject, session)
    assert labels_of(scan) == (subject, session)
    folder = Path(subject, session, "anat")
    assert raw_address(scan) == folder / f"{scan}_T1w.nii.gz"
    addresses = {kind: derivative_address(scan, kind) for kind in Derivative}
    assert addresses[Derivative.VOLUME] == (
        folder / f"{scan}_space-{TEMPLATE}_desc-preproc_T1w.nii.gz"
    )
    assert (
        addresses[Derivative.SIDECAR].stem == addresses[Derivative.VOLUME].name[: -len(".nii.gz")]
    )
    assert len(set(addresses.values())) == len(Derivative)
    for kind, path in addresses.items():
        if kind is Derivative.PREVIEW:
            assert path.parent == Path(subject, "figures")
            continue
        assert path.parent == folder
        pattern = TRANSFORM if kind in (Derivative.TRANSFORM, Derivative.WARP) else FILE_NAME
        assert pattern.fullmatch(path.name), path


def test_scans_do_not_share_a_place() -> None:
    scans = [scan_name(subject, session) for subject in SUBJECTS for session in SESSIONS]
    paths = [derivative_address(scan, kind) for scan in scans for kind in Derivative]
    assert len(set(paths)) == len(paths)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / derivative_address("sub-01", Derivative.MASK)
    with pytest.raises(InputError, match=r"sub-01_space-\w+_desc-brain_mask\.nii\.gz: there is no"):
        find_derivative(tmp_path, "sub-01", Derivative.MASK)
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_derivative(tmp_path, "sub-01", Derivative.MASK) == path


@pytest.mark.parametrize("session", ["", "ses-1"])
def test_a_mask_is_found_by_the_labels_of_the_raw_scan(session: str) -> None:
    raw = raw_address(scan_name("sub-Anna", session))
    pattern = "masks/{subject}/{session}/{scan}_mask.nii.gz"
    found = mask_path(pattern, str(raw), Path("/data"))
    assert found == Path("/data/masks", raw.parent.parent, raw.name.replace("T1w", "mask"))


def test_the_description_of_the_data_set(tmp_path: Path) -> None:
    bids = tmp_path / "some/where/raw"
    bids.mkdir(parents=True)
    description = describe_dataset("tiny", ["b", "a"], bids)
    assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(description)
    assert description["DatasetType"] == "derivative"
    (generator,) = description["GeneratedBy"]
    assert generator["Name"] == "ldae" and re.fullmatch(r"\d+\.\d+\.\d+.*", generator["Version"])
    assert description == describe_dataset("tiny", ["a", "b"], bids)
    assert description != describe_dataset("tiny", ["a", "c"], bids), "other raw scans"
    assert str(tmp_path) not in json.dumps(description)

    (bids / "dataset_description.json").write_text('{"Name": "raw", "DatasetDOI": "10.1/x"}')
    (source,) = describe_dataset("tiny", ["a", "b"], bids)["SourceDatasets"]
    assert source["DOI"] == "10.1/x"
    write_description(description, tmp_path / "d.json", tmp_path / "ignore")
    assert json.loads((tmp_path / "d.json").read_text()) == description
    assert (tmp_path / "ignore").read_text() == "*_xfm.*\nfigures\n"
