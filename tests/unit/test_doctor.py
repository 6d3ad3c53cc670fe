"""The doctor: every check alone, with a verdict and a remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from slurm_stand_in import CONFIG, SINFO, StandIn
from train_toy import DIFFUSION, UNET, sections_of

from ldae.errors import InputError
from ldae.slurm import minutes_of
from ldae.workflow.doctor import (
    device,
    examination,
    findings,
    images,
    machine,
    scheduler,
    trials,
)
from ldae.workflow.doctor.findings import Finding, Verdict
from ldae.workflow.doctor.requests import Request, beyond_limits, describe_requests, read_requests

OK, NOTE, PROBLEM = Verdict.OK, Verdict.NOTE, Verdict.PROBLEM
NO_DATABASE = CONFIG.replace("slurmdbd", "none")


def program(folder: Path, name: str, text: str) -> None:
    """A program of a stand-in machine."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of all programs of a machine that has none."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def verdicts(found: list[Finding]) -> dict[str, Verdict]:
    """The worst verdict of each name."""
    order = list(Verdict)
    worst: dict[str, Verdict] = {}
    for one in found:
        worst[one.name] = max(worst.get(one.name, OK), one.verdict, key=order.index)
    return worst


# --- what stops a study ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profiles", "verdict", "remedy"),
    [
        ([], NOTE, "Only for jobs on a cluster or in containers: "),
        ([Path("slurm")], PROBLEM, "slurm-status-command"),
        ([Path("slurm"), Path("site")], OK, ""),
    ],
)
def test_only_what_a_study_uses_stops_it(
    profiles: list[Path], verdict: Verdict, remedy: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stand_in = StandIn(tmp_path / "bin", SINFO, NO_DATABASE, ())
    monkeypatch.setenv("PATH", str(stand_in.folder))
    monkeypatch.setattr(examination, "plan_checks", lambda command, found: {})
    site = tmp_path / "site"
    site.mkdir()
    (site / "profile.v9+.yaml").write_text("slurm-status-command: squeue\n")
    profiles = [site if profile == Path("site") else profile for profile in profiles]
    found = examination.examine_machine([], [], profiles, steps=False)
    (status,) = [f for f in found["Scheduler"] if f.name == "job status"]
    assert status.verdict is verdict and remedy in status.remedy
    stopped = [f.name for f in found["Containers"] if f.verdict is PROBLEM]
    assert bool(stopped) is bool(profiles)
    said = [f.text for f in found["Scheduler"] if f.name == "jobs"]
    assert bool(said) is not bool(profiles)


# --- findings -------------------------------------------------------------------------------------


def test_a_check_that_fails_is_a_finding_and_the_others_are_made() -> None:
    def broken() -> list[Finding]:
        raise ZeroDivisionError("nothing")

    def refused() -> list[Finding]:
        raise InputError("seed", "it is wrong", "Correct it")

    checks = {"a": broken, "b": refused, "c": lambda: [Finding("c", "fine")]}
    found = findings.run_checks(checks)
    assert [(f.name, f.verdict) for f in found] == [("a", NOTE), ("b", PROBLEM), ("c", OK)]
    assert "ZeroDivisionError: nothing" in found[0].text and found[1].remedy == "Correct it"
    assert findings.problems({"part": found}) == [found[1]]
    text = findings.describe("title", {"part": found})
    assert text.splitlines()[-1] == "1 ok, 1 note, 1 problem: this stops a study"
    assert json.loads(findings.as_json("title", {"part": found}))["parts"]["part"][1]["name"] == "b"


def test_output_has_no_names_of_this_user_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "node7.site.org")
    monkeypatch.setenv("HOME", "/home/anna")
    text = f"/home/anna/x {Path.cwd()}/y anna node7 node7.site.org annabel node77"
    assert findings.scrub(text) == "~/x ./y USER HOST HOST annabel node77"


def test_text_fits_a_screen() -> None:
    found = [Finding("name", "word " * 60, NOTE, "remedy " * 30)]
    assert max(map(len, findings.describe("t", {"p": found}).splitlines())) <= findings.WIDTH


