"""Repeated scans of a session, of which the best is kept after preprocessing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from head_toy import make_head
from scipy import ndimage
from test_preprocessing_pipeline import GRID, LIMITS, SETTINGS, files_of, made

from ldae.data.addresses import Derivative
from ldae.data.bids import list_scans, read_bids
from ldae.data.intake.notices import Kind
from ldae.data.intake.settings import Intake
from ldae.data.manifest import read_rivals, scan_files, write_scans
from ldae.data.partition import read_batches
from ldae.errors import InputError
from ldae.preprocessing import preprocess_batch
from ldae.preprocessing.quality import quality_control
from ldae.preprocessing.quality_page import write_quality_page
from ldae.preprocessing.repeats import SIDECAR_KEY, choose, taken_files
from ldae.workflow.config import complete_config
from ldae.workflow.plan import batch_fingerprint, plan_study, summarise_cohort

BEST = Intake(repeats="best")
RUNS = {
    "sub-00": ("noisy", "clean"),
    "sub-01": ("clean", "blurred"),
    "sub-02": ("truncated", "clean"),
    "sub-03": ("truncated", "empty"),
}
TAKEN = {"sub-00": "run-2", "sub-01": "run-1", "sub-02": "run-2"}


def write_run(path: Path, kind: str, seed: int) -> None:
    """Write a head at 4 mm as it comes, or spoilt."""
    head, _, _ = make_head(seed)
    data = head.data
    if kind == "noisy":
        data = np.abs(data + np.random.default_rng(seed).normal(0, 0.15 * data.max(), data.shape))
    elif kind == "blurred":
        data = ndimage.gaussian_filter(data, 1.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(data.astype(np.int16), head.affine).to_filename(path)
    if kind in ("truncated", "empty"):
        path.write_bytes(path.read_bytes()[: 500 * (kind == "truncated")])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four participants with two runs each, by `RUNS`."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = "".join(f"{subject}\t7{i}\tF\n" for i, subject in enumerate(RUNS))
    (folder / "participants.tsv").write_text(f"participant_id\tage\tsex\n{rows}")
    for seed, (subject, kinds) in enumerate(RUNS.items()):
        for run, kind in enumerate(kinds, start=1):
            write_run(folder / subject / "anat" / f"{subject}_run-{run}_T1w.nii.gz", kind, seed)
    return folder


Done = tuple[pd.DataFrame, Path, pd.DataFrame]


@pytest.fixture(scope="module")
def done(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Table of scans, preprocessed data set, and table of the batch."""
    out = tmp_path_factory.mktemp("out")
    scans = list_scans(cohort, True, BEST)
    table = preprocess_batch(scans, cohort, out, SETTINGS, GRID, n_workers=1, limits=LIMITS)
    table.to_csv(out.parent / "batch.tsv", sep="\t", index=False)
    return scans, out, read_batches([out.parent / "batch.tsv"])


def test_the_clean_run_is_kept_whichever_comes_first(done: Done) -> None:
    scans, out, table = done
    rows = table.set_index("scan")
    assert rows["status"].to_dict() == dict.fromkeys(TAKEN, "ok") | {"sub-03": "failed"}
    taken = {scan: f"{scan}_{run}_T1w.nii.gz" for scan, run in TAKEN.items()}
    assert rows["taken"].to_dict() == taken | {"sub-03": ""}
    assert "sub-00_run-1_T1w.nii.gz (brain_volume_ml" in rows.loc["sub-00", "repeats"]
    assert "correlation_to_template 0." in rows.loc["sub-01", "repeats"]
    assert "failed: sub-02/anat/sub-02_run-1_T1w.nii.gz" in rows.loc["sub-02", "repeats"]
    for scan in taken:
        names = {path.name for path in files_of(out, scan)}
        assert len(names) == len(Derivative) - 1, "those of one scan, and nothing of the others"
    assert not files_of(out, "sub-03")
    paths = taken_files(scans, table).set_index("scan")["path"]
    assert paths["sub-00"] == "sub-00/anat/sub-00_run-2_T1w.nii.gz"


