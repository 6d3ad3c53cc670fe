"""Labels of a restricted cohort are hidden as a whole, and the key outlives its table."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from pathlib import Path

import pytest

from ldae.data.bids import list_scans, read_bids
from ldae.data.pseudonyms import (
    KEPT_KEYS,
    KEY_FILE,
    LABEL,
    Pseudonyms,
    cohort_key,
    cohort_pseudonyms,
    keep_key,
    key_file,
    key_of,
    pseudonym,
)
from ldae.errors import InputError

KEY = bytes(range(32))
SUBJECTS = (
    "sub-01", "sub-HospitalA17", "sub-Anna-Maria", "sub-011_S_0002", "sub-Øyvind", "sub-Zoë",
    "sub-王", "sub-Anna Maria", "sub-O'Neill", "sub-a.b", "sub-ses-1", "sub-x_T1w", "sub-1(2)",
    "sub-p0123456789ab",
)  # fmt: skip
SHOWN_SESSIONS = (
    "ses-M012", "ses-m6", "ses-24mo", "ses-bl", "ses-baseline", "ses-01", "ses-001", "ses-d0365",
    "ses-wave1", "ses-V04", "ses-2",
)  # fmt: skip
HIDDEN_SESSIONS = (
    "ses-20150312", "ses-2015", "ses-0312", "ses-2015-03-12", "ses-HospitalA", "ses-Zürich",
    "ses-march2015", "ses-y2015", "ses-d20150312", "ses-siteB01", "ses-M2015",
)  # fmt: skip
TEXTS = (
    "{s}/anat/{s}_T1w.nii.gz", "{s}/{v}/anat/{s}_{v}_acq-fast_T1w.nii", "{s}_{v}_T1w.json",
    "the scan of {s} is broken.", "line 3, {s}: age 'x' is no number", "{s}/{s}_sessions.tsv",
    "masks/{s}_{v}_desc-brain_mask.nii.gz", "({s})", "{s}", "'{s}', {s}; {v}.",
)  # fmt: skip


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_whole_label_is_hidden_whatever_its_characters(subject: str, text: str) -> None:
    names = Pseudonyms(KEY, SUBJECTS)
    for session in (SHOWN_SESSIONS[0], HIDDEN_SESSIONS[0]):
        shown = text.format(s=names.show(subject), v=names.show(session))
        assert names.hide(text.format(s=subject, v=session)) == shown
        assert names.hide(shown) == shown, "a pseudonym is not replaced again"
        assert LABEL.search(shown) is None
        assert re.fullmatch("sub-p[0-9a-f]{12}", names.show(subject))


@pytest.mark.parametrize("label", ["Anna-Maria", "011_S_0002", "Øyvind", "王", "Zoe2", "a.b"])
@pytest.mark.parametrize("text", TEXTS)
def test_of_a_label_that_no_folder_has_nothing_is_left(label: str, text: str) -> None:
    hidden = Pseudonyms(KEY).hide(text.format(s=f"sub-{label}", v="ses-20150312"))
    for part in (*re.split(r"[-_.]", label), "2015"):
        assert len(part) < 2 or part not in re.sub("p[0-9a-f]{12}", "", hidden)


@pytest.mark.parametrize("session", SHOWN_SESSIONS)
def test_a_session_that_counts_visits_or_time_is_shown(session: str) -> None:
    names = Pseudonyms(KEY)
    assert names.show(session) == session
    assert names.hide(f"sub-1/{session}/x") == f"{names.show('sub-1')}/{session}/x"
    assert LABEL.search(f"_{session}_") is None


@pytest.mark.parametrize("session", HIDDEN_SESSIONS)
def test_a_session_that_may_be_a_date_or_a_site_is_hidden(session: str) -> None:
    names = Pseudonyms(KEY)
    assert re.fullmatch("ses-p[0-9a-f]{12}", names.show(session))
    assert names.hide(f"x/{session}/y_{session}_T1w.nii") == (
        f"x/{names.show(session)}/y_{names.show(session)}_T1w.nii"
    )
    assert LABEL.search(f"_{session}_")


def test_words_are_no_labels() -> None:
    names = Pseudonyms(KEY, ["sub-01"])
    for text in ("", "processes-of analyses-2015", "{subject}/ses-{session}", "sub-*/ses-*", "a"):
        assert names.hide(text) == text
    assert names.hide("sub-011 sub-01") == f"{names.show('sub-011')} {names.show('sub-01')}"
    assert names.show("") == ""


def test_both_spellings_of_an_accent_are_one_label() -> None:
    composed, apart = (unicodedata.normalize(form, "sub-Zoë") for form in ("NFC", "NFD"))
    assert composed != apart and pseudonym(composed, KEY) == pseudonym(apart, KEY)
    assert Pseudonyms(KEY, [composed]).hide(f"{apart}/x") == f"{pseudonym(composed, KEY)}/x"


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cohort with visits by date, and an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    bids = tmp_path / "bids"
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for subject in ("sub-011_S_0002", "sub-Anna-Maria"):
        rows.append(f"{subject}\t70\tF\tCN")
        for visit in ("ses-20150312", "ses-20160312"):
            image = bids / subject / visit / "anat" / f"{subject}_{visit}_T1w.nii.gz"
            image.parent.mkdir(parents=True)
            image.touch()
        table = "session_id\tmonths\nses-20150312\t0\nses-20160312\t12\n"
        (bids / subject / f"{subject}_sessions.tsv").write_text(table)
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    return bids


def test_scans_of_a_restricted_cohort_reveal_neither_name_nor_date(cohort: Path) -> None:
    scans = read_bids(cohort, 1, public=False).scans
    shown = scans.drop(columns=["path", "sha256"]).to_csv()
    assert not re.search("2015|2016|Anna|Maria|011|_S_", shown)
    assert scans["scan"].is_unique and scans["months"].tolist() == [0, 12, 0, 12]
    assert set(list_scans(cohort, public=False)["scan"]) == set(scans["scan"])
    hide = cohort_pseudonyms(cohort).hide
    assert {Path(hide(path)).name.partition("_T1w")[0] for path in scans["path"]} == set(
        scans["scan"]
    )
    assert "sub-Anna-Maria_ses-20150312" in set(read_bids(cohort, 1, public=True).scans["scan"])


def test_a_label_that_would_be_read_as_a_session_is_refused(cohort: Path) -> None:
    folder = (cohort / "sub-Anna-Maria").rename(cohort / "sub-a_ses-1")
    for path in sorted(folder.rglob("sub-Anna-Maria*")):
        path.rename(path.with_name(path.name.replace("sub-Anna-Maria", "sub-a_ses-1")))
    table = cohort / "participants.tsv"
    table.write_text(table.read_text().replace("sub-Anna-Maria", "sub-a_ses-1"))
    with pytest.raises(InputError, match=r"sub-a_ses-1: the label contains _ses-.*Rename"):
        list_scans(cohort, public=True)
    assert len(list_scans(cohort, public=False)) == 4


@pytest.mark.parametrize("writable", [True, False])
def test_names_stay_when_the_table_changes(
    cohort: Path, writable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_bids(cohort, 1, public=False).scans["scan"].tolist()
    if not writable:
        (cohort / "code").touch()  # root may write where others may not
    written = keep_key(cohort)
    assert written is not None and (written == cohort / KEY_FILE) == writable
    assert written.is_relative_to(cohort if writable else KEPT_KEYS)
    assert key_file(cohort) == written and keep_key(cohort) is None
    table = cohort / "participants.tsv"
    table.write_text(table.read_text().replace("70", "71"))
    assert read_bids(cohort, 1, public=False).scans["scan"].tolist() == before
    assert not [file for file in written.parent.iterdir() if file != written]


def test_a_key_of_ones_own_is_left_as_it_is(cohort: Path) -> None:
    (cohort / KEY_FILE).parent.mkdir()
    (cohort / KEY_FILE).write_bytes(b"my secret")
    assert keep_key(cohort) is None
    assert (cohort / KEY_FILE).read_bytes() == b"my secret"


def test_without_a_key_the_remedy_is_reported(cohort: Path) -> None:
    os.unlink(cohort / "participants.tsv")
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*code/pseudonyms.key"):
        cohort_key(cohort)
    with pytest.raises(InputError, match="cannot be read"):
        keep_key(cohort)
    shutil.rmtree(cohort)
    with pytest.raises(InputError, match="Name the folder"):
        cohort_pseudonyms(cohort)


def test_a_kept_key_is_not_revealed_by_the_digest_of_its_file(cohort: Path) -> None:
    key = cohort_key(cohort)
    keep_key(cohort)
    assert key_of(cohort / KEY_FILE) == key == cohort_key(cohort)