# --- this machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "submits", "verdict"),
    [
        ("nfs4", True, OK), ("lustre", True, OK), ("fuse.ceph", True, OK), ("ext4", False, OK),
        ("ext4", True, NOTE), ("overlay", True, NOTE), ("tmpfs", False, NOTE),
    ],
)  # fmt: skip
def test_file_system(
    kind: str, submits: bool, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="xfs"),
        SimpleNamespace(mountpoint=str(tmp_path.resolve()), fstype=kind),
    ]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    (found,) = machine.check_file_system(tmp_path, submits)
    assert found.verdict is verdict and kind in found.text


@pytest.mark.parametrize(
    ("name", "script", "verdict"),
    [
        ("quota", "echo; echo '/data 90 100 100'", OK),
        ("quota", "echo '/data 101* 100 120'; exit 1", PROBLEM),
        ("lfs", "echo '/lustre 5000* 4000 4500 - 3 0 0 -'", PROBLEM),
        ("lfs", "echo '/lustre 3000 4000 4500 - 3 0 0 -'", OK),
        ("lfs", "exit 1", NOTE),
        (None, "", NOTE),
    ],
)
def test_quota(name: str | None, script: str, verdict: Verdict, bare: Path, tmp_path: Path) -> None:
    if name:
        program(bare, name, script)
    (found,) = machine.check_quota(tmp_path)
    assert found.verdict is verdict


def test_packages_are_compared_with_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envs").mkdir()
    lock = tmp_path / "envs/local.lock"
    lock.write_text(
        "# comment\nnumpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1\n"
        "pytest==9 ; sys_platform == 'win32' \\\n"
    )
    monkeypatch.setattr(machine, "WORKFLOW", tmp_path)
    later = tmp_path / "envs/cuda12.lock"
    later.write_text(f"numpy=={np.__version__}\n")
    both = {"envs/local.lock": "", "envs/cuda12.lock": ""}
    monkeypatch.setattr(machine, "locks", lambda: both)
    (found,) = machine.check_packages()
    assert found.text.startswith("1 of 2 differ"), "a later lock replaces a version"
    monkeypatch.setattr(machine, "locks", lambda: {"envs/local.lock": "0" * 64})
    stale, differing = machine.check_packages()
    assert "another envs/local.lock" in stale.text
    assert (
        differing.text.startswith("2 of 2 differ")
        and "no-such-package is missing" in differing.text
    )


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise InputError("results", "about 9 GiB will be written and 1 GiB are free", "Free some")

    checks = machine.machine_checks(tmp_path / "not/yet", full, submits=False)
    assert verdicts(findings.run_checks({"disk": checks["disk"]})) == {"disk": PROBLEM}
    few = SimpleNamespace(f_files=10, f_favail=5, f_bavail=1, f_blocks=1, f_bfree=1, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: few)
    found = list(machine.check_disk(tmp_path, lambda: None))
    assert verdicts(found) == {"disk": OK, "inodes": NOTE}


# --- scheduler ------------------------------------------------------------------------------------

NO_DEFAULT = "long|up|2|infinite|8|64000|(null)|OFF\n"
HYPHEN = "gpu*|down|1|30:00|8|64000|gpu:nvidia-a100:2|REQUEUE\n"


