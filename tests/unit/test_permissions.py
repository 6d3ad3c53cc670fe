"""Permissions of weights."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ldae.data.permissions import follow_umask
from ldae.networks.weights import save_weights


@pytest.fixture(params=[0o002, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_weights_have_the_permissions_of_any_new_file(tmp_path: Path, umask: int) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    paths = [tmp_path / "a.safetensors", tmp_path / "folder" / "below" / "b.safetensors"]
    for path in paths:
        save_weights(path, {"weight": torch.zeros(2)}, {})
    follow_umask([paths[0], tmp_path / "folder", tmp_path / "missing.safetensors"])
    (tmp_path / "new").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [*paths, tmp_path / "new"]}
    assert modes == {0o666 & ~umask}
    assert os.umask(umask) == umask, "it is as before"


def test_other_files_keep_their_permissions(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    follow_umask([path, tmp_path])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
