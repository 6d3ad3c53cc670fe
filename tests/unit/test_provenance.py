"""Digest of code, and records of jobs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldae.provenance import environment, images
from ldae.provenance import record as provenance
from ldae.provenance.code import code_digest, code_files, raw_digest
from ldae.provenance.places import Places

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


def names_of(files: list[Path], repository: Path) -> set[str]:
    return {path.relative_to(repository).as_posix() for path in files}


def names(repository: Path, script: str) -> set[str]:
    return names_of(code_files(repository / "scripts" / script, root=repository), repository)


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


def test_the_place_of_a_working_tree_is_no_code(repository):
    (repository / ".git").write_text("gitdir: /home/ada/clone/.git/worktrees/tree\n")
    (repository / "scripts/git.py").write_text('FOLDER = ".git"\n')
    assert names(repository, "git.py") == {"scripts/git.py"}


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("ldae/d.py", {"one.py", "two.py"}),
        ("ldae/page.html", {"one.py"}),
        ("ldae/unused.py", set()),
        ("scripts/none.py", {"none.py"}),
    ],
)
def test_raw_digest_follows_exactly_what_is_imported(repository, changed, affected):
    scripts = ["one.py", "two.py", "none.py"]
    before = {s: raw_digest(repository / "scripts" / s, root=repository) for s in scripts}
    path = repository / changed
    path.write_text(path.read_text() + "# changed\n")
    after = {s: raw_digest(repository / "scripts" / s, root=repository) for s in scripts}
    assert {s for s in scripts if before[s] != after[s]} == affected


def test_raw_digest_follows_references(repository):
    script = repository / "scripts/none.py"
    assert names_of(code_files(script, "ldae.d:g", root=repository), repository) == {
        "scripts/none.py", "ldae/__init__.py", "ldae/d.py",
    }  # fmt: skip
    before = raw_digest(script, "mine.py:train", root=repository)
    (repository / "mine.py").write_text("import ldae.unused\n")
    assert raw_digest(script, "mine.py:train", root=repository) != before
    found = code_files(script, "mine.py:train", "nowhere.py:f", "json:dumps", root=repository)
    assert names_of(found, repository) == {
        "scripts/none.py", "mine.py", "ldae/__init__.py", "ldae/unused.py",
    }  # fmt: skip


def test_every_script_imports_the_entry():
    for script in (ROOT / "scripts").glob("*.py"):
        assert ROOT / "ldae" / "workflow" / "entry.py" in code_files(script), script.name
        assert len(code_digest(script)) == len(raw_digest(script)) == 16


def test_package_imports_the_standard_library_only():
    code = "import sys, ldae; print({name.partition('.')[0] for name in sys.modules} - before)"
    code = "import sys; before = {name.partition('.')[0] for name in sys.modules}\n" + code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    foreign = ast.literal_eval(done.stdout) - {"ldae"} - sys.stdlib_module_names
    assert not foreign


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
    (found,) = provenance.describe_files(["folder", "folder/deep/x.txt"], Places(Path("results")))
    assert found == {
        "path": "folder/deep/x.txt",
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


@pytest.fixture
def restricted(tmp_path, monkeypatch) -> Places:
    """Places of a restricted study; results and scans are outside the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw/sub-01/anat").mkdir(parents=True)
    (tmp_path / "raw/sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"scan")
    (tmp_path / "raw/participants.tsv").write_text("participant_id\tage\nsub-01\t70\n")
    return Places(tmp_path / "elsewhere/results", tmp_path / "raw", restricted=True)


def test_records_contain_no_paths_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path.home()
    places = Places(Path("/disk/of/jane/results"), Path("../../jane/adni"))
    value = {
        "a": str(tmp_path / "x.tsv"),
        "b": [str(home / "y"), "/data/secret/z"],
        "c": 3,
        "results": "/disk/of/jane/results/cohort/bids",
        "bids": "../../jane/adni",
    }
    text = f"../../jane/adni/sub-1/x.nii: cannot be read, see {tmp_path}/log and {home}/y"
    plain = places.plain(value)
    assert plain["a"] == "x.tsv"
    assert plain["b"][1] == "<external>/z" and plain["c"] == 3
    assert plain["results"] == "<results>/cohort/bids" and plain["bids"] == "<bids>"
    assert places.scrub(text) == "<bids>/sub-1/x.nii: cannot be read, see log and ~/y"
    assert os.uname().nodename not in json.dumps(provenance.device())


def test_words_in_text_are_not_mistaken_for_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = Places(Path("results"), Path("data"))
    assert places.plain("results of the data") == "results of the data"
    assert places.plain({"title": "new results/old"}) == {"title": "new results/old"}


def test_files_are_found_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = Places(Path("results/ixi"), Path("/data/ixi"))
    for path in ("results/ixi/tables/x.tsv", "/data/ixi/sub-1/x.nii", "resources/w.pt"):
        found = places.find(places.name(path))
        assert found is not None and os.path.abspath(found) == os.path.abspath(path)
    assert places.name("/opt/weights/w.pt") == "<external>/w.pt"
    assert places.find("<external>/w.pt") is None
    assert Places(Path("results")).find("<bids>/sub-1/x.nii") is None


def test_subjects_of_a_restricted_cohort_have_pseudonyms(restricted):
    scan = restricted.bids / "sub-01/anat/sub-01_T1w.nii.gz"
    name = restricted.name(scan)
    assert "sub-01" not in name and name.startswith("<bids>/sub-p")
    assert restricted.find(name) == scan
    message = restricted.scrub(f"{scan}: sub-01 is too short")
    assert "sub-01" not in message and message.startswith(name)
    assert restricted.scrub(message) == message, "a pseudonym must not be replaced again"


def test_pseudonyms_depend_on_the_cohort(restricted):
    before = restricted.name(restricted.bids / "sub-01")
    (restricted.bids / "participants.tsv").write_text("participant_id\tage\nsub-01\t71\n")
    assert Places(restricted.results, restricted.bids, True).name("raw/sub-01") != before


def test_a_public_cohort_keeps_its_labels(restricted):
    public = Places(restricted.results, restricted.bids)
    assert public.name("raw/sub-01/x.nii") == "<bids>/sub-01/x.nii"


def test_environment_lists_its_lock_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.lock").write_bytes(b"abc")
    environment.main(["a.lock"])
    (tmp_path / environment.READY_FILE).write_text(capsys.readouterr().out)
    (digest,) = environment.locks(tmp_path).values()
    assert digest.startswith("ba7816bf") and set(environment.locks(tmp_path)) == {"a.lock"}
    assert environment.locks(tmp_path / "other") == {}


def test_container_is_identified_by_its_digest(tmp_path, monkeypatch):
    table = tmp_path / "digests.tsv"
    monkeypatch.setattr(images, "DIGESTS", table)
    monkeypatch.delenv("APPTAINER_CONTAINER", raising=False)
    assert environment.container() is None
    digest = "0" * 64
    known = images.Image("torch", digest, "1" * 64, "c", "cpu", "r")
    image = tmp_path / known.file_name
    monkeypatch.setenv("APPTAINER_CONTAINER", str(image))
    assert environment.container() == {"name": image.name, "sha256": None}
    assert environment.locks(tmp_path) == {}
    images.write_digests({"torch": known})
    assert environment.container() == {"name": image.name, "sha256": digest}
    assert environment.locks(tmp_path) == {"envs/torch.lock": "1" * 64}
    image.write_bytes(b"abc")
    os.utime(image, (table.stat().st_mtime + 9,) * 2)
    assert environment.container()["sha256"].startswith("ba7816bf"), "built after the table"


@pytest.fixture
def clone(repository):
    """The repository as a clone whose state is recorded."""
    (repository / ".gitignore").write_text("__pycache__/\n")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*identity, "commit", "-qm", "Code")):
        subprocess.run(["git", *arguments], cwd=repository, check=True)
    return repository


@pytest.mark.parametrize("mark", [None, "--assume-unchanged", "--skip-worktree"])
def test_edited_code_is_noticed_though_git_is_asked_to_ignore_it(clone, mark):
    assert provenance.git_state(clone)["dirty"] is False
    if mark:
        subprocess.run(["git", "update-index", mark, "ldae/d.py"], cwd=clone, check=True)
    (clone / "ldae/d.py").write_text("edited = True\n")
    assert provenance.git_state(clone)["dirty"] is True


@pytest.mark.parametrize(
    ("name", "counts"), [("ldae/new.py", True), ("notes.txt", False), ("ldae/__pycache__/d", False)]
)
def test_files_that_git_does_not_know_count_among_code(clone, name, counts):
    (clone / name).parent.mkdir(exist_ok=True)
    (clone / name).touch()
    assert provenance.git_state(clone)["dirty"] is counts


def test_git_is_asked_without_variables_of_the_environment(clone, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    assert len(provenance.git("rev-parse", "HEAD", repository=clone)) == 40