@pytest.mark.parametrize(
    ("config", "sinfo", "without", "expected"),
    [
        (CONFIG, SINFO, (), {"scheduler": OK, "job status": OK, "partition": OK}),
        (NO_DATABASE, SINFO, (), {"scheduler": OK, "job status": PROBLEM, "partition": OK}),
        (NO_DATABASE, SINFO, ("sacct",), {"scheduler": OK, "job status": OK, "partition": OK}),
        (NO_DATABASE.replace("300", "30"), SINFO, ("sacct",),
         {"scheduler": OK, "job status": PROBLEM, "partition": OK}),
        (CONFIG.replace("= 1", "= 0"), SINFO, (),
         {"scheduler": OK, "job status": NOTE, "partition": OK}),
        (CONFIG, NO_DEFAULT, (), {"scheduler": OK, "job status": OK, "partition": NOTE}),
        (CONFIG, HYPHEN, (), {"scheduler": OK, "job status": OK, "partition": NOTE}),
        (CONFIG, SINFO, ("squeue",), {"scheduler": PROBLEM, "job status": OK, "partition": OK}),
        (CONFIG, SINFO, ("scontrol",), {"scheduler": PROBLEM, "partition": OK}),
    ],
    ids=["healthy", "no database", "squeue", "forgets", "no requeue", "no default", "hyphen",
         "no squeue", "no scontrol"],
)  # fmt: skip
def test_slurm(
    config: str, sinfo: str, without: tuple[str, ...], expected: dict[str, Verdict],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", str(StandIn(tmp_path / "bin", sinfo, config, without).folder))
    assert verdicts(findings.run_checks(scheduler.scheduler_checks())) == expected


def test_controller_without_an_answer_is_one_problem(bare: Path) -> None:
    for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo"):
        program(bare, name, "echo 'Unable to contact slurm controller' >&2; exit 1")
    (found,) = findings.run_checks(scheduler.scheduler_checks())
    assert found.verdict is PROBLEM and "does not answer" in found.text


@pytest.mark.parametrize(
    ("name", "text"),
    [("qsub", "PBS or SGE"), ("bsub", "LSF"), (None, "jobs run on this machine")],
)
def test_other_schedulers(name: str | None, text: str, bare: Path) -> None:
    if name:
        program(bare, name, "")
    (found,) = findings.run_checks(scheduler.scheduler_checks())
    assert text in found.text


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("infinite", inf), ("30:00", 30), ("12:00:00", 720), ("1-12:00:00", 2160), ("n/a", inf)],
)
def test_time_limits(limit: str, minutes: float) -> None:
    assert minutes_of(limit) == minutes


def test_kinds_of_node_of_a_partition_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SINFO + "gpu|down|2|12:00:00|64|250000|gpu:h100:8|CANCEL\n"
    monkeypatch.setenv("PATH", str(StandIn(tmp_path / "bin", other).folder))
    batch, gpu = scheduler.partitions()
    assert batch.default and not batch.gpus and batch.mem_mb == 256000
    assert (gpu.cpus, gpu.mem_mb, gpu.nodes, gpu.up) == (64, 500000, 6, True)
    assert scheduler.gpu_models(gpu.gres) == ["a100", "h100"]


# --- what a plan asks for -------------------------------------------------------------------------

PLAN = """\
Building DAG of jobs...
train_network: threads=8, mem_mb=32000, runtime=1440, gpu=1, slurm_partition=gpu
train_network: threads=8, mem_mb=64000, runtime=1440, gpu=1, slurm_partition=gpu
fit_probe: threads=1, mem_mb=4000, runtime=30
encode: threads=4, mem_mb=4000, runtime=30, gpu=0, gres=gpu:a100:2
"""
LIMITS = [
    scheduler.Partition("batch", True, 1440, 4, 8000, "", "OFF", True, 1),
    scheduler.Partition("gpu", False, 720, 8, 48000, "gpu:a100:4", "OFF", True, 1),
]


def test_plan_is_summed_up_and_held_to_the_limits() -> None:
    asked = read_requests(PLAN)
    assert asked[0] == Request("train_network", 1440, 32000, 8, 1, "gpu")
    assert [r.gpus for r in asked] == [1, 1, 0, 2]
    jobs, largest = describe_requests(asked)
    assert jobs.text == "4 jobs: 2 train_network, 1 fit_probe, 1 encode"
    assert "24 h (train_network), 64 GB" in largest.text and "3 jobs with a GPU, 2" in largest.text
    found = [(f.text, f.remedy) for f in beyond_limits(asked, LIMITS)]
    assert found == [
        ("train_network asks for 24 h, gpu allows 12 h",
         "site: {max_minutes: 720} in the settings"),
        ("train_network asks for 64000 MB, a node of gpu has 48000",
         "site: {max_memory_mb: 48000} in the settings"),
        ("encode asks for a GPU, and batch has none",
         "gpu: {partition: NAME} in the settings, with a partition that has GPUs"),
    ]  # fmt: skip
    assert list(beyond_limits(asked, [])) == [], "nothing is known without a scheduler"
    elsewhere = [Request("a", 1, 1, 1, 0, "gone")]
    assert "no partition gone" in next(beyond_limits(elsewhere, LIMITS)).text


