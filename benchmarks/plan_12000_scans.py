"""Time, memory and number of jobs of a dry run for 12,000 scans.

    .venv/bin/python benchmarks/plan_12000_scans.py

Creates a BIDS folder of 2,000 participants with six visits each, whose images are empty files, and
plans studies/adni.yaml with it for a cluster. Targets: 60 seconds, 2 GiB, hundreds of jobs.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
N_PARTICIPANTS = 2000
MONTHS = (0, 6, 12, 18, 24, 36)
DIAGNOSES = ("CN", "MCI", "AD")


def make_bids(folder: Path) -> None:
    """Write the tables and the empty images of the folder."""
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(N_PARTICIPANTS):
        subject = f"sub-{number:04d}"
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


def main() -> None:
    """Create the folder, run the dry run, and print its cost."""
    with tempfile.TemporaryDirectory() as scratch:
        bids = Path(scratch)
        make_bids(bids)
        command = [sys.executable, "-m", "snakemake", "-n", "--profile", "slurm"]
        command += ["--configfile", "studies/adni.yaml", "--config", f"bids_folder={bids}"]
        start = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - start
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    jobs = re.search(r"^total +(\d+)$", done.stdout, re.M)
    # ru_maxrss is in KiB on Linux (getrusage(2))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    lines = [
        f"scans    {N_PARTICIPANTS * len(MONTHS)}",
        f"jobs     {jobs[1] if jobs else 'unknown'}",
        f"seconds  {seconds:.1f}",
        f"MiB      {memory:.0f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
