"""Reading BIDS: what is understood, and the fault that each mistake ends in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ldae.data.bids import cohort_tables, describe_bids, list_scans, read_bids
from ldae.data.bids_tables import months_of_label
from ldae.data.pseudonyms import KEY_FILE
from ldae.errors import InputError

SESSIONS = ("ses-M000", "ses-M012")


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def touch(folder: Path, subject: str, session: str = "", extra: str = "") -> Path:
    name = "_".join(part for part in (subject, session, extra, "T1w.nii.gz") if part)
    path = folder / subject / session / "anat" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three people: two with two sessions, one without sessions."""
    write(
        tmp_path / "participants.tsv",
        "participant_id\tage\tsex\tdiagnosis\tsite",
        "sub-01\t70.5\tF\tAD\ta",
        "sub-02\t60\tM\tCN\tn/a",
        "sub-03\t65\tF\tCN\tb",
    )
    for subject in ("sub-01", "sub-02"):
        for session in SESSIONS:
            touch(tmp_path, subject, session)
    write(
        tmp_path / "sub-01" / "sub-01_sessions.tsv",
        "session_id\tage\tmonths",
        "ses-M000\t70.5\t0",
        "ses-M012\t71.6\t13",
    )
    touch(tmp_path, "sub-03")
    return tmp_path


def test_scans_are_found(cohort: Path) -> None:
    scans = read_bids(cohort, 2, public=True)
    assert list(scans["scan"]) == [
        "sub-01_ses-M000", "sub-01_ses-M012", "sub-02_ses-M000", "sub-02_ses-M012", "sub-03",
    ]  # fmt: skip
    assert list(scans["months"]) == [0, 13, 0, 12, 0]
    assert list(scans["age"]) == [70.5, 71.6, 60, 61, 65]
    assert list(scans["site"]) == ["a", "a", "", "", "b"]
    assert list(scans["session"])[-1] == ""
    assert scans["path"].iloc[-1] == "sub-03/anat/sub-03_T1w.nii.gz"
    assert set(scans["sha256"]) == {hashlib.sha256(b"").hexdigest()}
    summary = describe_bids(cohort, public=True)
    assert (summary.n_subjects, summary.n_scans, summary.n_visits_max) == (3, 5, 2)
    assert summary.diagnoses == ("AD", "CN")


def test_names_and_files_alone_give_the_same_scans(cohort: Path) -> None:
    columns = ["scan", "subject", "session", "path"]
    for public in (True, False):
        expected = read_bids(cohort, 1, public=public)[columns]
        (cohort / "participants.tsv").rename(cohort / "kept.tsv")
        (cohort / KEY_FILE).parent.mkdir(exist_ok=True)
        (cohort / KEY_FILE).write_bytes((cohort / "kept.tsv").read_bytes())
        pd.testing.assert_frame_equal(list_scans(cohort, public), expected)
        (cohort / "kept.tsv").rename(cohort / "participants.tsv")
        (cohort / KEY_FILE).unlink()


def test_a_key_file_keeps_the_names_when_the_table_changes(cohort: Path) -> None:
    table = cohort / "participants.tsv"
    before = read_bids(cohort, 1, public=False)["scan"].tolist()
    (cohort / KEY_FILE).parent.mkdir()
    (cohort / KEY_FILE).write_bytes(table.read_bytes())
    assert cohort_tables(cohort)[-1] == cohort / KEY_FILE, "it is noticed when it changes"
    table.write_text(table.read_text().replace("60", "61"))
    assert read_bids(cohort, 1, public=False)["scan"].tolist() == before
    (cohort / KEY_FILE).write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_bids(cohort, 1, public=False)
    (cohort / KEY_FILE).unlink()
    assert set(read_bids(cohort, 1, public=False)["scan"]).isdisjoint(before)


def test_other_spellings_are_understood(cohort: Path) -> None:
    write(
        cohort / "participants.tsv",
        "participant_id\tAge_years\tGender\tDX\tScanner",
        "01\t70.5\tfemale\tAD\ta",
        "02\t60\t1\tCN\tb",
        "sub-03\t65\t2\tCN\tb",
    )
    write(
        cohort / "sub-02" / "sub-02_sessions.tsv",
        "session_id\tacq_time",
        "ses-M000\t2020-01-01T10:00:00",
        "ses-M012\t2021-01-01T10:00:00",
    )
    scans = read_bids(cohort, 1, public=True).set_index("scan")
    assert list(scans["sex"]) == ["F", "F", "M", "M", "F"]
    assert scans.loc["sub-02_ses-M012", "months"] == pytest.approx(12, abs=0.05)
    write(cohort / "sub-02" / "sub-02_sessions.tsv", "session_id\tdays", "M000\t0", "M012\t730.5")
    scans = read_bids(cohort, 1, public=True).set_index("scan")
    assert scans.loc["sub-02_ses-M012", "months"] == 24


