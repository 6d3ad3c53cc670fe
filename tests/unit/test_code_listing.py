"""Lists of a repository's folders, in which digests of code look files up."""

import os
from pathlib import Path

import pytest

from ldae.provenance.code.listing import Listing


@pytest.mark.parametrize(
    ("name", "file", "folder"),
    [
        ("ldae/a.py", True, False),
        ("ldae", False, True),
        ("ldae/link.py", True, False),
        ("other", False, True),
        ("other/a.py", True, False),
        ("lost.py", False, False),
        ("ldae/missing.py", False, False),
        ("missing/a.py", False, False),
        ("ldae/a.py/Name/__init__.py", False, False),
        ("ldae/../ldae/a.py", True, False),
        ("../outside.py", True, False),
    ],
)
def test_files_and_folders_are_distinguished(
    tmp_path: Path, name: str, file: bool, folder: bool
) -> None:
    root = tmp_path / "clone"
    (root / "ldae").mkdir(parents=True)
    (root / "ldae/a.py").touch()
    (root / "ldae/link.py").symlink_to("a.py")
    (root / "other").symlink_to("ldae")
    (root / "lost.py").symlink_to("nowhere")
    (tmp_path / "outside.py").touch()
    listing = Listing(root)
    assert listing.has_file(root / name) == (root / name).is_file() == file
    assert listing.has_folder(root / name) == (root / name).is_dir() == folder


def test_each_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ldae").mkdir()
    read: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: read.append(place) or scandir(place))
    listing = Listing(tmp_path)
    for number in range(9):
        assert not listing.has_file(tmp_path / "ldae" / f"{number}.py")
        assert not listing.has_file(tmp_path / f"missing-{number}" / "a.py")
    assert read == [str(tmp_path), str(tmp_path / "ldae")]
