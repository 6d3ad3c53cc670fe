"""Time and memory of the audit of a large study: records and links, beside hashing.

Writes the records of a study whose files hold a few bytes each, and audits it::

    .venv/bin/python benchmarks/audit_scale.py --scans 12000

Real files take as long to hash as ``audit_throughput.py`` says; here they take next to nothing, so
that what is measured is everything else.
"""

import argparse
import hashlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ldae.provenance.record import COMPLETED, FORMAT, ID_TIME, STARTED  # noqa: E402
from ldae.provenance.seal import seal_records  # noqa: E402

DERIVATIVES = ("T1w.nii.gz", "mask.nii.gz", "qc.json", "affine.txt", "preview.png")
BATCH = 64
METHODS = 10
AUDIT = """
import resource, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from ldae.provenance.audit import audit_study
verdict = audit_study(Path({results!r}), working=Path({results!r}))
print(verdict.as_text())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

logger = logging.getLogger("benchmark")
State = dict[str, Any]


class Writer:
    """Writes the files and records of jobs, one minute apart."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.time = datetime.now(UTC) - timedelta(days=30)

    def file(self, name: str, content: str) -> State:
        """Write a file, and return its state as a record has it."""
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        digest = hashlib.sha256(content.encode()).hexdigest()
        return {"path": f"<results>/{name}", "size": len(content), "sha256": digest}

    def job(
        self, rule: str, case: str, inputs: list[State], outputs: list[State], **more: Any
    ) -> None:
        """Write both records of a job."""
        self.time += timedelta(minutes=1)
        record: dict[str, Any] = {
            "format": FORMAT, "rule": rule, "wildcards": {"case": case} if case else {},
            "params": {"code": "0123456789abcdef"}, "seed": 0, "threads": 1, "resources": {},
            "start": self.time.isoformat(), "status": STARTED, "slurm": None, "container": None,
            "locks": {}, "commit": None, "dirty": None,
        }  # fmt: skip
        folder = self.results / "records" / rule / case
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.time.strftime(ID_TIME)}-{uuid.uuid4().hex[:8]}"
        (folder / f"{name}.started.json").write_text(json.dumps(record, indent=2))
        end = (self.time + timedelta(seconds=50)).isoformat()
        record |= {"status": COMPLETED, "end": end, "input": inputs, "output": outputs, **more}
        (folder / f"{name}.json").write_text(json.dumps(record, indent=2))


def write_study(results: Path, n_scans: int) -> None:
    """Write a study with this many scans."""
    writer = Writer(results)
    subjects = [f"sub-{i // 3:06d}" for i in range(n_scans)]
    scans = [f"{subject}_ses-{i % 3}" for i, subject in enumerate(subjects)]
    raw = [
        writer.file(f"cohort/bids/{subject}/anat/{scan}_T1w.nii.gz", scan)
        for subject, scan in zip(subjects, scans, strict=True)
    ]
    writer.job("simulate_cohort", "", [], raw)
    splits = {s: ("train", "val", "test")[i % 3] for i, s in enumerate(dict.fromkeys(subjects))}
    rows = "".join(
        f"{scan}\t{subject}\t{file['path'].removeprefix('<results>/cohort/bids/')}\t{file['sha256']}\n"
        for scan, subject, file in zip(scans, subjects, raw, strict=True)
    )
    manifest = writer.file("manifest/scans.tsv", f"scan\tsubject\tpath\tsha256\n{rows}")
    writer.job("read_bids", "", raw, [manifest])
    rows = "".join(f"{subject}\t{split}\n" for subject, split in splits.items())
    split = writer.file("split/split.tsv", f"subject\tsplit\n{rows}")
    writer.job("split_subjects", "", [manifest], [split])
    brains: list[State] = []
    for start in range(0, n_scans, BATCH):
        stop = min(n_scans, start + BATCH)
        made = [
            writer.file(f"preprocessed/{subjects[i]}/anat/{scans[i]}_{kind}", f"{kind} {scans[i]}")
            for i in range(start, stop)
            for kind in DERIVATIVES
        ]
        digests = {
            scans[i]: hashlib.sha256(scans[i].encode()).hexdigest() for i in range(start, stop)
        }
        writer.job(
            "preprocess_scan", str(start), [manifest, *raw[start:stop]], made, voxels=digests
        )
        brains += made
    rows = "".join(f"{scan}\t{s}\t{splits[s]}\n" for scan, s in zip(scans, subjects, strict=True))
    index = writer.file("volumes/index.tsv", f"scan\tsubject\tsplit\n{rows}")
    volumes = writer.file("volumes/volumes.npy", "voxels")
    writer.job("pack_volumes", "", brains, [index, volumes])
    train = [subject for subject, part in splits.items() if part == "train"]
    tables = []
    for number in range(METHODS):
        code = writer.file(f"codes/{number}.npy", f"codes {number}")
        writer.job("fit_probe", str(number), [index, volumes], [code], fitted_on={"probe": train})
        scores = writer.file(f"tables/{number}.tsv", f"metric\tvalue\nmae\t{number}\n")
        writer.job("tabulate", str(number), [code, index], [scores])
        tables.append(scores)
        figure = writer.file(f"figures/{number}.png", f"figure {number}")
        writer.job("plot_figure", str(number), [scores, volumes], [figure])
    seal_records(results)


def main() -> None:
    """Write the study, audit it twice, and print times and memory."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=12_000)
    parser.add_argument("--folder", type=Path, help="where to write the study; default: TMPDIR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = Path(folder) / "results"
        write_study(results, options.scans)
        size = sum(path.stat().st_size for path in (results / "records").rglob("*.json"))
        logger.info("%d scans, records of %.0f MB", options.scans, size / 1e6)
        for attempt in ("first audit", "again, digests from the cache"):
            begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            code = AUDIT.format(root=str(ROOT), results=str(results))
            done = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=True,
                env={"XDG_CACHE_HOME": folder, "PATH": "/usr/bin:/bin"},
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            *text, memory = done.stdout.strip().splitlines()
            wall = time.monotonic() - begun
            logger.info("%s: %.1f s, CPU %.1f s, %s MiB", attempt, wall, cpu, memory)
            logger.info("%s", "\n".join(text) if attempt == "first audit" else text[-1])


if __name__ == "__main__":
    main()
