"""Cohorts as they come are read as they are, or refused with the setting that reads them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cohorts import COHORTS
from examples import EXAMPLES
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ldae.data.bids import Cohort, read_bids, read_cohort, tabulate_notices
from ldae.data.intake.names import MONTH_ZERO_AGES, PARTICIPANT_COLUMNS, SESSION_COLUMNS, Field
from ldae.data.intake.notices import Findings, paste, summarise_notices
from ldae.data.intake.settings import Intake
from ldae.data.intake.tables import read_table
from ldae.data.manifest import read_scans, write_scans
from ldae.data.pseudonyms import make_key
from ldae.errors import InputError
from ldae.workflow.config import complete_config
from ldae.workflow.plan import cohort_fingerprint, plan_study, summarise_cohort

WAVES = {"session_months": {"wave1": 0, "wave2": 48}}


class Outcome(NamedTuple):
    """How a cohort ends under some settings."""

    cohort: str
    settings: Mapping[str, Any]
    columns: Mapping[str, str]
    """Columns of the table of scans, values separated by blanks and empty ones written ``-``."""
    notices: tuple[str, ...]
    left_out: tuple[str, ...]


OUTCOMES = [
    Outcome(
        "clinica_adni",
        {},
        {
            "diagnosis": "CN CN MCI MCI MCI AD AD AD AD CN CN CN MCI - MCI AD AD",
            "months": "0 12 24 0 12 24 0 12 24 0 12 24 0 12 24 0 12",
            "age": "70 71 72 71 72 73 72 73 74 73 74 75 74 75 76 75 76",
        },
        (
            "sub-ADNI127S0112 has no T1-weighted scan and is left out",
            "sub-ADNI023S0042 ses-M024 has no T1-weighted scan",
            "sub-ADNI002S0413: MCI at first, AD from month 24",
            "2 participants change their diagnosis, and 2 visits differ from the first",
            "the time of 17 visits is counted by the date, not by the label",
        ),
        (),
    ),
    Outcome(
        "clinica_adni",
        {"diagnosis_of": "baseline", "values": {"diagnosis": {"LMCI": "LMCI"}}},
        {"diagnosis": "CN CN CN MCI MCI MCI AD AD AD CN CN CN MCI MCI MCI AD AD"},
        ("each visit has the baseline diagnosis of its participant",),
        (),
    ),
    Outcome(
        "clinica_adni",
        {"diagnosis_of": "last"},
        {"diagnosis": "MCI MCI MCI AD AD AD AD AD AD CN CN CN MCI MCI MCI AD AD"},
        (),
        (),
    ),
    Outcome(
        "clinica_adni",
        {"diagnosis_of": "stable"},
        {"diagnosis": "- - - - - - AD AD AD CN CN CN MCI MCI MCI AD AD"},
        ("visits differ from the first; they count as participants without a diagnosis",),
        (),
    ),
    Outcome(
        "clinica_oasis3",
        {},
        {"months": "0 36 0 36 0 36 0 36 0 36 0 36"},
        ("run-01_T1w.nii.gz is taken, not sub-OAS30017_ses-M000_run-02_T1w.nii.gz",),
        (
            "nobody in the cohort is diagnosed AD or CN; its tables have, with numbers of scans, "
            "AD Dementia 4, Cognitively normal 4, uncertain dementia 4.",
            "{values: {diagnosis: {AD Dementia: AD, Cognitively normal: CN, "
            "uncertain dementia: uncertain dementia}}}",
        ),
    ),
    Outcome(
        "clinica_oasis3",
        {"columns": {"diagnosis": "cdr"}, "values": {"diagnosis": {0: "CN", 0.5: "AD", 1: "AD"}}},
        {"diagnosis": "CN CN CN CN AD AD AD AD AD AD AD AD"},
        (),
        (),
    ),
    Outcome(
        "lifespan",
        {},
        {"age": "23 41 67 nan 58", "sex": "F M - F M", "diagnosis": "control " * 5},
        (
            "sub-104: age 89+ is a limit or a range",
            "ages that are a limit or a range are left out of the age probe (89+ 1)",
            "sub-106 has no T1-weighted scan and is left out",
            "sub-101 ses-wave2 is left out",
            "1 of 5 scans have no known sex",
        ),
        ("nobody in the cohort is diagnosed AD or CN",),
    ),
    Outcome(
        "lifespan",
        WAVES | {"values": {"age": {"89+": 89}}},
        {"months": "0 48 0 48 0 48 0 0", "age": "23 27 41 45 67 71 89 58"},
        (),
        ("{values: {diagnosis: {control: CN}}}",),
    ),
    Outcome(
        "coded",
        {
            "values": {"sex": {"0": "F", "1": "M"}, "diagnosis": {"0": "CN", "1": "AD"}},
            "ignore_leading_zeros": True,
        },
        {"sex": "F M F M F M", "diagnosis": "CN AD CN AD CN AD", "site": "Zürich " * 6},
        ("participants.tsv is not in Unicode; it is read as Latin-1",),
        (),
    ),
    Outcome(
        "shadows",
        {},
        {"scan": " ".join(f"sub-{i:02d}" for i in range(6))},
        (
            "sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz is a derivative",
            "sub-02_T1w.nii.gz is taken, not sub-02_rec-defaced_T1w.nii.gz",
            "sub-03_T1w.nii.gz is taken, not sub-03_acq-MPRAGE_run-2_T1w.nii.gz",
        ),
        (),
    ),
    Outcome(
        "times",
        {},
        {"months": "0 36 0 12 24 0 24 4 4 28", "age": "70 73 70 69 72 70 72 70 70 72"},
        (
            "sub-A ses-M012 is at month 35.98 by the date and at month 12 by the label; the date",
            "sub-B ses-M012: the age falls from 70 at ses-M000 to 69",
        ),
        ("nobody in the cohort is diagnosed AD",),
    ),
    Outcome(
        "plain_csv",
        {"table": "scans.csv"},
        {
            "scan": "sub-P0_ses-M000 sub-P0_ses-M024 sub-P1_ses-M000 sub-P2_ses-M000 "
            "sub-P3_ses-M000 sub-P4_ses-M000 sub-P5_ses-M000",
            "diagnosis": "CN MCI CN AD AD CN AD",
            "age": "61 63 62 63 64 65 66",
        },
        (
            "scans of 2019/Patient 0 T1.nii.gz is taken, not scans of 2019/Patient 0 again.nii.gz",
            "line 10: nowhere.nii.gz is left out: there is no such file",
            "sub-P6 has no T1-weighted scan and is left out",
            "sub-P0: CN at first, MCI from month 24",
        ),
        (),
    ),
]
IXI = {
    "table": "IXI.csv",
    "columns": {"subject": "IXI_ID", "path": "IXI{IXI_ID:0>3}-*-T1.nii.gz"},
}
FAULTS = {
    "coded": (
        "words for sex are not known (0 3, 1 3)",
        "diagnoses are numbers (0 3, 1 3)",
        "6 labels match their folders but for leading zeros (sub-1, sub-0001)",
    ),
    "strangers": (
        "sub-05 is listed twice, in lines 7 and 8, with age 65.0 and 66.0",
        "sub-03/anat/sub-04_T1w.nii.gz: the file's name says sub-04 and its folder sub-03",
        "sub-00/anat/sub-00_T1w.nii.gz and sub-05/anat/sub-05_T1w.nii.gz are the same scan",
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, make in COHORTS.items():
        made[name] = tmp_path_factory.mktemp(name)
        make(made[name])
    return made


def read(folder: Path, settings: Mapping[str, Any]) -> tuple[Cohort, dict[str, Any]]:
    """The cohort under these settings and the defaults, and the complete settings."""
    cohort = {"source": "bids", "public": True, **settings}
    given = {"cohort": cohort, "bids_folder": str(folder)}
    config = complete_config(given | {"pathvars": {"results": str(folder.parent / "results")}})
    words = {"EMCI": "MCI", "LMCI": "MCI"} | config["cohort"]["values"]["diagnosis"]
    config["cohort"]["values"]["diagnosis"] = words
    return read_bids(folder, 1, True, Intake.from_settings(config["cohort"])), config


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: f"{one.cohort}-{len(one.settings)}")
def test_a_cohort_is_read_as_it_is(
    folders: dict[str, Path], tmp_path: Path, outcome: Outcome
) -> None:
    cohort, config = read(folders[outcome.cohort], outcome.settings)
    for column, expected in outcome.columns.items():
        values = cohort.scans[column]
        found = values.round(0) if column in ("age", "months") else values
        assert [f"{v:g}" if isinstance(v, float) else v or "-" for v in found] == expected.split()
    texts = "\n".join(notice.text for notice in cohort.notices)
    assert [text for text in outcome.notices if text not in texts] == []
    reasons = "\n".join(plan_study(config, summarise_cohort(config)).left_out.values())
    assert [text for text in outcome.left_out if text not in reasons] == []
    assert ("is diagnosed" in reasons) == bool(outcome.left_out)
    write_scans(cohort.scans, tmp_path / "scans.tsv")
    written = read_scans(tmp_path / "scans.tsv")
    assert written["age"].isna().equals(cohort.scans["age"].isna())
    assert written["sex"].tolist() == cohort.scans["sex"].tolist()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_cohort_that_contradicts_itself_is_refused_with_all_faults(
    folders: dict[str, Path], name: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(folders[name], {})
    message = str(caught.value)
    assert f"{len(FAULTS[name])} faults" in message and "\n" not in message
    for text in FAULTS[name]:
        assert text in message


def pasted(text: str) -> dict[str, Any]:
    """All settings that a message proposes, as if they were pasted into one file."""
    found: dict[str, Any] = {}
    for start in (match.start() for match in re.finditer(r"cohort: \{", text)):
        ends = (i + 1 for i, letter in enumerate(text) if i > start and letter == "}")
        end = next(i for i in ends if text[start:i].count("{") == text[start:i].count("}"))
        for key, value in yaml.safe_load(text[start:end])["cohort"].items():
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
    return found


def test_the_settings_of_a_refusal_can_be_pasted(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError) as caught:
        read(folders["coded"], {})
    scans = read(folders["coded"], pasted(str(caught.value)))[0].scans
    assert scans["sex"].tolist() == list("FMFMFM")
    assert scans["diagnosis"].tolist() == ["CN", "AD"] * 3


@pytest.mark.parametrize("name", ["clinica_oasis3", "lifespan"])
def test_the_settings_of_a_notice_can_be_pasted(folders: dict[str, Path], name: str) -> None:
    cohort, config = read(folders[name], {})
    left_out = plan_study(config, summarise_cohort(config)).left_out.values()
    settings = pasted(" ".join([*summarise_notices(cohort.notices), *left_out]))
    again = read(folders[name], settings)[0].scans
    assert len(again) == {"clinica_oasis3": 12, "lifespan": 8}[name]
    assert "CN" in set(again["diagnosis"]) and again["age"].notna().all()


@pytest.mark.parametrize("text", ["0", "89+", "n/a", "no", "Zürich", "a: b", "{x}", "it's", " x"])
def test_any_word_can_be_pasted(text: str) -> None:
    settings = yaml.safe_load(paste(values={"sex": {text: text}}, ignore_leading_zeros=True))
    assert settings == {"cohort": {"values": {"sex": {text: text}}, "ignore_leading_zeros": True}}


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_tables_of_any_delimiter_and_encoding_are_read_alike(
    tmp_path: Path, delimiter: str, end: str, encoding: str
) -> None:
    lines = [("participant_id", "PTGENDER", "Site"), ("sub-1", "Female", "Zürich"), ("", "", "")]
    path = tmp_path / "participants.tsv"
    path.write_bytes("".join(delimiter.join(line) + end for line in lines).encode(encoding))
    table = read_table(path, PARTICIPANT_COLUMNS, {}, Findings())
    cells = {Field.SUBJECT: "sub-1", Field.SEX: "Female", Field.SITE: "Zürich"}
    assert [table.cells(row) for _, row in table.rows] == [cells]


@pytest.mark.parametrize("name", [*MONTH_ZERO_AGES, "AGE", "Age (years)", "AGE_BL", " age "])
def test_known_names_of_columns_are_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "participants.tsv"
    path.write_text(f"participant_id,{name}\nsub-1,70\n", encoding="utf-8")
    table = read_table(path, PARTICIPANT_COLUMNS, {}, Findings())
    assert table.places[Field.AGE] == name.strip()


def test_names_are_listed_once_and_in_lower_case() -> None:
    for columns in (PARTICIPANT_COLUMNS, SESSION_COLUMNS):
        names = [name for known in columns.values() for name in known]
        assert len(names) == len(set(names)) and all(name == name.lower() for name in names)


def test_a_scan_behind_a_linked_session_is_noticed_when_it_is_replaced(tmp_path: Path) -> None:
    bids, store = tmp_path / "bids", tmp_path / "store"
    COHORTS["shadows"](bids)
    anat = bids / "sub-00/anat"
    anat.rename(store)
    anat.symlink_to(store)
    config = {"cohort": {"source": "bids"}, "bids_folder": str(bids)}
    before = cohort_fingerprint(config)
    assert read_cohort(bids, True).scans["subject"].iloc[0] == "sub-00"
    (store / "sub-00_T1w.nii.gz").write_bytes(b"another head")
    assert cohort_fingerprint(config) != before


@pytest.fixture(scope="module")
def damaged(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort whose tables are written again and again."""
    return Path(
        shutil.copytree(folders["clinica_adni"], tmp_path_factory.mktemp("damaged") / "cohort")
    )


