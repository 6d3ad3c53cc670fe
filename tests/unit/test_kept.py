"""The cohort that the main process keeps for its jobs."""

import shutil
import stat
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from cohorts import clinica_oasis3

from ldae.data.bids import read_cohort
from ldae.data.kept import read_kept
from ldae.paths import WORKFLOW
from ldae.workflow.config import complete_config
from ldae.workflow.launch import KEPT_COHORT, kept_cohort
from ldae.workflow.plan import estimate_size
from ldae.workflow.study import Study


@pytest.fixture
def config(tmp_path):
    clinica_oasis3(tmp_path / "bids")
    cohort = {"source": "bids", "public": True}
    return complete_config({"bids_folder": str(tmp_path / "bids"), "cohort": cohort})


def test_a_job_knows_what_the_main_process_read_and_reads_no_folder(config, tmp_path, monkeypatch):
    main = Study(config, WORKFLOW / "scripts")
    scans = read_cohort(Path(config["bids_folder"]), True).scans
    answers = [main.cohort_fingerprint, main.planned_split, main.reference_masks(None)]
    batches = [SimpleNamespace(batch=batch) for batch in main.plan.batches]
    answers += [main.batch_files(batch) for batch in batches]
    path = main.keep_cohort(tmp_path / "kept")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it holds the labels behind pseudonyms"
    shutil.rmtree(config["bids_folder"])

    monkeypatch.setenv(KEPT_COHORT, str(path))
    assert kept_cohort(SimpleNamespace(is_main_process=True)) is None
    kept = kept_cohort(SimpleNamespace(is_main_process=False))
    job = Study(config, WORKFLOW / "scripts", kept)
    pd.testing.assert_frame_equal(job.cohort.scans, scans)
    assert job.plan == main.plan
    found = [job.cohort_fingerprint, job.planned_split, job.reference_masks(None)]
    assert [*found, *(job.batch_files(batch) for batch in batches)] == answers
    pd.testing.assert_frame_equal(read_kept(job.reading(None)["kept"]).scans, scans)


def test_only_the_cohort_that_its_name_says_is_taken(config, tmp_path):
    path = Study(config, WORKFLOW / "scripts").keep_cohort(tmp_path)
    assert read_kept(path) is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert read_kept(path) is None, "a part of it"
    assert read_kept(tmp_path / "cohort-0-0.json") is None, "not there"
    assert read_kept(None) is None, "not asked for"


def test_the_size_of_a_large_folder_is_estimated_from_some_entries(tmp_path):
    for number in range(100):
        subject = tmp_path / "preprocessed" / f"sub-{number:03d}"
        subject.mkdir(parents=True)
        (subject / "scan.nii.gz").write_bytes(bytes(100))
    (tmp_path / "volumes.npy").write_bytes(bytes(5000))
    assert estimate_size(tmp_path) == 15000
    assert estimate_size(tmp_path / "nothing") == 0
