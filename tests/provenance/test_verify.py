"""Comparison of a crate with its own metadata, and of the scans in a folder with the crate's."""

import json
import os
import shutil

import pytest

from ldae.__main__ import main
from ldae.errors import InputError
from ldae.provenance.crate import METADATA, write_crate
from ldae.provenance.verify import compare_scans
from ldae.provenance.verify_crate import check_crate


@pytest.fixture(params=["public", "restricted"])
def case(request, tmp_path):
    """A study, its crate, and a copy of its cohort."""
    study = request.getfixturevalue(f"{request.param}_study")
    crate = tmp_path / "crate"
    write_crate(study.results, crate)
    return study, crate, study.copy_cohort(tmp_path / "held")


def compare(crate, held):
    return compare_scans(crate / "scans.tsv", held, held / "participants.tsv")


def test_the_same_scans_are_found(case, capsys):
    _, crate, held = case
    found = compare(crate, held)
    assert found.holds and len(found.same) == 3 and found.renamed == found.besides == 0
    assert main(["verify", str(crate), "--bids", str(held)]) == 0
    assert "contains all scans of this study" in capsys.readouterr().out


def test_missing_changed_and_additional_scans_are_reported(case, capsys):
    _, crate, held = case
    first, second, _ = sorted(held.rglob("*.nii.gz"))
    shutil.copy(first, held / "sub-New_T1w.nii.gz")
    (held / "sub-New_T1w.nii.gz").write_bytes(b"a participant who was added later")
    first.unlink()
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    second.write_bytes(content)
    found = compare(crate, held)
    assert not found.holds
    assert (len(found.same), len(found.changed), len(found.missing)) == (1, 1, 1)
    assert found.changed[0][1] == second.relative_to(held).as_posix()
    assert found.besides == 1
    assert main(["verify", str(crate), "--bids", str(held)]) == 1
    assert f"changed: {found.changed[0][1]}" in capsys.readouterr().out


def test_swapped_scans_are_not_the_same(case):
    _, crate, held = case
    first, second, _ = sorted(held.rglob("*.nii.gz"))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    found = compare(crate, held)
    assert found.renamed == 2


def test_a_later_table_of_participants_hides_names_but_not_contents(restricted_study, tmp_path):
    crate = tmp_path / "crate"
    write_crate(restricted_study.results, crate)
    held = restricted_study.copy_cohort(tmp_path / "held")
    with (held / "participants.tsv").open("a") as table:
        table.write("sub-New\t70\n")
    found = compare(crate, held)
    assert found.holds and found.renamed == 3
    old = restricted_study.bids / "participants.tsv"
    assert compare_scans(crate / "scans.tsv", held, old).renamed == 0


def test_missing_crate_or_empty_folder_is_an_error(case, tmp_path):
    _, crate, held = case
    with pytest.raises(InputError, match="cannot be read"):
        compare_scans(tmp_path / "scans.tsv", held, held / "participants.tsv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no images"):
        compare(crate, tmp_path / "empty")


# --- the crate itself ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(public_study, tmp_path_factory):
    """A crate; it must not be changed."""
    crate = tmp_path_factory.mktemp("written") / "crate"
    write_crate(public_study.results, crate)
    return crate


def change_metadata(crate, change):
    path = crate / METADATA
    content = json.loads(path.read_text())
    change({entity["@id"]: entity for entity in content["@graph"]})
    path.write_text(json.dumps(content))


def add_bit(path):
    path.write_bytes(path.read_bytes() + b" ")


TABLE = "results/tables/probes.tsv"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: add_bit(c / TABLE), f"{TABLE}: expected sha256"),
        (lambda c: add_bit(c / "ro-crate-preview.html"), "preview.html: expected sha256"),
        (lambda c: add_bit(c / "scans.tsv"), "scans.tsv: expected sha256"),
        (lambda c: add_bit(c / "Snakefile"), "Snakefile: expected sha256"),
        (lambda c: add_bit(c / "README.md"), "README.md: expected sha256"),
        (lambda c: (c / TABLE).unlink(), f"{TABLE}: it is missing"),
        (lambda c: ((c / TABLE).unlink(), os.mkfifo(c / TABLE)), "no readable, regular file"),
        (lambda c: (c / "results/more.tsv").write_text("x"), "does not list it"),
        (lambda c: (c / "more").symlink_to("/"), "more: the metadata does not list it"),
        (lambda c: change_metadata(c, lambda g: g[TABLE].pop("sha256")), "without a checksum"),
        (
            lambda c: change_metadata(c, lambda g: g[TABLE].update({"@id": "../../etc/passwd"})),
            "leads out of the crate",
        ),
    ],
)
def test_changed_crate_is_found(written, tmp_path, capsys, change, found):
    crate = tmp_path / "crate"
    shutil.copytree(written, crate)
    change(crate)
    assert main(["verify", str(crate)]) == 1
    text = capsys.readouterr().out
    assert found in text and "not as it was written" in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"@graph": [1]}', "[" * 100_000])
def test_unreadable_metadata_is_refused(written, tmp_path, content):
    crate = tmp_path / "crate"
    shutil.copytree(written, crate)
    (crate / METADATA).write_text(content)
    with pytest.raises(InputError, match="no metadata of a crate"):
        check_crate(crate)
    assert main(["verify", str(crate)]) == 2


def test_untouched_crate_holds_and_can_be_read_by_a_person(case, capsys):
    _, crate, _ = case
    assert main(["verify", str(crate)]) == 0
    assert "Every file is as the metadata lists it" in capsys.readouterr().out
    page = (crate / "ro-crate-preview.html").read_text()
    assert "<h2>Steps</h2>" in page and "train_network" in page and "SHA-256" in page
    assert f'href="{TABLE}"' in page