TABLES = ("participants.tsv", "sub-ADNI002S0295/sub-ADNI002S0295_sessions.tsv")
DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=2)), min_size=1, max_size=6
)
"""Places in a file, as shares of its length, and the bytes that replace the one that is there."""


@given(damage=st.tuples(DAMAGE, DAMAGE))
@settings(parent=EXAMPLES, max_examples=100)
def test_a_damaged_table_is_read_or_refused_and_never_ends_in_a_trace(
    folders: dict[str, Path], damaged: Path, damage: tuple[list[tuple[float, bytes]], ...]
) -> None:
    """Bytes of both tables are changed, removed and doubled."""
    for name, places in zip(TABLES, damage, strict=True):
        content = bytearray((folders["clinica_adni"] / name).read_bytes())
        for share, piece in places:
            place = int(share * len(content))
            content[place : place + 1] = piece
        (damaged / name).write_bytes(content)
    try:
        scans = read_cohort(damaged, True).scans
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert set(scans["sex"]) <= {"F", "M", ""}
        assert scans["age"].dropna().between(0, 120).all()


ODD_AGES = (
    "70",
    "70.5",
    "70,5",
    " 71 ",
    "n/a",
    "",
    "89+",
    "60-65",
    "-1",
    "1e3",
    "old",
    "٧٠",
    "inf",
)
ODD_SEXES = ("F", "m", "Female", "n/a", "", "other", "0", "1", "2", "?", "F\u00a0", "=M")
ODD_WORDS = ("CN", "AD", "Dementia", "n/a", "", "1", "0.5", "<b>", "#REF!", 'a "b"', "Zürich")
HEADERS = (
    ("age", "Age (years)", "age_bl", "alter"),
    ("sex", "GENDER", "M/F"),
    ("dx1", "group", "cdr"),
)


