"""Packing preprocessed scans and reading them back."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from ldae.data.addresses import Derivative, derivative_address
from ldae.data.manifest import LABEL_COLUMNS, write_scans
from ldae.data.volumes import INDEX_COLUMNS, VolumeStore, pack_volumes, read_index
from ldae.errors import InputError

SHAPE = (4, 6, 8)


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, pd.DataFrame]:
    scans = pd.DataFrame(
        {
            "scan": ["a_ses-1", "a_ses-2", "b"], "subject": ["a", "a", "b"],
            "session": ["ses-1", "ses-2", ""],
            "months": [0.0, 12.0, 0.0], "age": [70.0, 71.0, 65.0], "sex": ["F", "F", "M"],
            "diagnosis": ["AD", "AD", "CN"], "site": ["", "", ""], "path": "x", "sha256": "0",
        }
    )  # fmt: skip
    split = pd.DataFrame({"subject": ["a", "b"], "split": ["train", "test"]})
    qc = pd.DataFrame({"scan": scans["scan"], "status": ["pass", "excluded", "pass"]})
    rng = np.random.default_rng(0)
    for scan in scans["scan"]:
        image = rng.random(SHAPE).astype(np.float32)
        mask = (image > 0.5).astype(np.uint8)
        for kind, values in ((Derivative.VOLUME, image), (Derivative.MASK, mask)):
            path = tmp_path / derivative_address(scan, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.Nifti1Image(values, np.eye(4)).to_filename(path)
    return {"scans": scans, "split": split, "qc": qc}


def pack(tmp_path: Path, tables: dict[str, pd.DataFrame], shape: tuple[int, ...]) -> VolumeStore:
    paths = [tmp_path / name for name in ("v.npy", "m.npy", "i.tsv")]
    pack_volumes(**tables, preprocessed=tmp_path, shape=shape, volumes_path=paths[0],
                 masks_path=paths[1], index_path=paths[2])  # fmt: skip
    return VolumeStore(*paths)


def labelled(tmp_path: Path, scans: pd.DataFrame) -> VolumeStore:
    """The packed scans with the labels of a table."""
    write_scans(scans, tmp_path / "scans.tsv")
    return VolumeStore(*(tmp_path / name for name in ("v.npy", "m.npy", "i.tsv", "scans.tsv")))


def test_labels_are_joined_by_scan(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    assert not set(LABEL_COLUMNS) & set(pack(tmp_path, tables, SHAPE).index.columns)
    index = labelled(tmp_path, tables["scans"].iloc[::-1]).index
    assert index["age"].tolist() == [70.0, 65.0] and index["diagnosis"].tolist() == ["AD", "CN"]
    with pytest.raises(InputError, match="lacks the scan b"):
        labelled(tmp_path, tables["scans"].iloc[:2])


def test_packed_scans_are_the_files(tmp_path: Path, tables: dict[str, pd.DataFrame]) -> None:
    store = pack(tmp_path, tables, SHAPE)
    assert store.index.columns.tolist() == INDEX_COLUMNS
    assert store.index["scan"].tolist() == ["a_ses-1", "b"], "excluded scans must stay out"
    assert store.rows("train").tolist() == [0] and store.rows("val").tolist() == []
    image = nib.load(tmp_path / derivative_address("b", Derivative.VOLUME)).get_fdata()
    x = store.batch([1])
    assert x.shape == (1, 1, *SHAPE) and x.dtype == torch.float32
    assert np.allclose(x[0, 0].numpy(), image, atol=1e-3)
    assert torch.equal(store.mask_batch([1])[0, 0], torch.from_numpy(image > 0.5))


def test_wrong_grid_and_empty_study_are_named(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    with pytest.raises(InputError, match=r"a_ses-1_space-\w+_desc-preproc_T1w\.nii\.gz: has shape"):
        pack(tmp_path, tables, (8, 8, 8))
    (tmp_path / derivative_address("b", Derivative.MASK)).unlink()
    with pytest.raises(InputError, match=r"b_space-\w+_desc-brain_mask\.nii\.gz: there is no"):
        pack(tmp_path, tables, SHAPE)
    tables["qc"]["status"] = "excluded"
    with pytest.raises(InputError, match="no scan passed"):
        pack(tmp_path, tables, SHAPE)


def test_arrays_of_another_study_are_refused(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    pack(tmp_path, tables, SHAPE)
    np.save(tmp_path / "other.npy", np.zeros((5, *SHAPE), np.float16))
    with pytest.raises(InputError, match="has 5 scans, its index 2"):
        VolumeStore(tmp_path / "other.npy", tmp_path / "m.npy", tmp_path / "i.tsv")
    (tmp_path / "bad.tsv").write_text("row\tscan\n")
    with pytest.raises(InputError, match="lacks the columns"):
        read_index(tmp_path / "bad.tsv")


def test_digest_is_of_scans_masks_and_index(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    store = pack(tmp_path, tables, SHAPE)
    moved = tables["split"].assign(split=["test", "train"])
    later = tables["scans"].assign(months=tables["scans"]["months"] + 1)
    older = tables["scans"].assign(age=tables["scans"]["age"] + 1)
    digests = {store.digest()}
    for other in ({"split": moved}, {"scans": later}):
        digests.add(pack(tmp_path, tables | other, SHAPE).digest())
    store = pack(tmp_path, tables, SHAPE)
    assert store.digest() in digests and len(digests) == 3, "split and months count"
    with_labels = {labelled(tmp_path, scans).digest() for scans in (tables["scans"], older)}
    assert len(with_labels) == 2, "labels count where they are read"
    assert pack(tmp_path, tables | {"scans": older}, SHAPE).digest() == store.digest()
    np.save(tmp_path / "v2.npy", 1 - store.volumes[:])
    np.save(tmp_path / "m2.npy", 1 - store.masks[:])
    for volumes, masks in (("v2.npy", "m.npy"), ("v.npy", "m2.npy")):
        paths = (tmp_path / name for name in (volumes, masks, "i.tsv"))
        digests.add(VolumeStore(*paths).digest())
    assert len(digests) == 5, "scans and masks count"


def test_a_subject_without_a_split_is_not_dropped_silently(
    tmp_path: Path, tables: dict[str, pd.DataFrame]
) -> None:
    with pytest.raises(InputError, match="1 subjects are in no split, first b"):
        pack(tmp_path, tables | {"split": tables["split"].iloc[:1]}, SHAPE)
