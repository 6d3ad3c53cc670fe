"""Runs on a cluster whose scheduler is a stand-in: what a real SLURM is not brought into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, copy_workflow
from slurm_stand_in import SINFO, StandIn

from ldae.slurm import study_tag

pytestmark = pytest.mark.workflow

# the plugin waits 40 s before it asks for the first time, and before it ends
PROFILE = (
    "--profile", "slurm", "--software-deployment-method", "env-modules",
    "--slurm-init-seconds-before-status-checks", "1",
)  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A stand-in on the PATH, whose GPU nodes have little memory."""
    stand_in = StandIn(tmp_path / "bin", SINFO.replace("500000", "30000"))
    monkeypatch.setenv("PATH", f"{stand_in.folder}:{os.environ['PATH']}")
    return stand_in


def start(folder: Path, study: str, target: str) -> subprocess.Popen[str]:
    """Start a run of the study with results of its own."""
    (folder / f"{study}.yaml").write_text(f"pathvars: {{results: results/{study}}}\n")
    command = [sys.executable, "-m", "snakemake", *PROFILE, "--configfile", f"{study}.yaml"]
    return subprocess.Popen(
        [*command, "--", f"results/{study}/{target}"], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        # a shell's background jobs ignore SIGINT, and so would all that tests start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def test_two_studies_run_from_one_clone(cluster: StandIn, tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path / "clone")
    first = start(folder, "one", "manifest/scans.tsv")
    try:
        end = time.monotonic() + 120
        while not cluster.jobs() and first.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        ((state, name, place, comment),) = cluster.jobs().values()
        assert (state, place, comment) == ("PENDING", str(folder), "rule_simulate_cohort")
        assert name.startswith(f"{study_tag(folder / 'results/one')}_")
        # another study is not stopped by its jobs or its lock; the same study is
        other = start(folder, "two", "config.yaml")
        said, _ = other.communicate(timeout=120)
        assert other.returncode == 0 and (folder / "results/two/config.yaml").is_file(), said
        again = start(folder, "one", "manifest/scans.tsv")
        said, _ = again.communicate(timeout=120)
        last = said.strip().splitlines()[-1]
        assert again.returncode == 1 and "simulate_cohort (1, pending)" in last, said
        assert "jobs of an earlier run of this study have not ended" in last
    finally:
        os.killpg(first.pid, signal.SIGINT)
        first.communicate(timeout=120)
    assert [job[0] for job in cluster.jobs().values()] == ["CANCELLED"]


def test_doctor_compares_the_plan_with_the_limits(
    cluster: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "profile.v9+.yaml").write_text("config: ['gpu={partition: gpu}']\n")
    command = [sys.executable, "-m", "ldae", "doctor", "--study", "smoke", "--json", "--profile"]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        [*command, str(site)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # for the memory
    parts = json.loads(done.stdout)["parts"]
    assert parts["Scheduler"][0]["text"] == "slurm 24.05.2"
    jobs, largest, *limits = parts["Plan"]
    assert int(jobs["text"].split()[0]) > 70 and largest["text"].startswith("12 h (train_")
    (limit,) = [f for f in limits if f["text"].startswith("train_network asks for ")]
    assert limit["text"].endswith(" MB, a node of gpu has 30000")
    assert limit["remedy"] == "site: {max_memory_mb: 30000} in the settings"