def test_the_files_are_those_of_the_run_alone(done: Done, cohort: Path, tmp_path: Path) -> None:
    _, out, _ = done
    row = {"scan": "sub-02", "subject": "sub-02", "session": ""}
    scans = pd.DataFrame([row | {"path": "sub-02/anat/sub-02_run-2_T1w.nii.gz"}])
    table = preprocess_batch(scans, cohort, tmp_path, SETTINGS, GRID, n_workers=0)
    assert "taken" not in table
    for kind in set(Derivative) - {Derivative.WARP, Derivative.SIDECAR}:
        expected = made(tmp_path, "sub-02", kind).read_bytes()
        assert made(out, "sub-02", kind).read_bytes() == expected
    alone, chosen = (
        json.loads(made(folder, "sub-02", Derivative.SIDECAR).read_text())
        for folder in (tmp_path, out)
    )
    repeats = chosen.pop(SIDECAR_KEY)
    assert chosen == alone
    assert [one["taken"] for one in repeats] == [False, True]
    assert all(len(one["sha256"]) == 64 for one in repeats)
    assert repeats[1]["measures"] == alone["measures"] and "measures" not in repeats[0]


def test_quality_control_tells_the_choice(done: Done, tmp_path: Path) -> None:
    scans, out, table = done
    qc = quality_control(scans, table, out, LIMITS)
    rows = qc.set_index("scan")
    assert rows["status"].tolist() == ["pass"] * 3 + ["excluded"]
    note = rows.loc["sub-00", "notes"]
    assert note.startswith("sub-00_run-2_T1w.nii.gz is taken (correlation_to_template 0.9")
    assert "not sub-00_run-1_T1w.nii.gz (correlation_to_template 0." in note
    assert "not sub-02_run-1_T1w.nii.gz (failed)" in rows.loc["sub-02", "notes"]
    assert "/sub-03_run-1_T1w.nii.gz: it cannot be" in rows.loc["sub-03", "reason"]
    assert "run-2_T1w.nii.gz (failed: " in rows.loc["sub-03", "notes"]
    assert rows["taken"].tolist() == table["taken"].tolist()
    write_quality_page(qc, out, tmp_path / "qc.html")
    assert "sub-00_run-2_T1w.nii.gz is taken" in (tmp_path / "qc.html").read_text()


GOOD = {
    "mask_dice_to_template": 0.95, "correlation_to_template": 0.7, "tissue_contrast": 0.2,
    "signal_to_noise": 20.0, "cropped_fraction": 0.0, "cut_area_cm2": 0.0, "bright_outside": 0.2,
    "rotation_degrees": 3.0, "brain_volume_ml": 1400.0, "scale": 1.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "best"),
    [
        (({}, {}), 0),
        (({}, {"correlation_to_template": 0.71}), 1),
        (({}, {"correlation_to_template": 0.9, "cut_area_cm2": 30.0}), 0),
        (({"signal_to_noise": 4.0}, {"correlation_to_template": 0.5}), 1),
        (({"correlation_to_template": None}, {"cut_area_cm2": 30.0}), 1),
        ((None, {"cut_area_cm2": 30.0}), 1),
        ((None, None), None),
    ],
)
def test_the_rule(changes: tuple[dict[str, float] | None, ...], best: int | None) -> None:
    repeats: list[dict[str, Any]] = [
        {"reason": "broken"} if change is None else {"reason": "", "measures": GOOD | change}
        for change in changes
    ]
    assert choose(repeats, LIMITS) == best


def study(cohort: Path, **section: Any) -> dict[str, Any]:
    """Complete settings of a study of the cohort."""
    given = {"source": "bids", "public": True, "repeats": "best", **section}
    results = {"results": str(cohort.parent / "results")}
    return complete_config({"bids_folder": str(cohort), "cohort": given, "pathvars": results})


def test_another_repeat_preprocesses_its_batch(cohort: Path) -> None:
    config = study(cohort)
    plan = plan_study(config, summarise_cohort(config))
    first = study(cohort, repeats="first")
    assert plan.scans_per_batch == 2 * plan_study(first, summarise_cohort(first)).scans_per_batch
    path = cohort / "sub-00/anat/sub-00_run-2_T1w.nii.gz"
    time = path.stat().st_mtime_ns
    before = {repeats: digests(study(cohort, repeats=repeats)) for repeats in ("first", "best")}
    os.utime(path, (0, 0))
    after = {repeats: digests(study(cohort, repeats=repeats)) for repeats in ("first", "best")}
    os.utime(path, ns=(time, time))
    assert after["first"] == before["first"]
    changed = [a != b for a, b in zip(after["best"], before["best"], strict=True)]
    assert sum(changed) == 1


