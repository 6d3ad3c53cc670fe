"""What ``ldae init`` finds in a folder, and the file of settings that it writes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml
from cases_page import page_cases, quoted
from cohorts import COHORTS, write_image, write_table

from ldae.__main__ import main
from ldae.data.bids import read_cohort
from ldae.data.intake import dicom, spreadsheets
from ldae.data.intake.images import is_caps, subject_labels
from ldae.data.intake.layouts import Layout, recognise
from ldae.data.intake.notices import Findings
from ldae.data.intake.settings import Intake
from ldae.data.intake.tables import read_table
from ldae.errors import InputError
from ldae.workflow.config import complete_config, merged
from ldae.workflow.plan import cohort_fingerprint, plan_study, summarise_cohort

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


class Screen(NamedTuple):
    """What init says of a cohort."""

    status: int
    lines: tuple[str, ...]
    """Parts of what is printed."""
    settings: dict[str, Any]
    """Section ``cohort`` of the file, but for source and public."""
    proposed: tuple[str, ...] = ()
    """Settings in comments of the file."""


SCREENS = {
    "clinica_adni": Screen(
        0,
        (
            "BIDS folder",
            "participants  6 with scans",
            "scans         17; 5 participants have three or more",
            "months        0 (6), 12 (6), 24 (5)",
            "age           70.3 to 76.3 years, known of 17 scans",
            "diagnosis     AD 6, CN 5, MCI 5, not known 1",
            "site          002 6, 011 6, 023 5",
            "split         train 4, val 1, test 1 participants",
            "Computed      task age, reconstruction, stochastic, throughput",
            "interpolation: no participant of the validation split has 3 visits, and 5 of the",
            "task ad_vs_cn: it takes 4 participants diagnosed AD in the training split",
            "sub-ADNI127S0112 has no T1-weighted scan and is left out",
            "2 participants change their diagnosis",
        ),
        {},
    ),
    "clinica_oasis3": Screen(
        0,
        ("diagnosis     AD 4, CN 4, uncertain dementia 4", "run-01_T1w.nii.gz is taken"),
        {"values": {"diagnosis": {"AD Dementia": "AD", "Cognitively normal": "CN"}}},
    ),
    "lifespan": Screen(
        0,
        (
            "sex           F 2, M 2, not known 1",
            "sub-106 has no T1-weighted scan",
            "sub-101 ses-wave2 is left out: its time is not known",
            "sub-104: age 89+ is a limit or a range",
        ),
        {"values": {"diagnosis": {"control": "CN"}}},
        (
            'values: {diagnosis: {control: CN}, age: {"89+": "89"}}',
            "session_months: {wave1: 0, wave2: 12}",
        ),
    ),
    "coded": Screen(
        1,
        (
            "Not usable",
            "words for sex are not known (0 3, 1 3)",
            "diagnoses are numbers (0 3, 1 3)",
            "6 labels match their folders but for leading zeros (sub-1, sub-0001)",
        ),
        {},
        (
            'values: {sex: {"0": F, "1": M}, diagnosis: {"0": CN, "1": AD}}',
            "ignore_leading_zeros: true",
        ),
    ),
    "shadows": Screen(
        0,
        (
            "scans         6; 0 participants have three",
            "repeats       2 scans are chosen from several (cohort.repeats)",
            "sub-02_rec-defaced_T1w.nii.gz",
        ),
        {},
    ),
    "times": Screen(
        0,
        (
            "sub-A ses-M012 is at month 35.98 by the date and at month 12 by the label",
            "sub-B ses-M012: the age falls from 70 at ses-M000 to 69",
        ),
        {},
    ),
    "plain_csv": Screen(
        0,
        ("table of scans", "diagnosis     AD 3, CN 3, MCI 1", "there is no such file"),
        {"table": "scans.csv"},
    ),
}
REFUSALS = {
    "strangers": (
        "sub-05 is listed twice, in lines 7 and 8",
        "the file's name says sub-04 and its folder sub-03",
        "are the same scan under different participants",
    ),
    "caps_t1_linear": (
        "CAPS folder",
        "participants  2 with scans",
        "months        0 (2), 12 (2), 24 (1)",
        "age           70.3 to 73.3 years, known of 5 scans",
        "2 subjects are too few to split",
    ),
    "ixi_download": (
        "download of IXI",
        "participants  2 with scans",
        "sub-IXI012 is listed twice with the same values",
        "sub-IXI013 is left out: age not known",
        "sub-IXI014: age 0.0 stands for no value",
        "2 of 4 scans have no known age",
        "2 subjects are too few to split",
    ),
}
"""Cohorts of which no study can be made, and what is said of them."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cohorts")
    for name, make in COHORTS.items():
        make(root / name)
    return {name: root / name for name in COHORTS}


