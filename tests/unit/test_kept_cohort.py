"""The cohort that the main process keeps for its jobs, and what these ask for."""

import math
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from cohorts import clinica_oasis3

from ldae.data.bids import read_cohort
from ldae.data.kept_cohort import read_kept
from ldae.paths import WORKFLOW
from ldae.slurm import longest_minutes
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


def requests(attempt: int = 1, **settings) -> dict[str, int]:
    """What some jobs of a simulated study ask for."""
    demands = Study(complete_config(settings), WORKFLOW / "scripts").demands
    minutes = demands.minutes(30, per_scan=0.01)
    memory = demands.memory(8000, scans=0.5, most_held=1.5)
    evaluations = ("reconstruction", "stochastic", "manipulation", "interpolation")
    asked = {one: demands.evaluation_minutes(one, 60) for one in evaluations}
    asked |= {"minutes": minutes, "memory": memory, "training": demands.training_minutes}
    return {name: demand({}, attempt) for name, demand in asked.items()}


def test_evaluations_ask_for_what_they_compute():
    large = {"cohort": {"simulated": {"n_subjects": 900}}}
    few, many = requests(), requests(**large)
    assert many["minutes"] > few["minutes"] and many["memory"] > few["memory"]
    same = ("reconstruction", "stochastic", "manipulation", "interpolation", "training")
    assert [many[name] for name in same] == [few[name] for name in same], "as many scans as before"
    steps = requests(evaluation={"reconstruction": {"steps": [20, 1000], "n_scans": 40}})
    assert steps["reconstruction"] > few["reconstruction"]


@pytest.mark.parametrize("attempt", [1, 2, 20])
def test_no_job_asks_for_more_than_the_site_allows(attempt):
    asked = requests(attempt, site={"max_minutes": 45, "max_memory_mb": 9000})
    assert asked["memory"] <= 9000
    assert max(n for name, n in asked.items() if name != "memory") <= 45
    assert requests(attempt)["training"] == 1440
    assert requests(attempt, site={"max_memory_mb": 0})["memory"] == 0


@pytest.mark.parametrize(
    ("listed", "partitions", "minutes"),
    [
        ("short|30:00\nbatch*|12:00:00\n", [], 720),
        ("short|30:00\nbatch*|12:00:00\n", ["short", "batch"], 30),
        ("long|7-00:00:00\nbatch*|infinite\n", ["long"], 7 * 1440),
        ("gpu|2-00:00:00\nbatch*|04:00:00\n", ["", "gpu"], 240),
        ("gpu|2-00:00:00\nbatch*|04:00:00\n", ["gpu"], 2 * 1440),
        ("batch*|infinite\n", [], math.inf),
        ("batch*|12:00:00\n", ["other"], math.inf),
        (None, [], math.inf),
    ],
)
def test_the_limit_of_a_partition_is_asked_of_slurm(
    tmp_path, monkeypatch, listed, partitions, minutes
):
    if listed is not None:
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\nprintf '{listed}'\n")
        (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if listed else str(tmp_path))
    assert longest_minutes(partitions) == minutes