ODD_LABELS = tuple(f"sub-{i:02d}" for i in range(6))


@st.composite
def odd_tables(draw: st.DrawFn) -> str:
    """A table with odd cells, of some of these participants and of another one."""
    names = ["participant_id", *(draw(st.sampled_from(one)) for one in HEADERS)]
    chosen = draw(st.lists(st.sampled_from(ODD_LABELS), min_size=3, unique=True))
    chosen += chosen[: draw(st.integers(0, 1))]
    # mostly what a table has, so that some can be read
    pools = [
        pool[: draw(st.sampled_from([2, 2, 2, 5, len(pool)]))]
        for pool in (ODD_AGES, ODD_SEXES, ODD_WORDS)
    ]
    rows = [
        [label.removeprefix("sub-") if draw(st.integers(0, 4)) == 4 else label]
        + [draw(st.sampled_from(pool)) for pool in pools]
        for label in [*chosen, "sub-90"]
    ]
    kept = [0, *(i for i in (1, 2, 3) if draw(st.integers(0, 4)))]
    delimiter, end = draw(st.sampled_from("\t;")), draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    return "".join(delimiter.join(row[i] for i in kept) + end for row in [names, *rows])


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort without tables."""
    folder = tmp_path_factory.mktemp("odd")
    COHORTS["shadows"](folder)
    return folder


@given(text=odd_tables(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
@settings(parent=EXAMPLES, max_examples=100)
def test_of_no_table_is_anybody_lost(odd: Path, text: str, encoding: str) -> None:
    """Whoever has a folder or a row is among the scans or named; a refusal is one line."""
    (odd / "participants.tsv").write_text(text, encoding=encoding)
    try:
        cohort = read_cohort(odd, True)
    except InputError as error:
        event("refused")
        assert "\n" not in str(error) and str(odd) in str(error)
        return
    event("read")
    scans, notices = cohort.scans, "\n".join(notice.text for notice in cohort.notices)
    for label in [*ODD_LABELS, "sub-90"]:
        assert label in set(scans["subject"]) or label in notices
    assert all((odd / path).is_file() for path in scans["path"])
    assert set(scans["sex"]) <= {"F", "M", ""}
    assert scans["age"].dropna().between(0, 120).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",path\n", ",where\n", r"no column is known to be the path .*columns: \{path: NAME\}"),
        ("P 1,0", "P-0,0", r"line 3: P 0 and P-0 would both be sub-P0"),
        ("P 0,24,63,F", "P 0,24,63,M", r"lines 2 and 9 give sub-P0 different values: sex F and M"),
        ("nowhere", "../nowhere", r"line 10: the file ../nowhere.nii.gz lies outside"),
        (
            "nowhere.nii.gz",
            "scans of 2021/Patient 0 T1.nii.gz\nP 6,0,71,M,n/a,scans of 2021/Patient 0 T1.nii.gz",
            r"sub-P6: .* is listed twice, with different values",
        ),
    ],
)
def test_a_table_of_scans_that_cannot_be_used_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    COHORTS["plain_csv"](tmp_path)
    table = tmp_path / "scans.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_cohort(tmp_path, True, Intake(table="scans.csv"))


def test_a_pattern_finds_the_files_of_a_table(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"ages are not between 0 and 120 .*\(0.0 1\)") as caught:
        read_cohort(folders["ixi_download"], True, Intake.from_settings(IXI))
    settings = IXI | pasted(str(caught.value))
    cohort = read_cohort(folders["ixi_download"], True, Intake.from_settings(settings))
    scans = cohort.scans.set_index("subject").loc[["sub-2", "sub-12", "sub-13", "sub-14"]]
    assert scans["path"].iloc[0] == "IXI002-Guys-0828-T1.nii.gz"
    assert scans["sex"].tolist() == list("FMMF")
    assert scans["age"].isna().tolist() == [False, False, True, True]
    texts = "\n".join(notice.text for notice in cohort.notices)
    assert "IXI.csv: sub-12 is listed twice with the same values" in texts
    assert "2 of 4 scans have no known age" in texts
    wrong = {"columns": {"subject": "IXI_ID", "path": "IXI{ID}.nii.gz"}}
    with pytest.raises(InputError, match=r"cannot be filled in \('ID'\).*IXI_ID, SEX_ID"):
        read_cohort(folders["ixi_download"], True, Intake.from_settings(IXI | wrong))
    many = {"columns": {"subject": "IXI_ID", "path": "IXI*-T1.nii.gz{IXI_ID:.0}"}}
    with pytest.raises(InputError, match=r"line 2: 4 files are called IXI\*-T1.nii.gz"):
        read_cohort(folders["ixi_download"], True, Intake.from_settings(IXI | many))


def test_a_table_of_scans_is_noticed_when_it_or_a_scan_changes(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for change in ("scans.csv", "scans of 2021/Patient 0 T1.nii.gz"):
        root = shutil.copytree(folders["plain_csv"], tmp_path / change.partition(".")[0])
        cohort = {"source": "bids", "public": True, "table": "scans.csv"}
        config = {"cohort": cohort, "bids_folder": str(root)}
        before = cohort_fingerprint(config)
        with (root / change).open("ab") as file:
            file.write(b"\n")
        assert cohort_fingerprint(config) != before
    with pytest.raises(InputError, match=r"there is no key .*\(ldae init does"):
        read_cohort(root, False, Intake(table="scans.csv"))


def test_notices_of_a_restricted_table_name_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files may be called by participants."""
    COHORTS["plain_csv"](tmp_path / "data")
    shutil.copy(
        tmp_path / "data/scans of 2019/Patient 0 T1.nii.gz",
        tmp_path / "data/scans of 2021/Patient 0 T1.nii.gz",
    )
    monkeypatch.chdir(tmp_path)
    assert make_key(tmp_path / "data") is not None
    assert make_key(tmp_path / "data") is None, "there is one"
    cohort = read_bids(tmp_path / "data", 1, False, Intake(table="scans.csv"))
    table = tabulate_notices(cohort.notices, tmp_path / "data", False)
    texts = "\n".join(table["notice"])
    for text in (
        "the file of line 2 is taken, not the file of line 8",
        "line 10: the file of line 10 is left out: there is no such file",
        "are the same scan",
    ):
        assert text in texts
    assert "Patient" not in texts and "sub-P" not in "".join(table.to_numpy().ravel())
