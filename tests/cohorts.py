"""Small cohorts as converters, public data sets and downloads write them; made, nobody's data.

Each is a function that writes one into a folder. Images are NIfTI files of a few voxels, all
different.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

Row = Mapping[str, object]
DIAGNOSES = ("CN", "CN", "AD", "AD", "CN", "AD")


def write_table(
    path: Path, rows: Sequence[Row], delimiter: str = "\t", encoding: str = "utf-8", end: str = "\n"
) -> None:
    """Write rows as a table; a row without one of the columns has ``n/a`` there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(
            file, columns, delimiter=delimiter, restval="n/a", lineterminator=end
        )
        writer.writeheader()
        writer.writerows(rows)


def write_image(path: Path) -> None:
    """Write a NIfTI file whose voxels follow from its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()))
    voxels = rng.integers(0, 1000, (4, 4, 4), dtype=np.int16)
    nib.Nifti1Image(voxels, np.eye(4)).to_filename(path)


def write_t1(
    root: Path, subject: str, session: str = "", entities: str = "", suffix: str = "T1w"
) -> Path:
    """Write the image of a session where BIDS has it."""
    name = "_".join(filter(None, (subject, session, entities, suffix)))
    path = root / subject / session / "anat" / f"{name}.nii.gz"
    write_image(path)
    return path


def clinica_adni(root: Path) -> None:
    """Screening diagnosis, ages at baseline, diagnoses by session, two converters, one FLAIR."""
    sites = (("002", "0295"), ("002", "0413"), ("011", "0003"), ("011", "0021"), ("023", "0030"))
    subjects = [f"sub-ADNI{s}S{n}" for s, n in (*sites, ("023", "0042"), ("127", "0112"))]
    screened = ("CN", "LMCI", "AD", "CN", "EMCI", "AD", "CN")
    write_table(
        root / "participants.tsv",
        [
            {"participant_id": subject, "alternative_id_1": subject[8:], "sex": "MF"[i % 2]}
            | {"education_level": 12 + i, "age_bl": round(70.3 + i, 1), "site": subject[8:11]}
            | {"diagnosis_sc": screened[i], "apoe_gen1": 3}
            for i, subject in enumerate(subjects)
        ],
    )
    later = ("CN CN MCI", "MCI MCI AD", "AD AD AD", "CN CN CN", "MCI n/a MCI", "AD AD n/a")
    for i, words in enumerate(later):
        rows = []
        for k, diagnosis in enumerate(words.split()):
            date = f"201{k}-0{i + 1}-1{k}"
            session = f"ses-M{12 * k:03d}"
            rows.append(
                {"session_id": session, "age": round(70.3 + i + k, 1), "diagnosis": diagnosis}
                | {"examination_date": date, "MMSE": 27 - k}
            )
            if (i, k) != (5, 2):
                write_t1(root, subjects[i], session)
        write_table(root / subjects[i] / f"{subjects[i]}_sessions.tsv", rows)
    write_t1(root, subjects[6], "ses-M000", suffix="FLAIR")


def clinica_oasis3(root: Path) -> None:
    """No diagnosis among the participants, ``cdr`` and ``dx1`` by session, two runs of one."""
    subjects = [f"sub-OAS3{n}" for n in ("0004", "0017", "0042", "0101", "0233", "0400")]
    write_table(
        root / "participants.tsv",
        [
            {"participant_id": subject, "sex": "FM"[i % 2], "handedness": "R", "age": 64 + 3 * i}
            for i, subject in enumerate(subjects)
        ],
    )
    words = ("Cognitively normal", "uncertain dementia", "AD Dementia")
    for i, subject in enumerate(subjects):
        rows = []
        for months in (0, 36):
            session = f"ses-M{months:03d}"
            rows.append(
                {"session_id": session, "cdr": (0, 0.5, 1)[i // 2], "dx1": words[i // 2]}
                | {"age": 64 + 3 * i + months / 12}
            )
            write_t1(root, subject, session, "run-01")
        write_table(root / subject / f"{subject}_sessions.tsv", rows)
    write_t1(root, subjects[1], "ses-M000", "run-02")


def lifespan(root: Path) -> None:
    """No diagnosis but ``control``, a censored age, a sex not known, waves, one without T1w."""
    ages, sexes = ("23", "41", "67", "89+", "58", "72"), ("f", "m", "n/a", "f", "M", "F")
    subjects = [f"sub-{n}" for n in range(101, 107)]
    write_table(
        root / "participants.tsv",
        [
            {"participant_id": subject, "age": ages[i], "sex": sexes[i], "group": "control"}
            for i, subject in enumerate(subjects)
        ],
    )
    for i, subject in enumerate(subjects):
        for wave in (1, 2) if i < 3 else (1,):
            write_t1(root, subject, f"ses-wave{wave}", suffix="T1w" if i < 5 else "bold")


def coded(root: Path) -> None:
    """Numbers for sex and diagnosis, labels without their zeros, semicolons, Latin-1, CRLF."""
    rows = [
        {"participant_id": i + 1, "age": 60 + i, "sex": i % 2, "DX": i % 2, "site": "Zürich"}
        for i in range(6)
    ]
    write_table(root / "participants.tsv", rows, ";", "latin-1", "\r\n")
    for i in range(6):
        write_t1(root, f"sub-{i + 1:04d}")


def _plain_rows() -> list[Row]:
    return [
        {"participant_id": f"sub-{i:02d}", "age": 60 + i, "sex": "FM"[i % 2]}
        | {"diagnosis": DIAGNOSES[i]}
        for i in range(6)
    ]


def shadows(root: Path) -> None:
    """Twins of a Mac's files, a derivative, a defaced copy and a second run among raw scans."""
    write_table(root / "participants.tsv", _plain_rows())
    for i in range(6):
        write_t1(root, f"sub-{i:02d}")
    (root / "sub-00/anat/._sub-00_T1w.nii.gz").write_bytes(b"\0\5\x16\7\0\2\0\0Mac")
    (root / ".DS_Store").write_bytes(b"x")
    write_t1(root, "sub-01", entities="space-MNI152NLin2009cAsym_desc-preproc")
    write_t1(root, "sub-02", entities="rec-defaced")
    write_t1(root, "sub-03", entities="acq-MPRAGE_run-2")


