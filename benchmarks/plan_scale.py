"""What a study of many scans costs before it computes anything: plan, requests, file system.

    .venv/bin/python -m benchmarks.plan_scale [SCANS ...]

For each number of scans (by default 102, 12,000 and 100,000) creates a BIDS folder whose images are
empty files, with six visits of each participant, and plans studies/adni.yaml of it for a cluster:
seconds, memory and jobs of the plan, and the most memory and time that a job asks for. Then starts
the run, so that the main process keeps the cohort, and one job of it (the rule ``write_config``)
under ``strace``, and counts the calls of that job that name a file: of the cohort, of the working
folder with the results, and of software. Targets: 60 seconds and 2 GiB for the plan of 12,000
scans, and less than 10,000 calls of a job for files of the study.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZES = (102, 12_000, 100_000)
MONTHS = (0, 6, 12, 18, 24, 36)
DIAGNOSES = ("CN", "MCI", "AD")
SETTINGS = """
autoencoder: {perceptual_weight: 0}
encoder: {pretrained: null}
preprocessing: {brain_extraction: template}
"""
COLUMNS = (
    "scans",
    "seconds",
    "MiB",
    "jobs",
    "most MB",
    "most minutes",
    "cohort",
    "study",
    "software",
)


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
            place = folder / subject / session / "anat"
            place.mkdir(parents=True)
            (place / f"{subject}_{session}_T1w.nii.gz").touch()
        table = folder / subject / f"{subject}_sessions.tsv"
        table.write_text("\n".join(visits) + "\n", encoding="utf-8")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def snakemake(work: Path, *arguments: str) -> list[str]:
    """Command of Snakemake with the study's settings; `work` is the working folder."""
    study = ["--configfile", str(ROOT / "studies" / "adni.yaml"), str(work / "mine.yaml")]
    settings = [f"bids_folder={work.parent / 'bids'}"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    return [*command, *arguments, *study, "--config", *settings]


def run(command: list[str], work: Path, **environment: str) -> str:
    """Output of a command, which must succeed."""
    done = subprocess.run(
        command, cwd=work, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def plan(work: Path) -> list[str]:
    """Seconds, MiB and jobs of the plan; the most memory and time that a job asks for."""
    start = time.monotonic()
    shown = run(snakemake(work, "-n", "--profile", str(ROOT / "profiles" / "slurm")), work)
    seconds = time.monotonic() - start
    # ru_maxrss is in KiB on Linux (getrusage(2))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    jobs = re.search(r"^total +(\d+)$", shown, re.M)
    most = [max(map(int, re.findall(rf"\b{name}=(\d+)", shown))) for name in ("mem_mb", "runtime")]
    return [f"{seconds:.1f}", f"{memory:.0f}", jobs[1] if jobs else "?", *map(str, most)]


def count_calls(work: Path) -> list[str]:
    """Calls of one job that name a file of the cohort, of the working folder, and of software."""
    run(snakemake(work, "--cores", "1", "results/adni/config.yaml"), work)
    (kept,) = (work / ".snakemake" / "ldae").glob("cohort-*.json")
    job = ("--target-jobs", "write_config:", "--allowed-rules", "write_config", "--mode", "remote")
    like_a_plugin = ("--cores", "1", "--force", "--no-hooks", "--nolock", "--ignore-incomplete")
    trace = work / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", str(trace)]
    run([*strace, *snakemake(work, *job, *like_a_plugin)], work, LDAE_KEPT_COHORT=str(kept))
    calls: Counter[str] = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        named = re.search(r'"([^"]+)"', line)
        calls[place_of(Path(named[1]), work) if named else "none"] += 1
    return [str(calls[place]) for place in ("cohort", "study", "software")]


def place_of(path: Path, work: Path) -> str:
    """Where a file lies that a call names; relative ones are in the working folder."""
    if path.is_relative_to(work.parent / "bids"):
        return "cohort"
    return "study" if not path.is_absolute() or path.is_relative_to(work) else "software"


def main() -> None:
    """Print a table with a line for each number of scans."""
    sys.stdout.write("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|\n")
    for n_scans in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory() as scratch:
            work = Path(scratch) / "work"
            work.mkdir()
            make_bids(Path(scratch) / "bids", n_scans)
            (work / "mine.yaml").write_text(SETTINGS, encoding="utf-8")
            planned = plan(work)
            # a grid whose results every disk can hold
            with (work / "mine.yaml").open("a", encoding="utf-8") as file:
                file.write("grid: {shape: [32, 32, 32], spacing_mm: 6.0}\n")
            cells = [f"{n_scans:,}", *planned, *count_calls(work)]
        sys.stdout.write("| " + " | ".join(cells) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