@pytest.mark.parametrize("name", COHORTS)
def test_the_page_of_cases_says_what_is_printed_of_a_cohort(name: str) -> None:
    shown = SCREENS[name].lines if name in SCREENS else REFUSALS[name]
    assert quoted("Cohorts", name), "a part of what is printed"
    for part in quoted("Cohorts", name):
        assert any(part in line for line in shown)
    refused = name == "strangers" or (name in SCREENS and SCREENS[name].status != 0)
    assert refused is ("| refused" in page_cases("Cohorts")[name])


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def state(folder: Path) -> dict[str, int]:
    """Files below a folder with their times."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def overlay(path: Path) -> dict[str, Any]:
    """Settings of a file, complete, as a run has them."""
    return complete_config(merged(DEFAULTS, yaml.safe_load(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", SCREENS)
def test_a_cohort_is_described_and_its_settings_are_written(
    folders: dict[str, Path], working: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    expected, before = SCREENS[name], state(folders[name])
    assert main(["init", str(folders[name])]) == expected.status
    shown = capsys.readouterr().out
    assert [line for line in expected.lines if line not in shown] == []
    assert len(shown.splitlines()) <= 40, "one screen"
    assert state(folders[name]) == before, "nothing is written into the cohort"
    text = Path("study.yaml").read_text(encoding="utf-8")
    section = yaml.safe_load(text)["cohort"]
    assert section == {"source": "bids", "public": False, **expected.settings}
    comments = [line.strip(" #") for line in text.splitlines() if line.startswith("  #")]
    assert comments[2:] == list(expected.proposed)
    if expected.status == 0:
        assert "Wrote study.yaml. Next: ldae run --study study.yaml -n" in shown
        config = overlay(Path("study.yaml"))
        assert plan_study(config, summarise_cohort(config)).batches


@pytest.mark.parametrize("name", REFUSALS)
def test_a_cohort_that_cannot_be_used_gives_status_1(
    folders: dict[str, Path], working: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["init", str(folders[name])]) == 1
    shown = capsys.readouterr().out
    assert [line for line in REFUSALS[name] if line not in shown] == []
    assert state(working) == {}, "without a proposal there is nothing to write"


@pytest.mark.parametrize("name", ["clinica_adni", "coded", "ixi_download", "plain_csv"])
def test_a_check_writes_nothing(folders: dict[str, Path], working: Path, name: str) -> None:
    status = SCREENS[name].status if name in SCREENS else 1
    assert main(["init", str(folders[name]), "--check"]) == status
    assert state(working) == {}


def test_an_uncommented_proposal_makes_a_cohort_usable(
    folders: dict[str, Path], working: Path
) -> None:
    main(["init", str(folders["coded"])])
    text = Path("study.yaml").read_text(encoding="utf-8")
    for key in ("values", "ignore_leading_zeros"):
        text = text.replace(f"  # {key}:", f"  {key}:")
    Path("study.yaml").write_text(text, encoding="utf-8")
    assert summarise_cohort(overlay(Path("study.yaml"))).words == {"CN": 3, "AD": 3}


def test_files_are_not_overwritten(
    folders: dict[str, Path], working: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("study.yaml", "study_scans.tsv"):
        Path(name).touch()
        assert main(["init", str(folders["shadows"])]) == 2
        assert f"Error: {name}: it is there already" in caplog.text
        Path(name).unlink()


def ixi(root: Path, n: int = 12) -> None:
    """The download of IXI with as many participants, one without an age and one of age 0."""
    rows: list[dict[str, object]] = []
    for i in range(1, n + 1):
        age = {3: "", 5: 0.0}.get(i, 20.5 + 3 * i)
        rows.append({"IXI_ID": i, "SEX_ID (1=m, 2=f)": 1 + i % 2, "DOB": "", "AGE": age})
        write_image(root / "IXI-T1" / f"IXI{i:03d}-{('Guys', 'HH')[i % 2]}-{i:04d}-T1.nii.gz")
    rows += [rows[6], {"IXI_ID": 600, "SEX_ID (1=m, 2=f)": 2, "AGE": 44}]
    write_table(root / "IXI.csv", rows, ",")


@pytest.mark.parametrize("place", [".", "IXI-T1", "IXI.csv"])
def test_ixi_goes_from_its_download_to_a_plan(
    tmp_path: Path, working: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """Whatever part of it is named."""
    ixi(tmp_path / "download")
    (tmp_path / "download/IXI-T1/IXI099-HH-0001-T1.nii.gz").write_bytes(b"no row in the table")
    assert main(["init", str(tmp_path / "download" / place), "-o", "mine.yaml"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "participants  10 with scans",
        "sub-IXI003 is left out: age not known (cohort.required)",
        "sub-IXI007 is listed twice with the same values",
        "sub-IXI600 has no T1-weighted scan and is left out",
        "site          Guys 6, HH 4",
        "Computed      task age, reconstruction",
    ):
        assert line in shown
    config = overlay(Path("mine.yaml"))
    assert config["study"] == "mine" and config["cohort"]["table"] == "mine_scans.tsv"
    scans = summarise_cohort(config).scans
    assert scans["subject"].iloc[0] == "sub-IXI001" and scans["sex"].iloc[0] == "F"
    assert set(scans["subject"]).isdisjoint({"sub-IXI003", "sub-IXI005", "sub-IXI099"})
    assert scans["path"].iloc[0].endswith("IXI001-HH-0001-T1.nii.gz")


def test_the_table_that_was_written_is_read_again_when_it_changes(
    tmp_path: Path, working: Path
) -> None:
    ixi(tmp_path / "download")
    assert main(["init", str(tmp_path / "download")]) == 0
    config = overlay(Path("study.yaml"))
    before = cohort_fingerprint(config)
    with Path("study_scans.tsv").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert cohort_fingerprint(config) != before


def caps(root: Path, n: int = 4) -> tuple[Path, Path]:
    """A CAPS folder of a few participants, and the folder of its tables."""
    bids, derived = root / "bids", root / "caps"
    subjects = [f"sub-{i:02d}" for i in range(n)]
    rows = [
        {"participant_id": s, "age_bl": 60 + i, "sex": "FM"[i % 2]} for i, s in enumerate(subjects)
    ]
    write_table(bids / "participants.tsv", [*rows, {"participant_id": "sub-99", "age_bl": 50}])
    for subject in subjects:
        table = [
            {"session_id": f"ses-M{m:03d}", "diagnosis": w} for m, w in ((0, "CN"), (12, "MCI"))
        ]
        write_table(bids / subject / f"{subject}_sessions.tsv", table)
        for row in table:
            name = f"{subject}_{row['session_id']}_space-MNI152NLin2009cSym"
            folder = derived / "subjects" / subject / str(row["session_id"]) / "t1_linear"
            for kind in ("desc-Crop_res-1x1x1", "res-1x1x1"):
                write_image(folder / f"{name}_{kind}_T1w.nii.gz")
    return derived, bids


def test_a_caps_folder_is_read_with_the_tables_of_its_bids_folder(
    tmp_path: Path, working: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    derived, bids = caps(tmp_path)
    assert is_caps(derived) and not is_caps(bids)
    assert subject_labels(derived) == [f"sub-{i:02d}" for i in range(4)]
    assert main(["init", str(derived)]) == 0
    shown = capsys.readouterr().out
    assert "sub-99 has no T1-weighted scan" in shown and "4 participants change" in shown
    config = overlay(Path("study.yaml"))
    assert config["cohort"]["tables"] == str(bids)
    summary = summarise_cohort(config)
    assert summary.words == {"CN": 4, "MCI": 4}
    assert all(subject.startswith("sub-p") for subject in summary.visits), "pseudonyms"
    path = summary.scans["path"].iloc[0]
    assert path.startswith("subjects/sub-0") and "_desc-Crop_" in path
    before = cohort_fingerprint(config)
    (derived / path).write_bytes(b"another scan")
    assert cohort_fingerprint(config) != before


def test_tables_of_ones_own_take_the_place_of_those_of_a_cohort(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    write_table(tmp_path / "participants.tsv", [{"participant_id": "sub-00", "age": 33}])
    scans = read_cohort(folders["shadows"], True, Intake(tables=str(tmp_path))).scans
    assert scans["age"].tolist() == [33.0]


def caps_without_tables(root: Path) -> Path:
    derived, bids = caps(root)
    shutil.rmtree(bids)
    return derived


def caps_with_two_tables(root: Path) -> Path:
    derived, bids = caps(root)
    shutil.copytree(bids, root / "copy")
    return derived


def two_tables(root: Path) -> Path:
    COHORTS["plain_csv"](root)
    shutil.copy(root / "scans.csv", root / "scans2.csv")
    return root


def images_alone(root: Path) -> Path:
    write_image(root / "a.nii.gz")
    return root


def ixi_without_table(root: Path) -> Path:
    ixi(root / "download")
    (root / "download/IXI.csv").unlink()
    return root / "download"


def ixi_without_scans(root: Path) -> Path:
    ixi(root)
    shutil.rmtree(root / "IXI-T1")
    return root / "IXI.csv"


def ixi_without_numbers(root: Path) -> Path:
    ixi(root)
    write_table(root / "IXI.csv", [{"ID": 1, "AGE": 30}], ",")
    return root


def no_paths(root: Path) -> Path:
    write_table(root / "scans.csv", [{"subject": "a", "age": 70}], ",")
    return root / "scans.csv"


def with_dicom(root: Path) -> Path:
    (root / "series").mkdir()
    (root / "series/IM0001").write_bytes(bytes(128) + b"DICM")
    return root


def no_excel(root: Path) -> Path:
    (root / "scans.xlsx").write_bytes(b"no workbook")
    return root / "scans.xlsx"


def empty(root: Path) -> Path:
    return root


def other_files(root: Path) -> Path:
    (root / "notes.txt").touch()
    return root


def nowhere(root: Path) -> Path:
    return root / "nowhere"


UNKNOWN: dict[Callable[[Path], Path], str] = {
    nowhere: "there is no such file or folder. Correct the path",
    empty: "this is no cohort that is known: it is empty. Give a BIDS folder",
    other_files: "this is no cohort that is known: it holds notes.txt. Give",
    images_alone: "1 NIfTI files, and no table that says whose they are",
    two_tables: "several tables list scans: scans.csv, scans2.csv. Name one of them",
    no_paths: "no column names files (columns: subject, age)",
    caps_without_tables: "no folder beside it has one of these participants. Name the BIDS folder",
    caps_with_two_tables: "2 folders beside it have one of these participants",
    ixi_without_table: "the table of IXI's participants (IXI.xls) is not there",
    ixi_without_scans: "there is no scan of IXI beside the table",
    ixi_without_numbers: "it has no column IXI_ID (columns: ID, AGE)",
    with_dicom: "DICOM is converted by dcm2niix, which is not here. Install it",
    no_excel: "scans.xlsx: ",
}


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case.__name__)
def test_what_is_no_cohort_is_refused_with_a_remedy(
    tmp_path: Path,
    working: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: Callable[[Path], Path],
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", str(case(root))]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Not usable: ") and UNKNOWN[case] in message
    assert message.count("\n") == 1 and state(working) == {}


def test_a_spreadsheet_says_which_package_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in spreadsheets.READERS.values():
        monkeypatch.setitem(sys.modules, package, None)
    for suffix, package in spreadsheets.READERS.items():
        path = tmp_path / f"IXI{suffix}"
        path.touch()
        with pytest.raises(InputError, match=rf"pip install {package}\), or save .* as IXI.csv"):
            spreadsheets.read_rows(path)


def test_a_spreadsheet_is_read_like_text(
    tmp_path: Path, working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells are as openpyxl gives them, which is not among the dependencies."""
    ixi(tmp_path / "download")
    table = read_table(tmp_path / "download/IXI.csv", {}, {}, Findings())
    cells = [[cell.replace("n/a", "") for cell in row.values()] for _, row in table.rows]
    sheet = pd.DataFrame([list(table.columns), *cells], dtype=str)
    as_text = recognise(tmp_path / "download").rows
    (tmp_path / "download/IXI.csv").rename(tmp_path / "download/IXI.xlsx")
    monkeypatch.setattr(pd, "read_excel", lambda *_, **__: sheet)
    assert recognise(tmp_path / "download").rows == as_text
    write_image(tmp_path / "other/a.nii.gz")
    (tmp_path / "other/scans.xls").touch()
    rows = [["subject", "when", "path"], ["P1", "2019-03-10 00:00:00", "a.nii.gz"]]
    monkeypatch.setattr(pd, "read_excel", lambda *_, **__: pd.DataFrame(rows))
    found = recognise(tmp_path / "other")
    assert found.layout is Layout.TABLE and found.folder == tmp_path / "other"
    assert found.rows == [rows[0], ["P1", "2019-03-10", "a.nii.gz"]]


