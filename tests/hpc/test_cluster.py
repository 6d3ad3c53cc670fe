"""The micro study on a real SLURM cluster in real containers, and failures on clusters."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pandas as pd
import pytest
import torch
import yaml
from cluster import Cluster, run
from hpc_fixtures import HERE, Study, wait_until, what_is_missing

from ldae.networks.weights import read_weights
from ldae.provenance.images import file_digest, read_digests
from ldae.slurm import left_jobs

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ["hpc_fixtures"]
pytestmark = [
    pytest.mark.hpc,
    # Apptainer and SLURM are installed on this machine, which requires root and apt-get. Only
    # `make hpc-test` runs these tests; it prints why they are skipped.
    pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing()),
]

TABLES = ["reconstruction", "stochastic", "probes", "manipulation", "interpolation"]
LOCAL_RULES = {"write_config"}
# Several trainings at a time, more than the cluster has GPUs.
NO_GPU = "gpu: {request: none}\n"


def records(study: Study, rule: str = "*") -> list[dict[str, Any]]:
    """Records of ended jobs, ordered by end time."""
    paths = (study.results / "records").glob(f"{rule}/**/*.json")
    found = [json.loads(p.read_text()) for p in paths if not p.name.endswith(".started.json")]
    return sorted(found, key=lambda record: record["end"])


# --- images ---------------------------------------------------------------------------------------


def test_images_agree_with_the_table_of_digests(images: Path) -> None:
    found = read_digests()
    assert set(found) == {"preprocess", "torch", "analysis"}
    for stage, image in found.items():
        assert file_digest(image.path) == image.sha256
        assert image.lock == file_digest(ROOT / "envs" / f"{stage}.lock")
        labels = run("apptainer", "inspect", str(image.path)).stdout
        assert f"ldae.lock.sha256: {image.lock}" in labels
        assert f"org.opencontainers.image.revision: {image.commit}" in labels


def test_images_contain_nothing_of_this_machine(images: Path) -> None:
    """Images contain neither pip's settings nor its package folders, only empty mount points."""
    look = "find /hostpip -type f; cat /etc/pip.conf /root/.config/pip/pip.conf 2> /dev/null; true"
    for image in read_digests().values():
        said = run("apptainer", "-s", "exec", "--no-home", str(image.path), "sh", "-c", look).stdout
        assert said == ""


# --- the study ------------------------------------------------------------------------------------


def test_tables_equal_those_of_a_local_run(local: Study, on_cluster: Study) -> None:
    for name in TABLES:
        tables = [
            (study.results / f"tables/{name}.tsv").read_text() for study in (local, on_cluster)
        ]
        assert tables[0] == tables[1], name
    columns = ["method", "metric"]
    speeds = [
        pd.read_csv(study.results / "tables/throughput.tsv", sep="\t")[columns]
        for study in (local, on_cluster)
    ]
    pd.testing.assert_frame_equal(*speeds)


def test_models_equal_those_of_a_local_run(local: Study, on_cluster: Study) -> None:
    for path in local.results.glob("*/**/model.safetensors"):
        other = on_cluster.results / path.relative_to(local.results)
        assert path.read_bytes() == other.read_bytes(), path


def test_every_job_ran_in_its_image_on_the_cluster(local: Study, on_cluster: Study) -> None:
    schema = yaml.safe_load((ROOT / "schemas/record.schema.yaml").read_text())
    found = records(on_cluster)
    images = {
        stage: {"name": image.path.name, "sha256": image.sha256}
        for stage, image in read_digests().items()
    }
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for record in found:
        jsonschema.validate(record, schema)
        rule = re.search(rf"rule {record['rule']}:.*?envs/(\w+)\.yaml", text, re.S)
        assert rule and record["container"] == images[rule[1]], record["rule"]
        assert record["status"] == "CompletedActionStatus"
        assert (record["commit"], record["dirty"]) == (on_cluster.commit, False)
        assert bool(record["slurm"]) == (record["rule"] not in LOCAL_RULES), record["rule"]
    assert {r["rule"] for r in found} == {r["rule"] for r in records(local)}


