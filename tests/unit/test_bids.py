"""Reading BIDS: what is understood, and the fault that each mistake ends in."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ldae.data.bids import (
    cohort_tables,
    describe_bids,
    list_scans,
    read_bids,
    read_cohort,
    tabulate_notices,
)
from ldae.data.intake.cells import months_of_label
from ldae.data.intake.notices import Kind
from ldae.data.intake.settings import Intake
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
    """Three participants: two with two sessions, one without sessions."""
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
    scans = read_bids(cohort, 2, public=True).scans
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


def test_preprocessing_sees_the_same_scans_whatever_age_and_diagnosis_are(cohort: Path) -> None:
    columns = ["scan", "subject", "session", "path", "rivals"]
    (cohort / KEY_FILE).parent.mkdir()
    (cohort / KEY_FILE).write_bytes(b"key")
    for public in (True, False):
        expected = read_bids(cohort, 1, public=public).scans[columns]
        edit(TABLE, "60\tM\tCN", "61\tM\tAD")(cohort)
        pd.testing.assert_frame_equal(list_scans(cohort, public), expected)
        edit(TABLE, "61\tM\tAD", "60\tM\tCN")(cohort)


def test_a_key_file_keeps_the_names_when_the_table_changes(cohort: Path) -> None:
    table = cohort / "participants.tsv"
    before = read_bids(cohort, 1, public=False).scans["scan"].tolist()
    (cohort / KEY_FILE).parent.mkdir()
    (cohort / KEY_FILE).write_bytes(table.read_bytes())
    assert cohort_tables(cohort)[-1] == cohort / KEY_FILE, "it is noticed when it changes"
    table.write_text(table.read_text().replace("60", "61"))
    assert read_bids(cohort, 1, public=False).scans["scan"].tolist() == before
    (cohort / KEY_FILE).write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_bids(cohort, 1, public=False)
    (cohort / KEY_FILE).unlink()
    assert set(read_bids(cohort, 1, public=False).scans["scan"]).isdisjoint(before)


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
    scans = read_bids(cohort, 1, public=True).scans.set_index("scan")
    assert list(scans["sex"]) == ["F", "F", "M", "M", "F"]
    assert scans.loc["sub-02_ses-M012", "months"] == pytest.approx(12, abs=0.05)
    write(cohort / "sub-02" / "sub-02_sessions.tsv", "session_id\tdays", "M000\t0", "M012\t730.5")
    scans = read_bids(cohort, 1, public=True).scans.set_index("scan")
    assert scans.loc["sub-02_ses-M012", "months"] == 24


def test_months_that_some_rows_lack_are_counted_from_those_that_have_them(cohort: Path) -> None:
    write(
        cohort / "sub-02" / "sub-02_sessions.tsv",
        "session_id\tmonths\tacq_time",
        "ses-M000\t6\t2020-01-01T10:00:00",
        "ses-M012\tn/a\t2021-01-01T10:00:00",
    )
    scans = read_bids(cohort, 1, public=True).scans.set_index("scan")
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


def link_a_session_to_nothing(folder: Path) -> None:
    (folder / "sub-02/ses-M036").symlink_to(folder / "nowhere")


TABLE = "participants.tsv"
VISITS = "sub-01/sub-01_sessions.tsv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / TABLE).unlink(), r"participants.tsv: the table of participants does not"),
        (edit(TABLE, "participant_id", "x"), r"no column is known to be the subject .*columns: x"),
        (
            edit(TABLE, "\t65\t", "\told\t"),
            r"ages are not between 0 and 120.*\(old 1\), the first in line 4, sub-03",
        ),
        (
            edit(TABLE, "\t65\t", "\t650\t"),
            r'\(650 1\), the first in line 4.*\{age: \{"650": n/a\}\}',
        ),
        (edit(TABLE, "65\tF", "65\tQ"), r"words for sex are not known \(Q 1\).*\{Q: n/a\}"),
        (edit(TABLE, "CN\tb", "CN\tb\tc"), r"participants.tsv: line 4 has more cells than"),
        (
            edit(TABLE, "sub-03\t", "sub-02\t"),
            r"sub-02 is listed twice, in lines 3 and 4, with age",
        ),
        (edit(VISITS, "\t13", "\t0"), r"ses-M000 and ses-M012 are both at month 0"),
        (edit(VISITS, "\t13", "\t-3"), r"line 3, ses-M012: the time since the first visit"),
        (edit(VISITS, "ses-M012\t", "ses-M000\t"), r"line 3: ses-M000 is listed twice, with diff"),
        (edit(VISITS, "session_id", "visit"), r"sessions.tsv: no column is known to be the sessi"),
        (edit(VISITS, "71.6", "119.9"), None),
        (edit(VISITS, "71.6", "n/a"), None),
    ],
)
def test_each_fault_names_file_and_remedy(
    cohort: Path, change: Callable[[Path], object], message: str | None
) -> None:
    change(cohort)
    if message is None:
        read_bids(cohort, 1, public=True)
        return
    with pytest.raises(InputError, match=message) as caught:
        describe_bids(cohort, public=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        read_bids(cohort, 1, public=True)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (edit(TABLE, "\tsex", "\tx"), Kind.SEX, r"no known column gives the sex.*columns: \{sex:"),
        (edit(TABLE, "\tdiagnosis", "\tx"), Kind.DIAGNOSIS, r"no known column gives the diagnosis"),
        (edit(TABLE, "\t65\t", "\tn/a\t"), Kind.AGE, r"1 of 5 scans have no known age"),
        (
            edit(TABLE, "\t65\t", "\t89+\t"),
            Kind.AGE,
            r"are a limit or a range.*\(89\+ 1\).*\{\"89\+\": \"89\"\}",
        ),
        (edit(TABLE, "65\tF\tCN", "65\tF\t"), Kind.DIAGNOSIS, r"1 of 5 scans have no known diagn"),
        (edit(TABLE, "65\tF", "65\tother"), Kind.SEX, r"1 of 5 scans have no known sex"),
        (edit(TABLE, "sub-03\t", "sub-04\t"), Kind.NO_ROW, r"sub-03 has scans but no row"),
        (edit(TABLE, "sub-03\t", "sub-04\t"), Kind.NO_SCAN, r"sub-04 has no T1-weighted scan"),
        (
            edit(TABLE, "\tsite", "\tage"),
            Kind.TABLE,
            r"2 columns are called age; the first is read",
        ),
        (
            lambda f: touch(f, "sub-03", extra="run-2"),
            Kind.REPEAT,
            r"sub-03_T1w.nii.gz is taken, n",
        ),
        (edit(VISITS, "ses-M012\t", "ses-M024\t"), Kind.NO_ROW, r"ses-M012 has a scan but no row"),
        (
            edit(VISITS, "ses-M012\t", "ses-M024\t"),
            Kind.SESSION,
            r"ses-M024 has no T1-weighted sca",
        ),
        (edit(VISITS, "ses-M012\t", "n/a\t"), Kind.TABLE, r"line 3 names no session"),
        (
            edit(VISITS, "\t13", "\t24"),
            Kind.TIME,
            r"at month 24 by the months and at month 12 by t",
        ),
        (edit(VISITS, "71.6", "69"), Kind.AGE, r"the age falls from 70.5 at ses-M000 to 69"),
        (
            edit(VISITS, "71.6", "79"),
            Kind.AGE,
            r"age is 79 in the table of sessions.* 71.6 by that",
        ),
        (lambda f: touch(f, "sub-03", "ses-late"), Kind.TIME, r"sub-03 ses-late is left out"),
        (link_a_session_to_nothing, Kind.UNREADABLE, r"ses-M036 is left out: it is a link"),
        (link_to_nothing, Kind.UNREADABLE, r"sub-03_T1w.nii.gz is left out: it is a link"),
    ],
)
def test_what_is_left_out_or_decided_is_noted(
    cohort: Path, change: Callable[[Path], object], kind: Kind, message: str
) -> None:
    change(cohort)
    notices = read_bids(cohort, 1, public=True).notices
    assert any(n.kind is kind and re.search(message, n.text) for n in notices), notices


def test_notices_of_a_restricted_cohort_show_no_label(cohort: Path) -> None:
    touch(cohort, "sub-03", extra="run-2")
    notices = read_cohort(cohort, public=False).notices
    (row,) = tabulate_notices(notices, cohort, public=False).to_dict("records")
    assert "sub-03" not in str(row) and row["subject"].startswith("sub-p")
    assert tabulate_notices(notices, cohort, public=True)["subject"].item() == "sub-03"


def test_a_file_of_two_participants_is_a_fault_and_of_two_visits_a_notice(cohort: Path) -> None:
    for name in ("sub-03", "sub-01/ses-M000"):
        next((cohort / name).glob("anat/*")).write_bytes(b"head")
    with pytest.raises(InputError, match=r"sub-01_ses-M000_.* and sub-03/.* are the same scan"):
        describe_bids(cohort, public=True)
    for level in (1, 9):
        name = ("sub-03", "sub-01/ses-M000")[level == 9]
        packed = gzip.compress(bytes(range(200)) * 9, level, mtime=level)
        next((cohort / name).glob("anat/*")).write_bytes(packed)
    with pytest.raises(InputError, match=r"sub-01_ses-M000_.* and sub-03/.* are the same scan"):
        read_bids(cohort, 1, public=True)
    next((cohort / "sub-01/ses-M000").glob("anat/*")).write_bytes(b"head")
    next((cohort / "sub-03").glob("anat/*")).write_bytes(b"other")
    next((cohort / "sub-01/ses-M012").glob("anat/*")).write_bytes(b"head")
    notices = read_bids(cohort, 1, public=True).notices
    assert [notice.kind for notice in notices] == [Kind.IDENTICAL]


def test_an_age_at_the_scan_is_not_one_of_month_0(cohort: Path) -> None:
    for path in (cohort / "sub-02/ses-M000").glob("anat/*"):
        path.unlink()
    for name, age in (("age", 61), ("age_at_baseline", 61), ("age_at_scan", 60)):
        edit(TABLE, cohort.joinpath(TABLE).read_text().split("\t")[1], name)(cohort)
        scans = read_bids(cohort, 1, public=True).scans.set_index("scan")
        assert scans.loc["sub-02_ses-M012", "age"] == age


@pytest.mark.parametrize(
    ("intake", "taken"),
    [
        (Intake(), "sub-03_T1w.nii.gz"),
        (Intake(repeats="last"), "sub-03_run-10_T1w.nii.gz"),
        (Intake(prefer=("acq-b", "acq-a")), "sub-03_acq-b_T1w.nii.gz"),
    ],
)
def test_a_rule_of_the_settings_chooses_among_repeats(
    cohort: Path, intake: Intake, taken: str
) -> None:
    for extra in ("run-2", "run-10", "acq-a", "acq-b"):
        touch(cohort, "sub-03", extra=extra)
    row = read_bids(cohort, 1, True, intake).scans.iloc[-1]
    assert row["path"].endswith(f"/{taken}")
    assert len(row["repeats"].split("; ")) == 4 and taken not in row["repeats"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("visit", ["CN", "", "AD"]),
        ("baseline", ["CN"] * 3),
        ("last", ["AD"] * 3),
        ("stable", [""] * 3),
    ],
)
def test_a_diagnosis_belongs_to_a_visit_where_the_tables_say_so(
    cohort: Path, rule: str, expected: list[str]
) -> None:
    touch(cohort, "sub-02", "ses-M024")
    write(
        cohort / "sub-02/sub-02_sessions.tsv",
        "session_id\tdiagnosis",
        "M000\tCN",
        "M012\tn/a",
        "M024\tDementia",
    )
    settings = {"diagnosis_of": rule, "values": {"diagnosis": {"dementia": "AD"}}}
    read = read_bids(cohort, 1, True, Intake.from_settings(settings))
    scans = read.scans[read.scans["subject"] == "sub-02"]
    assert list(scans["diagnosis"]) == expected
    assert any("CN at first, AD from month 24" in notice.text for notice in read.notices)


def test_settings_name_columns_and_words_and_a_wrong_name_is_a_fault(cohort: Path) -> None:
    edit(TABLE, "\tage\tsex\tdiagnosis", "\tJahre\tG\tBefund")(cohort)
    settings = {
        "columns": {"age": "jahre", "sex": "G", "diagnosis": "Befund"},
        "values": {"sex": {"f": "M", "M": "n/a"}},
    }
    scans = read_bids(cohort, 1, True, Intake.from_settings(settings)).scans
    assert list(scans["sex"]) == ["M", "M", "", "", "M"]
    assert list(scans["age"])[-1] == 65 and set(scans["diagnosis"]) == {"AD", "CN"}
    with pytest.raises(InputError, match=r"no table has the column Geschlecht .*columns.sex"):
        read_bids(cohort, 1, True, Intake(columns={"sex": "Geschlecht"}))


def test_many_faults_are_reported_together(tmp_path: Path) -> None:
    write(tmp_path / "participants.tsv", "participant_id", *(f"sub-{i:02d}" for i in range(20)))
    for i in range(20):
        path = touch(tmp_path, f"sub-{i:02d}")
        path.rename(path.with_name("sub-99_T1w.nii.gz"))
    with pytest.raises(InputError, match=r"20 faults.*\(10\).* and 10 more"):
        describe_bids(tmp_path, public=True)


def test_empty_folders(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder does not exist"):
        describe_bids(tmp_path / "none", public=True)
    table = cohort / TABLE
    table.write_text(table.read_text().replace("sub-0", "x"))
    with pytest.raises(InputError, match=r"no participant of column participant_id \(sub-x1,"):
        describe_bids(cohort, public=True)
    empty = tmp_path / "empty"
    write(empty / TABLE, "participant_id\tage\tsex\tdiagnosis")
    with pytest.raises(InputError, match="there is no T1-weighted scan that can be read"):
        describe_bids(empty, public=True)