# --- containers and device ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programs", "submits", "expected"),
    [
        ({}, False, {"Apptainer": OK}),
        ({}, True, {"Apptainer": PROBLEM}),
        ({"apptainer": "echo apptainer version 1.4", "unshare": ""}, True,
         {"Apptainer": OK, "may build": OK, "images": PROBLEM}),
        ({"apptainer": "echo apptainer version 1.4", "unshare": "exit 1"}, True,
         {"Apptainer": OK, "may build": NOTE, "images": PROBLEM}),
        ({"singularity": "echo singularity-ce 4"}, True,
         {"Apptainer": OK, "may build": NOTE, "images": PROBLEM}),
    ],
)  # fmt: skip
def test_containers(
    programs: dict[str, str], submits: bool, expected: dict[str, Verdict],
    bare: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, text in programs.items():
        program(bare, name, text)
    monkeypatch.setattr("ldae.workflow.containers.read_digests", dict)
    monkeypatch.setattr(images, "read_digests", dict)
    assert verdicts(findings.run_checks(images.image_checks(submits))) == expected


@pytest.mark.parametrize(
    ("said", "verdict", "text"),
    [
        ("""echo '["2.13.0", "13.0", false]'""", OK, "CUDA 13.0; here it finds no GPU"),
        ("echo 'bad image' >&2; exit 255", PROBLEM, "it does not start: bad image"),
    ],
)
def test_torch_in_an_image(
    said: str, verdict: Verdict, text: str, bare: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    program(bare, "apptainer", said)
    image = tmp_path / "torch.sif"
    image.touch()
    monkeypatch.setattr(images, "read_digests", lambda: {"torch": SimpleNamespace(path=image)})
    (found,) = images.check_torch()
    assert found.verdict is verdict and text in found.text


@pytest.mark.parametrize(
    ("driver", "needed", "verdict", "remedy"),
    [
        ("", False, OK, ""),
        ("550.54", False, NOTE, "needs driver 580"),
        ("550.54", True, PROBLEM, "needs driver 580"),
        ("", True, PROBLEM, "NVIDIA driver"),
    ],
)
def test_torch_without_a_gpu(
    driver: str, needed: bool, verdict: Verdict, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("ldae.workflow.gpu.driver_version", lambda: driver)
    (found,) = device.check_torch(needed)
    assert found.verdict is verdict and remedy in found.remedy


# --- steps of networks ----------------------------------------------------------------------------

SMALL: dict[str, Any] = {"batch_size": 4, "micro_batch": 2}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Toy networks are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_few_steps_of_a_training_are_timed(tmp_path: Path) -> None:
    autoencoder = sections_of("autoencoder", **SMALL)
    prior = sections_of("prior", **SMALL)
    prior["prior"] |= {key: value for key, value in UNET.items() if key in prior["prior"]}
    given = {
        "autoencoder": {
            "train": "ldae.training.autoencoder:train_autoencoder", "stands_on": None,
            "sections": {"autoencoder": autoencoder["autoencoder"]},
        },
        "prior": {
            "train": "ldae.training.diffusion:train_prior", "stands_on": None,
            "sections": {"prior": prior["prior"], "diffusion": DIFFUSION},
        },
    }  # fmt: skip
    (tmp_path / trials.TASKS).write_text(json.dumps({"shape": (8, 8, 8), "trainings": given}))
    for name in given:
        found = trials.run_trial(tmp_path, name)
        assert (found.name, found.scans, found.device) == (name, 2, "cpu")
        assert 0 < found.seconds < 60 and found.mib > 10


def test_time_of_a_step_leaves_out_the_first_and_counts_all_optimizers() -> None:
    assert trials._seconds_per_step([9.0, 10.0, 11.0]) == 1.0
    assert trials._seconds_per_step([8.0, 9.0, 9.5, 10.0, 10.5, 11.0]) == 1.0


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("kill -9 $$", "killed by signal 9"),
        ("echo 'x: micro_batch: does not fit. Reduce it' >&2; exit 1", "does not fit"),
    ],
)
def test_a_training_that_fails_ends_alone(
    script: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "python", script)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    given = {"prior": {"train": "a:b", "sections": {}, "stands_on": None}}
    (found,) = trials.describe_trials(given, (8, 8, 8))
    assert found.verdict is PROBLEM and text in found.text