def test_a_second_run_has_nothing_to_do(on_cluster: Study) -> None:
    assert "Nothing to be done" in on_cluster.run()


def test_new_image_re_runs_its_jobs(on_cluster: Study) -> None:
    table = on_cluster.folder / "containers/digests.tsv"
    kept = table.read_text()
    image = read_digests()["analysis"]
    renamed = on_cluster.folder / "containers" / f"analysis-{'0' * 12}.sif"
    try:
        renamed.symlink_to(image.path)
        table.write_text(kept.replace(image.sha256, "0" * 64))
        said = on_cluster.run("--dry-run")
    finally:
        table.write_text(kept)
        renamed.unlink()
    planned = set(re.findall(r"^(\w+) +\d+$", said, re.M))
    assert {"fit_probe", "plot_figure"} <= planned and "train_network" not in planned
    assert "Software environment definition has changed" in said


# --- isolation of containers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def probes(place: Path, images: Path, cluster: Cluster) -> Study:
    """A workflow of rules that report what they see of the host."""
    study = Study(place / "probes", images)
    shutil.copy(HERE / "probe.smk", study.folder / "probe.smk")
    shutil.copytree(HERE / "probes", study.folder / "probes")
    # Apptainer's --nv makes the driver's programs on the PATH available in the container
    driver = study.folder / "bin/nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\n")
    driver.chmod(0o755)
    site = yaml.safe_load((study.folder / "site/profile.v9+.yaml").read_text())
    del site["set-threads"]
    (study.folder / "site/profile.v9+.yaml").write_text(yaml.safe_dump(site))
    return study


def probe(study: Study, rule: str, *arguments: str, code: int = 0) -> tuple[str, Path]:
    """Run one of the probes; return the output of Snakemake, and the path of the result."""
    target = f"results/{rule}.json"
    said = study.end(study.start("--snakefile", "probe.smk", *arguments, "--", target), 300, code)
    return said, study.folder / target


def test_a_job_sees_neither_host_nor_network(probes: Study) -> None:
    at_home = Path.home() / ".ldae-host-only"
    at_home.touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        (probes.folder / "port").write_text(str(server.getsockname()[1]))
        _, output = probe(probes, "look_around")
    at_home.unlink()
    facts = json.loads(output.read_text())
    assert facts["interfaces"] == ["lo"]
    assert facts["connection"] != "made"
    assert facts["secret"] is None, "variables of the host must not be visible"
    assert facts["slurm_job"], "variables of SLURM must be visible"
    assert facts["host_home"] is False
    assert facts["foreign"] == []
    assert not facts["gpu"] and not facts["driver"]
    _, output = probe(probes, "look_around_with_gpu")
    facts = json.loads(output.read_text())
    assert facts["gpu"] in ("0", "1") and facts["driver"]


def test_each_process_of_a_training_chooses_its_own_gpu(probes: Study) -> None:
    """Lightning selects a GPU by the local rank of a process, which must therefore see all GPUs."""
    _, output = probe(probes, "see_gpus")
    seen = [json.loads(output.with_stem(f"see_gpus-{rank}").read_text()) for rank in range(2)]
    assert seen == [{"gpus": "0,1", "place": "0"}, {"gpus": "0,1", "place": "1"}]