def test_months_that_some_rows_lack_are_counted_from_those_that_have_them(cohort: Path) -> None:
    write(
        cohort / "sub-02" / "sub-02_sessions.tsv",
        "session_id\tmonths\tacq_time",
        "ses-M000\t6\t2020-01-01T10:00:00",
        "ses-M012\tn/a\t2021-01-01T10:00:00",
    )
    scans = read_bids(cohort, 1, public=True).set_index("scan")
    assert scans.loc["sub-02_ses-M000", "months"] == 6
    assert scans.loc["sub-02_ses-M012", "months"] == pytest.approx(18, abs=0.05)


@pytest.mark.parametrize(
    ("label", "months"),
    [
        ("ses-M012", 12), ("ses-m6", 6), ("ses-24mo", 24), ("ses-bl", 0), ("ses-baseline", 0),
        ("", 0), ("ses-000", 0), ("ses-visitA", None), ("ses-d0000", 0), ("ses-d0731", 24.0164),
        ("ses-01", 0), ("ses-1", 0), ("ses-02", None), ("ses-12", None), ("ses-m", None),
    ],
)  # fmt: skip
def test_months_of_label(label: str, months: float | None) -> None:
    assert months_of_label(label) == months


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


def link_to_nothing(folder: Path) -> None:
    path = touch(folder, "sub-03")
    path.unlink()
    path.symlink_to(folder / "nowhere")


TABLE = "participants.tsv"
VISITS = "sub-01/sub-01_sessions.tsv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / TABLE).unlink(), r"participants.tsv: the table of participants does not"),
        (edit(TABLE, "\tsex", "\tx"), r"participants.tsv: column sex .* is missing"),
        (edit(TABLE, "\tdiagnosis", "\tx"), r"participants.tsv: column diagnosis .* is missing"),
        (edit(TABLE, "\tage", "\tx"), r"2 faults.*the age of sub-02 is missing"),
        (edit(TABLE, "\t65\t", "\tn/a\t"), r"the age of sub-03 is missing"),
        (edit(TABLE, "\t65\t", "\told\t"), r"line 4, sub-03: age 'old' is not a number"),
        (edit(TABLE, "\t65\t", "\t650\t"), r"line 4, sub-03: age 650 is not between"),
        (edit(TABLE, "\t65\tF\tCN", "\t65\tF\t"), r"line 4, sub-03: the diagnosis is missing"),
        (edit(TABLE, "65\tF", "65\tX"), r"line 4, sub-03: sex 'X' is not known.*Use F or M"),
        (edit(TABLE, "CN\tb", "CN\tb\tc"), r"participants.tsv: line 4 has more cells than"),
        (edit(TABLE, "sub-03\t", "sub-02\t"), r"sub-02 is listed twice"),
        (edit(TABLE, "sub-03\t", "sub-04\t"), r"sub-03 has a scan.*sub-04 has no T1"),
        (lambda f: touch(f, "sub-03", extra="run-2"), r"2 T1-weighted images of one session"),
        (edit(VISITS, "ses-M012\t", "ses-M024\t"), r"sessions.tsv: ses-M012 has a scan .* no row"),
        (edit(VISITS, "\t13", "\t0"), r"ses-M000 and ses-M012 are both at month 0"),
        (edit(VISITS, "\t13", "\t-3"), r"line 3, ses-M012: the time since the first visit"),
        (edit(VISITS, "ses-M012\t", "n/a\t"), r"sessions.tsv: line 3 has no session_id"),
        (lambda f: write(f / VISITS, "age\tsession_id", "70"), r"line 2 has no session_id"),
        (edit(VISITS, "session_id", "visit"), r"sessions.tsv: column session_id is missing"),
        (lambda f: touch(f, "sub-03", "ses-late"), r"months since the first visit of sub-03 ses-l"),
        (lambda f: (f / "sub-03/anat/sub-03_T1w.nii.gz").unlink(), r"sub-03 has no T1-weighted"),
        (link_to_nothing, r"the file is a link to nothing.*Fetch its content"),
    ],
)
def test_each_fault_names_file_and_mend(
    cohort: Path, change: Callable[[Path], object], message: str
) -> None:
    change(cohort)
    with pytest.raises(InputError, match=message) as caught:
        describe_bids(cohort, public=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        read_bids(cohort, 1, public=True)


def test_many_faults_are_reported_together(tmp_path: Path) -> None:
    rows = [f"sub-{i:02d}\t\tF\tCN" for i in range(20)]
    write(tmp_path / "participants.tsv", "participant_id\tage\tsex\tdiagnosis", *rows)
    for i in range(20):
        touch(tmp_path, f"sub-{i:02d}")
    with pytest.raises(InputError, match=r"20 faults.*\(10\).* and 10 more"):
        describe_bids(tmp_path, public=True)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder does not exist"):
        describe_bids(tmp_path / "none", public=True)
    write(tmp_path / "participants.tsv", "participant_id\tage\tsex\tdiagnosis")
    with pytest.raises(InputError, match="there is no T1-weighted scan"):
        describe_bids(tmp_path, public=True)
