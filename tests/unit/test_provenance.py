"""Digest of code, and records of jobs."""

import json
import os
from pathlib import Path

import pytest

from ldae.provenance import record as provenance
from ldae.provenance.code import code_digest, code_files

ROOT = Path(__file__).resolve().parents[2]

FILES = {
    "scripts/one.py": "from ldae.a import f\n",
    "scripts/two.py": "import ldae.pack.c\n",
    "scripts/none.py": "import json\n",
    "ldae/__init__.py": "",
    "ldae/a.py": "def f():\n    from ldae import b\n    return b\n",
    "ldae/b.py": "from .pack import c\nTEMPLATE = 'page.html'\n",
    "ldae/page.html": "<p>",
    "ldae/pack/__init__.py": "",
    "ldae/pack/c.py": "from ..d import g\n",
    "ldae/d.py": "def g(): ...\n",
    "ldae/unused.py": "",
}


@pytest.fixture
def repository(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(repository: Path, script: str) -> set[str]:
    files = code_files(repository / "scripts" / script, repository)
    return {path.relative_to(repository).as_posix() for path in files}


def test_imports_are_followed(repository):
    assert names(repository, "one.py") == set(FILES) - {
        "scripts/two.py",
        "scripts/none.py",
        "ldae/unused.py",
    }
    assert names(repository, "two.py") == {
        "scripts/two.py",
        "ldae/__init__.py",
        "ldae/pack/__init__.py",
        "ldae/pack/c.py",
        "ldae/d.py",
    }
    assert names(repository, "none.py") == {"scripts/none.py"}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("ldae/d.py", {"one.py", "two.py"}),
        ("ldae/page.html", {"one.py"}),
        ("ldae/unused.py", set()),
        ("scripts/none.py", {"none.py"}),
    ],
)
def test_digest_follows_exactly_what_is_imported(repository, changed, affected):
    scripts = ["one.py", "two.py", "none.py"]
    before = {s: code_digest(repository / "scripts" / s, repository) for s in scripts}
    path = repository / changed
    path.write_text(path.read_text() + "# changed\n")
    from ldae.provenance import code

    code._dependencies.cache_clear()
    after = {s: code_digest(repository / "scripts" / s, repository) for s in scripts}
    assert {s for s in scripts if before[s] != after[s]} == affected


def test_every_script_of_the_workflow_has_a_digest():
    for script in (ROOT / "scripts").glob("*.py"):
        files = code_files(script)
        assert ROOT / "ldae" / "entry.py" in files, script.name
        assert len(code_digest(script)) == 16


def test_package_imports_nothing():
    source = (ROOT / "ldae" / "__init__.py").read_text()
    assert "import " not in source


def test_records_are_never_overwritten(tmp_path):
    path = provenance.write_record(tmp_path, "x", {"a": 1})
    with pytest.raises(FileExistsError):
        provenance.write_record(tmp_path, "x", {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_folders_are_walked_and_hashed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder/deep").mkdir(parents=True)
    Path("folder/deep/x.txt").write_bytes(b"abc")
    Path("folder", provenance.TIMESTAMP_FILE).touch()
    (found,) = provenance.describe_files(["folder", "folder/deep/x.txt"])
    assert found == {
        "path": "folder/deep/x.txt",
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_no_place_of_the_machine_in_a_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path.home()
    value = {"a": str(tmp_path / "x.tsv"), "b": [str(home / "y"), "/data/secret/z"], "c": 3}
    plain = provenance.plain(value)
    assert plain["a"] == "x.tsv"
    assert plain["b"][1] == "<external>/z"
    assert str(tmp_path) not in json.dumps(plain) and f"{home}/" not in json.dumps(plain)
    assert os.uname().nodename not in json.dumps(provenance.device())