def test_missing_package_is_not_imported_from_the_host(probes: Study) -> None:
    said, output = probe(probes, "import_missing", "--retries", "0", code=1)
    assert not output.exists()
    log = (probes.folder / "results/logs/import_missing.log").read_text()
    assert "No module named 'pytest'" in log
    # the same rule on the host finds it
    local = (sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", "probe.smk")
    subprocess.run([*local, str(output.relative_to(probes.folder))], cwd=probes.folder, check=True)
    assert json.loads(output.read_text())["found"] is True
    # the last lines of Snakemake's output name the log
    last = said.strip().splitlines()[-12:]
    assert any("results/logs/import_missing.log" in line for line in last), said


def test_failed_job_is_retried_with_more_memory(probes: Study) -> None:
    said, output = probe(probes, "fail_at_first")
    facts = json.loads(output.read_text())
    assert facts == {"attempt": 2, "mem_mb": 150}
    assert "It fails at first" in said


# --- several processes ----------------------------------------------------------------------------


def weights_agree(one: Path, other: Path, tolerance: float) -> bool:
    a, b = read_weights(one)[0], read_weights(other)[0]
    return a.keys() == b.keys() and all(
        torch.allclose(a[name], b[name], rtol=0, atol=tolerance) for name in a
    )


def test_a_training_of_two_tasks_gives_the_result_of_one(
    place: Path, local: Study, images: Path, cluster: Cluster
) -> None:
    """With Snakemake, srun and Apptainer; gloo on CPUs is used in place of NCCL on GPUs."""
    study = Study(place / "pair", images)
    shutil.copytree(local.results, study.results)
    shutil.copytree(local.folder / ".snakemake", study.folder / ".snakemake")
    (study.folder / "even.yaml").write_text(f"prior: {{dropout: 0.0}}\n{NO_GPU}")
    arguments = ("micro.yaml", "even.yaml", "--rerun-triggers", "params", "--allowed-rules",
                 "train_network")  # fmt: skip
    model = study.results / "prior/seed-0/model.safetensors"
    target = str(model.relative_to(study.folder))
    study.run(*arguments, "--", target, cluster=False)
    alone = model.rename(study.folder / "alone.safetensors")
    tasks = [f"train_network:{name}" for name in ("mpi=srun", "tasks=2", "mem_mb=500")]
    study.run(*arguments, "--set-resources", *tasks, "--", target)
    assert weights_agree(alone, model, 1e-5)
    record = records(study, "train_network/prior")[-1]
    assert record["slurm"] and record["container"]
    other = (study.results / "logs/train_network/prior/seed-0.process-1.log").read_text()
    assert "MEMBER: 2/2" in other or "steps of" in other


# --- failures -------------------------------------------------------------------------------------

# The steps of the long training take longer than the time limit of one attempt on any machine, so
# it is interrupted at least once. SLURM accepts limits in whole minutes only. The short one lasts
# long enough to be interrupted at its first checkpoint.
TRIAL_STEPS = 100
STEPS_PER_LIMIT = 1.25
SHORT_SECONDS = 30
# An attempt reaches its first step within one minute if Snakemake and Python start in this time.
BEGINNING_SECONDS = 40
PRIOR = "results/micro/prior/seed-0/model.safetensors"


class Training:
    """A training of the prior on the cluster, in a copy of the finished micro study.

    Run once on this machine without interruption, as a reference.

    Parameters
    ----------
    study
        The copy.
    name
        Of the training; it names its settings.
    n_steps
        Of the training.
    limit
        Time limit of one attempt, minutes.
    """

    begun: ClassVar[subprocess.Popen[str] | None] = None  # all trainings share one folder

    def __init__(self, study: Study, name: str, n_steps: int, limit: int = 10) -> None:
        self.study = study
        self.limit = limit
        self.straight = study.folder / f"straight-{name}"
        (study.folder / f"{name}.yaml").write_text(f"prior: {{n_steps: {n_steps}}}\n{NO_GPU}")
        self.arguments = ("micro.yaml", f"{name}.yaml", "--rerun-triggers", "params",
                          "--allowed-rules", "train_network")  # fmt: skip
        start = time.monotonic()
        study.run(*self.arguments, "--", PRIOR, cluster=False)
        self.seconds = time.monotonic() - start
        (study.results / "prior/seed-0").rename(self.straight)

    def begin(self, *resources: str, retries: int = 3) -> subprocess.Popen[str]:
        """Start it from scratch, and remove everything that a failed test has left."""
        if Training.begun and Training.begun.poll() is None:
            os.killpg(Training.begun.pid, signal.SIGKILL)
            Training.begun.communicate()
        while jobs := left_jobs(self.study.results, self.study.folder):
            run("scancel", *[job.number for job in jobs], check=False)
            time.sleep(1)
        shutil.rmtree(self.study.folder / ".snakemake/locks", ignore_errors=True)
        shutil.rmtree(self.study.results / "prior", ignore_errors=True)
        shutil.rmtree(self.study.results / "checkpoints", ignore_errors=True)
        shutil.rmtree(self.study.results / "records/train_network/prior", ignore_errors=True)
        return self.resume(*resources, retries=retries)

    def resume(self, *resources: str, retries: int = 3) -> subprocess.Popen[str]:
        """Continue it from its current state."""
        asked = [f"train_network:{text}" for text in ("mem_mb=500", *resources)]
        more = ("--set-resources", *asked, "--retries", str(retries), "--", PRIOR)
        Training.begun = self.study.start(*self.arguments, *more)
        return Training.begun

    def checkpoint(self) -> Path | None:
        """Its checkpoint, if there is one."""
        found = list((self.study.results / "checkpoints/prior-seed-0").glob("*/last.ckpt"))
        return found[0] if found else None

    def step(self) -> int:
        """Step of its checkpoint."""
        path = self.checkpoint()
        assert path is not None
        return int(torch.load(path, weights_only=True)["state_dict"]["step"])

    def job(self) -> str:
        """Number of its running SLURM job; empty if there is none."""
        jobs = left_jobs(self.study.results, self.study.folder)
        return next((job.number for job in jobs if job.state == "running"), "")

    def process(self) -> int:
        """Number of the process that trains; 0 if there is none."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            ours = words[-2:-1] and words[-2].startswith(str(self.study.folder))
            if words[0] == "python" and ours and words[-2].endswith("train_network.py"):
                return int(path.parent.name)
        return 0

    def wait_for_checkpoint(self) -> None:
        wait_until("a checkpoint", lambda: self.checkpoint() and self.step() > 0, 400)

    def first_step(self) -> int:
        """Step at which the last attempt began."""
        log = (self.study.results / "logs/train_network/prior/seed-0.log").read_text()
        begun = re.findall(r"steps of \d+ scans from step (\d+)", log)
        return int(begun[-1])


@pytest.fixture(scope="module")
def trial(place: Path, local: Study, images: Path, cluster: Cluster) -> Training:
    """A training that measures the time per step, from which those of the others follow."""
    study = Study(place / "faults", images)
    shutil.copytree(local.results, study.results)
    shutil.copytree(local.folder / ".snakemake", study.folder / ".snakemake")
    rules, often = study.folder / "rules/common.smk", '"checkpoint_minutes": 0.05'
    assert '"checkpoint_minutes": 10' in rules.read_text()
    rules.write_text(rules.read_text().replace('"checkpoint_minutes": 10', often))
    return Training(study, "trial", TRIAL_STEPS)


def seconds_per_step(trial: Training) -> float:
    rows = pd.read_csv(trial.straight / "metrics.csv")  # the first holds slow steps
    return float(rows["seconds"].diff().iloc[-1] / rows["step"].diff().iloc[-1])


@pytest.fixture(scope="module")
def training(trial: Training) -> Training:
    """A short training, to be interrupted by hand."""
    n_steps = math.ceil(SHORT_SECONDS / seconds_per_step(trial))
    return Training(trial.study, "short", n_steps)


@pytest.fixture(scope="module")
def long_training(trial: Training) -> Training:
    """A training that takes longer than the time limit of one attempt."""
    per_step = seconds_per_step(trial)
    limit = 1 + int((trial.seconds - TRIAL_STEPS * per_step) / BEGINNING_SECONDS)
    n_steps = math.ceil(STEPS_PER_LIMIT * limit * 60 / per_step)
    return Training(trial.study, "long", n_steps, limit)


def same_result(training: Training) -> bool:
    """Whether the result equals that of the uninterrupted training, bit for bit."""
    tables = []
    for folder in (training.straight, training.study.results / "prior/seed-0"):
        tables.append(pd.read_csv(folder / "metrics.csv").drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables)
    straight = training.straight / "model.safetensors"
    return straight.read_bytes() == (training.study.folder / PRIOR).read_bytes()


def test_time_limit(long_training: Training) -> None:
    """Every attempt saves a checkpoint and ends before the limit; the next job resumes from it."""
    training = long_training
    limit = f"runtime={training.limit}"
    said = training.study.end(training.begin(limit, retries=8), 1500)
    attempts = records(training.study, "train_network/prior")
    assert len({a["slurm"]["slurm_job_id"] for a in attempts}) == len(attempts) >= 2
    assert [a["status"] for a in attempts[:-1]] == ["FailedActionStatus"] * (len(attempts) - 1)
    assert {a["error"]["type"] for a in attempts[:-1]} == {"Interrupted"}
    assert attempts[-1]["status"] == "CompletedActionStatus"
    stopped = "It stopped before its time limit after step"
    assert all(stopped in a["error"]["message"] for a in attempts[:-1]), attempts
    assert stopped in said, said
    assert "TIMEOUT" not in run("squeue", "-h", "--states=all", "--format=%T %k").stdout
    assert same_result(training)


def test_cancelled_job(training: Training) -> None:
    process = training.begin()
    training.wait_for_checkpoint()
    before = training.step()
    run("scancel", training.job())
    training.study.end(process, 400)
    assert training.first_step() >= before > 0
    assert same_result(training)


def test_killed_process(training: Training) -> None:
    """After kill -9 the training resumes from the last regular checkpoint."""
    process = training.begin()
    training.wait_for_checkpoint()
    before = training.step()
    os.kill(training.process(), signal.SIGKILL)
    said = training.study.end(process, 400)
    assert "train_network failed" in said
    assert training.first_step() >= before > 0
    assert same_result(training)


def test_requeued_job(training: Training) -> None:
    """Pre-emption: SLURM ends the job and starts it again under the same number."""
    process = training.begin()
    training.wait_for_checkpoint()
    before, job = training.step(), training.job()
    run("scontrol", "requeue", job)
    # SLURM waits two minutes before it restarts a requeued job, unless its start time is changed
    wait_until("the requeue", lambda: "PENDING" in run("squeue", "-h", "-j", job, "-o%T").stdout)
    run("scontrol", "update", f"JobId={job}", "StartTime=now")
    training.study.end(process, 600)
    assert training.first_step() >= before > 0
    assert records(training.study, "train_network/prior")[-1]["slurm"]["slurm_job_id"] == job
    assert same_result(training)


def test_full_disk(training: Training) -> None:
    """A checkpoint that does not fit leaves the previous one intact."""
    folder = training.study.results / "checkpoints"
    process = training.begin()
    training.wait_for_checkpoint()
    size = training.checkpoint().stat().st_size  # type: ignore[union-attr]
    run("scancel", training.job())
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    kept = training.study.folder / "kept"
    shutil.copytree(folder, kept)
    shutil.rmtree(folder)
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={int(size * 1.5)}", "tmpfs", str(folder))
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        before = training.step()
        process = training.resume(retries=3)
        wait_until("a failure", lambda: "No space left" in last_error(training), 400)
        assert training.step() == before
        run("mount", "-o", "remount,size=1g", str(folder))
        training.study.end(process, 400)
        assert training.first_step() == before
    finally:
        run("umount", str(folder))
        shutil.rmtree(kept)
    assert same_result(training)


def last_error(training: Training) -> str:
    found = records(training.study, "train_network/prior")
    return str(found[-1]["error"]) if found else ""


def test_killed_snakemake(long_training: Training) -> None:
    """The next run lists the remaining jobs and how to end them; after that it resumes."""
    training = long_training
    process = training.begin()
    training.wait_for_checkpoint()
    job = training.job()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert training.job() == job, "the job must continue without Snakemake"
    said = training.study.end(training.resume(), 60, code=1)
    last = said.strip().splitlines()[-1]
    assert last.startswith("Error: SLURM: jobs of an earlier run of this study have not ended")
    assert f"scancel {job}" in last and "train_network" in last
    before = training.step()
    run("scancel", job)
    wait_until("the end of the job", lambda: not training.job())
    training.study.run("--unlock", cluster=False)
    training.study.end(training.resume(), 400)
    assert training.first_step() >= before > 0
    assert same_result(training)