def strangers(root: Path) -> None:
    """A scan under another participant's name, one scan of two participants, a row twice."""
    last = {"participant_id": "sub-05", "age": 66, "sex": "M", "diagnosis": "AD"}
    write_table(root / "participants.tsv", [*_plain_rows(), last])
    for i in range(5):
        path = write_t1(root, f"sub-{i:02d}")
        if i == 3:
            path.rename(path.with_name("sub-04_T1w.nii.gz"))
    copy = root / "sub-05/anat/sub-05_T1w.nii.gz"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((root / "sub-00/anat/sub-00_T1w.nii.gz").read_bytes())


def times(root: Path) -> None:
    """Labels against dates, sessions out of order, an age that falls, dates and days as labels."""
    rows = [
        {"participant_id": f"sub-{x}", "age": 70, "sex": "F", "diagnosis": "CN"} for x in "ABCD"
    ]
    write_table(root / "participants.tsv", rows)
    write_table(
        root / "sub-A/sub-A_sessions.tsv",
        [
            {"session_id": "ses-M000", "acq_time": "2015-01-10T10:00:00", "age": 70.0},
            {"session_id": "ses-M012", "acq_time": "2018-01-09T10:00:00", "age": 73.0},
        ],
    )
    write_table(
        root / "sub-B/sub-B_sessions.tsv",
        [
            {"session_id": "ses-M024", "months": 24, "age": 71.9},
            {"session_id": "ses-M000", "months": 0, "age": 70.0},
            {"session_id": "ses-M012", "months": 12, "age": 69.0},
        ],
    )
    sessions = {"A": "M000 M012", "B": "M024 M000 M012", "C": "20150312 20170310"}
    for letter, labels in (sessions | {"D": "d0129 d0131 d0862"}).items():
        for label in labels.split():
            write_t1(root, f"sub-{letter}", f"ses-{label}")


def plain_csv(root: Path) -> None:
    """No BIDS: a table of paths with blanks, one twice, one to nothing."""
    rows: list[Row] = []
    for i in range(6):
        path = root / "scans of 2019" / f"Patient {i} T1.nii.gz"
        write_image(path)
        rows.append(
            {"subject": f"P {i}", "visit_months": 0, "age": 61 + i, "sex": "FM"[i % 2]}
            | {"diagnosis": DIAGNOSES[i], "path": str(path.relative_to(root))}
        )
    second = root / "scans of 2019" / "Patient 0 again.nii.gz"
    write_image(second)
    later = root / "scans of 2021" / "Patient 0 T1.nii.gz"
    write_image(later)
    common = {"subject": "P 0", "sex": "F"}
    rows += [
        common | {"visit_months": 0, "age": 61, "path": str(second.relative_to(root))},
        common | {"visit_months": 24, "age": 63, "path": str(later.relative_to(root))}
        | {"diagnosis": "MCI"},
        {"subject": "P 6", "visit_months": 0, "age": 70, "sex": "M", "path": "nowhere.nii.gz"},
    ]  # fmt: skip
    write_table(root / "scans.csv", rows, ",")


def ixi_download(root: Path) -> None:
    """A flat folder, numbers in its names, and a table with a double row, no age and age 0."""
    sexes, dates = (2, 1, 1, 1, 2), ("2005-07-27", *["2005-06-01"] * 3, "2005-06-08")
    rows = [
        {"IXI_ID": n, "SEX_ID (1=m, 2=f)": sexes[i], "STUDY_DATE": dates[i], "AGE": age}
        for i, (n, age) in enumerate(((2, 37.4), (12, 38.8), (12, 38.8), (13, ""), (14, 0.0)))
    ]
    write_table(root / "IXI.csv", rows, ",")
    for name in ("IXI002-Guys-0828", "IXI012-HH-1211", "IXI013-HH-1212", "IXI014-HH-1236"):
        write_image(root / f"{name}-T1.nii.gz")


def caps_t1_linear(root: Path) -> None:
    """Registered by Clinica's t1-linear; its tables are those of `clinica_adni`."""
    for subject, months in (("sub-ADNI002S0295", (0, 12, 24)), ("sub-ADNI011S0003", (0, 12))):
        for month in months:
            scan = f"{subject}_ses-M{month:03d}"
            folder = root / "subjects" / subject / f"ses-M{month:03d}" / "t1_linear"
            space = "space-MNI152NLin2009cSym"
            write_image(folder / f"{scan}_{space}_desc-Crop_res-1x1x1_T1w.nii.gz")
            (folder / f"{scan}_{space}_res-1x1x1_affine.mat").write_bytes(b"")


COHORTS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        clinica_adni,
        clinica_oasis3,
        lifespan,
        coded,
        shadows,
        strangers,
        times,
        plain_csv,
        ixi_download,
        caps_t1_linear,
    )
}
