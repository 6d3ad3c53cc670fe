"""What a study of many scans costs before it computes anything: plan, requests, file system.

    .venv/bin/python -m benchmarks.plan_scale [SCANS ...] [--only plans|calls]

For each number of scans (by default 102, 12,000 and 100,000) creates a BIDS folder whose images are
empty files, with six visits of each participant, and prints two tables:

* the plan of studies/adni.yaml of it for a cluster: processor time, memory, jobs, the most that a
  job asks for without a limit of the site, and the rules that ask for more than `LIMITS`, whose
  requests ``site.max_memory_mb`` and ``site.max_minutes`` would cut;
* the calls that name a file, counted with ``strace``: those of the main process that starts a run,
  and those of one job of each of `JOBS`. A job is counted from its first process on the node, as
  SLURM's plugin starts it, to the end of its script. All files that it reads are empty, so that
  it fails where its work would begin; scans are refused one by one.

Targets: 600 seconds and 8 GB for a plan, and less than 10,000 calls of a job for files of cohort,
study and clone. Keep the tables in docs/results/scale.md.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZES = (102, 12_000, 100_000)
LIMITS = {"max_minutes": 1440, "max_memory_mb": 96_000}
"""A day, and a node of 96 GB: what many sites have."""

JOBS = {
    "write_config": "",
    "tabulate": "table=probes",
    "preprocess_scan": "batch={batch}",
    "train_network": "network=ldae,seed=0",
    "evaluate_reconstruction": "of=,seed=0",
}
"""Jobs whose calls are counted: without inputs, a table, a batch, a training, an evaluation."""

MONTHS = (0, 6, 12, 18, 24, 36)
DIAGNOSES = ("CN", "MCI", "AD")
SETTINGS = """
autoencoder: {perceptual_weight: 0}
encoder: {pretrained: null}
preprocessing: {brain_extraction: template}
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
"""
"""Stands in for srun, by which SLURM's plugin starts the second process of a job."""

SMALL_GRID = "grid: {shape: [32, 32, 32], spacing_mm: 6.0}\n"
"""For a run, so that any disk could hold its results."""

PLACES = ("cohort", "study", "clone", "software")
"""Where a file lies that a call names: software is Python, its packages and programs."""

PLAN_COLUMNS = ("scans", "seconds", "MiB", "jobs", "most MB", "above", "most minutes", "above")