def digests(config: dict[str, Any]) -> list[str]:
    batches = plan_study(config, summarise_cohort(config)).batches
    return [batch_fingerprint(config, batch) for batch in batches]


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """Files of one participant, all different: runs of two sequences."""
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-1\t70\nsub-2\t71\n")
    for subject in ("sub-1", "sub-2"):
        for entities in ("", "_run-2", "_run-10", "_acq-b", "_acq-b_run-2", "_rec-norm"):
            path = tmp_path / subject / "anat" / f"{subject}{entities}_T1w.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(path))
    return tmp_path


@pytest.mark.parametrize(
    ("prefer", "competing"),
    [
        ((), ["", "_run-2", "_run-10"]),
        (("acq-b",), ["_acq-b", "_acq-b_run-2"]),
        (("run-10",), ["_run-10"]),
        (("rec-norm",), ["_rec-norm"]),
    ],
)
def test_runs_of_the_preferred_kind_compete(
    names: Path, prefer: tuple[str, ...], competing: list[str]
) -> None:
    cohort = read_bids(names, 1, True, Intake(repeats="best", prefer=prefer))
    files = scan_files(cohort.scans)
    paths = files.loc[files["subject"] == "sub-1", "path"].tolist()
    assert paths == [f"sub-1/anat/sub-1{entities}_T1w.nii.gz" for entities in competing]
    notice = next(one.text for one in cohort.notices if one.kind is Kind.REPEAT)
    assert ("the best of" in notice) == (len(competing) > 1) and "is taken, not " in notice


def test_the_manifest_has_all_files_that_are_read(names: Path, tmp_path: Path) -> None:
    scans = read_bids(names, 1, True, BEST).scans
    write_scans(scans, tmp_path / "scans.tsv")
    text = pd.read_csv(tmp_path / "scans.tsv", sep="\t")
    assert text["rivals"].str.count("; ").tolist() == [1, 1]
    assert text["rivals_sha256"].str.len().tolist() == [130, 130]
    again = read_rivals(tmp_path / "scans.tsv")
    assert again["rivals"].tolist() == scans["rivals"].tolist()
    write_scans(read_bids(names, 1, True).scans, tmp_path / "scans.tsv")
    assert "rivals" not in read_rivals(tmp_path / "scans.tsv")


def test_a_rival_of_two_participants_is_found(names: Path) -> None:
    copy = (names / "sub-1/anat/sub-1_run-2_T1w.nii.gz").read_bytes()
    (names / "sub-2/anat/sub-2_run-10_T1w.nii.gz").write_bytes(copy)
    read_bids(names, 1, True)
    with pytest.raises(InputError, match=r"sub-1_run-2_.* and .*sub-2_run-10_.* are the same"):
        read_bids(names, 1, True, BEST)


def test_rows_of_a_session_in_a_table_compete(tmp_path: Path) -> None:
    (tmp_path / "scans.csv").write_text("subject,path\nA,a.nii.gz\nA,b.nii.gz\nA,c.nii.gz\n")
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_text(name)
    intake = Intake(repeats="best", table="scans.csv")
    cohort = read_bids(tmp_path, 1, True, intake)
    assert scan_files(cohort.scans)["path"].tolist() == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    text = "the best of a.nii.gz, b.nii.gz, c.nii.gz after preprocessing is taken"
    assert any(text in one.text for one in cohort.notices)


def test_names_of_repeats_do_not_say_who_it_is(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").touch()
    paths = [f"sub-X7/anat/sub-X7_run-{run}_T1w.nii.gz" for run in (1, 2)]
    row = {"scan": "sub-p1", "subject": "sub-p1", "session": "", "path": paths[0]}
    scans = pd.DataFrame([row | {"rivals": paths[1:]}])
    scans.loc[1] = ["sub-p2", "sub-p2", "", "Ward 7/Anna.nii.gz", ["Ward 7/Anna again.nii.gz"]]
    args = (tmp_path, tmp_path / "out", SETTINGS, GRID)
    table = preprocess_batch(scans, *args, n_workers=0, limits=LIMITS)
    text = " ".join(table[["reason", "taken", "repeats"]].to_numpy().ravel())
    assert "X7" not in text and "Anna" not in text
    assert "sub-p1_run-2_T1w.nii.gz (failed: " in text and "file 2 of sub-p2 (failed" in text