FAKE_DCM2NIIX = """\
#!{python}
import json, sys
from pathlib import Path
target = Path(sys.argv[sys.argv.index("-o") + 1])
series = {{"a": "t1_mprage_sag", "b": "T1 3D FSPGR", "c": "t2_tse", "d": "localizer T1"}}
for name, description in series.items():
    header = {{"SeriesDescription": description, "PatientID": f"P {{name}}", "PatientSex": "F",
              "PatientBirthDate": "1950-02-03", "AcquisitionDateTime": "2019-03-10T10:11:12.0"}}
    (target / f"{{name}}.json").write_text(json.dumps(header))
    (target / f"{{name}}.nii.gz").write_bytes(name.encode())
"""


def test_dicom_is_converted_and_its_t1_weighted_series_are_listed(
    tmp_path: Path, working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is a stand-in that writes what dcm2niix 1.0.20260724 wrote of four series."""
    program = tmp_path / "bin/dcm2niix"
    program.parent.mkdir()
    program.write_text(FAKE_DCM2NIIX.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    (tmp_path / "data").mkdir()
    folder = with_dicom(tmp_path / "data")
    with pytest.raises(InputError, match="Run ldae init without --check"):
        recognise(folder)
    found = recognise(folder, converted=working / "nifti")
    assert found.layout is Layout.DICOM and found.folder == working / "nifti"
    assert found.rows == [
        list(dicom.COLUMNS),
        ["P a", "2019-03-10", "69.10", "F", "a.nii.gz", "t1_mprage_sag"],
        ["P b", "2019-03-10", "69.10", "F", "b.nii.gz", "T1 3D FSPGR"],
    ]
    header = json.loads((working / "nifti/a.json").read_text())
    assert set(header) == {"SeriesDescription", "AcquisitionDateTime"}, "nothing of the patient"
    with pytest.raises(InputError, match="is there already"):
        recognise(folder, converted=working / "nifti")


def listing(root: Path, paths: list[str], column: str = "path") -> Path:
    rows = [{"subject": f"P{i}", column: path} for i, path in enumerate(paths)]
    write_table(root / "tables/scans.csv", rows, ",")
    return root / "tables/scans.csv"


def test_scans_of_a_table_may_lie_anywhere(tmp_path: Path) -> None:
    """Beside it, elsewhere by relative or whole paths, and under a column of any name."""
    for name in ("tables/a.nii.gz", "scans/x/b.nii.gz", "scans/y/c.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(name.encode()))
    whole = [str(tmp_path / "scans/x/b.nii.gz"), str(tmp_path / "scans/y/c.nii")]
    for paths, folder, table in (
        (["a.nii.gz"], "tables", "scans.csv"),
        (["a.nii.gz", "../scans/x/b.nii.gz"], "", "tables/scans.csv"),
        (whole, "scans", str(tmp_path / "tables/scans.csv")),
        (["a.nii.gz", *whole], "", "tables/scans.csv"),
    ):
        for column in ("path", "Where the scan is"):
            found = recognise(listing(tmp_path, paths, column))
            assert found.layout is Layout.TABLE and found.folder == tmp_path / folder
            assert found.cohort["table"] == table
            assert found.cohort.get("columns", {}) == ({} if column == "path" else {"path": column})
            scans = read_cohort(found.folder, True, Intake.from_settings(found.cohort)).scans
            assert len(scans) == len(paths)


PLACES = ["with blank", "Zürich", "a, b", "a: b", "#1", "it's", '"quoted"', "2024", "a{b}", "~x"]


@pytest.mark.parametrize("name", PLACES)
def test_a_cohort_may_have_any_name(tmp_path: Path, working: Path, name: str) -> None:
    COHORTS["shadows"](tmp_path / name)
    assert main(["init", str(tmp_path / name)]) == 0
    config = overlay(Path("study.yaml"))
    assert config["bids_folder"] == str(tmp_path / name)
    assert summarise_cohort(config).n_scans == 6


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}],
)
def test_any_terminal_and_no_home_will_do(
    folders: dict[str, Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "ldae", "init", str(folders["coded"]), "--check"]
    place = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=tmp_path, env=place, capture_output=True, check=False)
    assert done.returncode == 1 and b"Not usable" in done.stdout and b"Traceback" not in done.stderr


def test_a_study_is_not_begun_inside_its_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    COHORTS["shadows"](tmp_path / "bids")
    monkeypatch.chdir(tmp_path / "bids")
    before = state(tmp_path)
    assert main(["init", "."]) == 1
    assert "the results would lie inside the cohort's folder" in capsys.readouterr().out
    assert state(tmp_path) == before


def test_a_name_that_is_not_unicode_is_refused(
    tmp_path: Path, working: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/Z\xfcrich")
    Path(folder).mkdir()
    assert main(["init", folder]) == 1
    assert "its name is not in Unicode" in capsys.readouterr().err


def clinica(root: Path, n: int = 42) -> None:
    """ADNI as Clinica writes it, with empty images: a plan reads none."""
    labels = [
        f"sub-ADNI{site:03d}S{i:04d}" for i, site in zip(range(n), [2, 11, 23] * n, strict=False)
    ]
    screened = [("CN", "LMCI", "AD", "CN", "EMCI", "AD")[i % 6] for i in range(n)]
    write_table(
        root / "participants.tsv",
        [
            {"participant_id": label, "sex": "MF"[i % 2], "age_bl": 65 + i / 4}
            | {"site": label[8:11], "diagnosis_sc": screened[i], "apoe_gen1": 3}
            for i, label in enumerate(labels)
        ],
    )
    for i, label in enumerate(labels):
        rows = []
        for k, months in enumerate((0, 12, 24)):
            word = (
                "AD" if i % 12 == 1 and k == 2 else screened[i].removeprefix("L").removeprefix("E")
            )
            session = f"ses-M{months:03d}"
            rows.append(
                {"session_id": session, "age": 65 + i / 4 + k, "diagnosis": word}
                | {"examination_date": f"201{k}-03-1{k}"}
            )
            folder = root / label / session / "anat"
            folder.mkdir(parents=True)
            (folder / f"{label}_{session}_T1w.nii.gz").touch()
        write_table(root / label / f"{label}_sessions.tsv", rows)


def test_a_cohort_of_clinica_s_converter_allows_everything(tmp_path: Path, working: Path) -> None:
    """Without editing anything: both probes, edits, and interpolation."""
    clinica(tmp_path / "adni")
    assert main(["init", str(tmp_path / "adni")]) == 0
    config = overlay(Path("study.yaml"))
    summary = summarise_cohort(config)
    plan = plan_study(config, summary)
    assert plan.tasks == ("ad_vs_cn", "age")
    assert {"interpolation", "manipulation", "probes"} <= plan.parts
    assert set(plan.left_out) == {"method true_volumes", "volumes", "task conversion"}
    assert summary.words == {"AD": 46, "CN": 42, "MCI": 38}
    assert config["probes"]["outer_folds"] == 5, "there are few test participants"