def make_bids(folder: Path, n_scans: int) -> None:
    """Write the tables and the empty images of the folder."""
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(-(-n_scans // len(MONTHS))):
        subject = f"sub-{number:05d}"
        age = 60 + number % 30
        rows.append(f"{subject}\t{age}\t{'FM'[number % 2]}\t{DIAGNOSES[number % 3]}")
        visits = ["session_id\tage"]
        for months in MONTHS:
            session = f"ses-M{months:03d}"
            visits.append(f"{session}\t{age + months / 12:.2f}")
            place = f"{folder}/{subject}/{session}/anat"
            os.makedirs(place)
            open(f"{place}/{subject}_{session}_T1w.nii.gz", "x").close()
        table = folder / subject / f"{subject}_sessions.tsv"
        table.write_text("\n".join(visits) + "\n", encoding="utf-8")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


class Measured:
    """A study of empty files, and what is measured of it.

    Parameters
    ----------
    scratch
        Folder for the cohort and for the working folder of the study.
    n_scans
        Scans of the cohort.
    """

    def __init__(self, scratch: Path, n_scans: int) -> None:
        self.bids, self.work, self.n_scans = scratch / "bids", scratch / "work", n_scans
        self.work.mkdir(parents=True)
        make_bids(self.bids, n_scans)
        (self.work / "mine.yaml").write_text(SETTINGS, encoding="utf-8")
        self.programs = scratch / "bin"
        self.programs.mkdir()
        (self.programs / "srun").write_text(SRUN, encoding="utf-8")
        (self.programs / "srun").chmod(0o755)

    def snakemake(self, *arguments: str) -> list[str]:
        """Command of Snakemake with the study's settings."""
        files = [str(ROOT / "studies" / "adni.yaml"), "mine.yaml"]
        study = ["--configfile", *files, "--config", f"bids_folder={self.bids}"]
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        return [*command, *arguments, *study]

    def run(self, command: list[str], *, may_fail: bool = False, **environment: str) -> str:
        """Output of a command."""
        paths = f"{self.programs}:{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.work, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": paths, **environment},
        )  # fmt: skip
        if done.returncode and not may_fail:
            sys.exit(done.stdout + done.stderr)
        return done.stdout

    def plan(self) -> str:
        """The plan for a cluster, as Snakemake prints it."""
        return self.run(self.snakemake("-n", "--profile", str(ROOT / "profiles" / "slurm")))

    def calls(self, command: list[str], *, may_fail: bool = False, **environment: str) -> list[str]:
        """Calls of a command and of what it starts that name a file, by `PLACES`."""
        trace = self.work / "trace"
        only = ["-f", "-y", "-qq", "--seccomp-bpf", "-e", "trace=%file"]
        self.run(["strace", *only, "-o", str(trace), *command], may_fail=may_fail, **environment)
        found: Counter[str] = Counter()
        with trace.open(errors="replace") as lines:
            for line in lines:
                named = re.search(r'(?:<([^<>]*)>, )?"([^"]+)"', line)
                if named is not None and "resumed>" not in line:
                    found[self.place_of(os.path.join(named[1] or self.work, named[2]))] += 1
        return [f"{found[place]:,}" for place in PLACES]

    def place_of(self, path: str) -> str:
        """Which of `PLACES` a path lies in; what the kernel shows as files counts as none."""
        path = os.path.normpath(path)
        if path.startswith((f"{ROOT}/.venv", "/proc/", "/sys/", "/dev/")):
            return "software" if path.startswith(str(ROOT)) else "none"
        folders = {"cohort": self.bids, "study": self.work, "clone": ROOT}
        inside = (name for name, folder in folders.items() if f"{path}/".startswith(f"{folder}/"))
        return next(inside, "software")

    def start(self) -> tuple[Path, list[str]]:
        """The cohort as the main process keeps it for the jobs, and the calls of that process."""
        with (self.work / "mine.yaml").open("a", encoding="utf-8") as file:
            file.write(SMALL_GRID)
        run = self.snakemake("--cores", "1", "--touch", "results/adni/config.yaml")
        counted = self.calls(run, may_fail=True)  # there is nothing to touch yet
        (kept,) = (self.work / ".snakemake" / "ldae").glob("cohort-*.json")
        return kept, counted

    def name_files(self) -> list[str]:
        """Names of all files of the study."""
        rows = (line.partition("\t") for line in self.run(self.snakemake("--summary")).splitlines())
        return [name for name, _, _ in rows if name.startswith("results/")]

    def job(self, rule: str, wildcards: str, kept: Path, names: Iterable[str]) -> list[str]:
        """Calls of one job, as SLURM's plugin runs it on a node where all its inputs are there."""
        made = time.time()
        for path in (self.work / name for name in names):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (made, made))  # none is newer than what is made of it
        one = ("--target-jobs", f"{rule}:{wildcards}", "--allowed-rules", rule, "--mode", "remote")
        plugin = ("--executor", "slurm-jobstep", "--jobs", "1", "--force", "--no-hooks")
        command = self.snakemake(*one, *plugin, "--nolock", "--ignore-incomplete")
        return self.calls(command, may_fail=True, LDAE_KEPT_COHORT=str(kept))


def requests(plan: str) -> Iterator[tuple[str, int, int]]:
    """Rule, MB and minutes of each request of a plan."""
    for line in re.findall(r"^\w+: threads=.*$", plan, re.M):
        mb, minutes = (int(re.search(rf"\b{k}=(\d+)", line)[1]) for k in ("mem_mb", "runtime"))
        yield line.partition(":")[0], mb, minutes


def describe_plan(study: Measured) -> list[str]:
    """Cells of the table of plans."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    plan = study.plan()
    # ru_maxrss is in KiB on Linux (getrusage(2))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = re.search(r"^total +(\d+)$", plan, re.M)
    cells = [f"{study.n_scans:,}", f"{seconds:.1f}", f"{after.ru_maxrss / 1024:.0f}"]
    cells.append(f"{int(jobs[1]):,}" if jobs else "?")
    asked = list(requests(plan))
    for which, limit in ((1, LIMITS["max_memory_mb"]), (2, LIMITS["max_minutes"])):
        most = max(asked, key=lambda one: one[which])
        cells.append(f"{most[which]:,} ({most[0]})")
        above = sorted({one[0] for one in asked if one[which] > limit})
        cells.append(", ".join(above) or "none")
    return cells


def describe_jobs(study: Measured) -> Iterator[list[str]]:
    """Rows of the table of calls."""
    kept, counted = study.start()
    yield [f"{study.n_scans:,}", "the main process", *counted]
    names = study.name_files()
    batch = next(found[1] for name in names if (found := re.search(r"/batch-([01]+)", name)))
    for rule, wildcards in JOBS.items():
        counted = study.job(rule, wildcards.format(batch=batch), kept, names)
        yield [f"{study.n_scans:,}", rule, *counted]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, row by row."""
    sys.stdout.write(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
        sys.stdout.flush()
    sys.stdout.write("\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=int, nargs="*", default=SIZES)
    parser.add_argument("--only", choices=("plans", "calls"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studies = [Measured(Path(folder) / str(n), n) for n in options.scans]
        if options.only != "calls":
            print_table(PLAN_COLUMNS, map(describe_plan, studies))
        if options.only != "plans":
            rows = (row for study in studies for row in describe_jobs(study))
            print_table(("scans", "process", *PLACES), rows)


if __name__ == "__main__":
    main()
