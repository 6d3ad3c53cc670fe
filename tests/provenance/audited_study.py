"""A finished study that the audit finds nothing in: real records and seals of small, made-up files.

The records are written by the functions that every job uses, as ``ldae.workflow.entry`` does, and
the code is a git clone of its own, small enough that its digests take a fraction of a second.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ldae.paths import WORKFLOW
from ldae.provenance.audit import Finding, Level, Verdict, audit_study
from ldae.provenance.code import code_digest, raw_digest
from ldae.provenance.places import Places
from ldae.provenance.record import (
    COMPLETED,
    FAILED,
    FORMAT,
    ID_TIME,
    STARTED,
    Record,
    describe_files,
    device,
    peak_memory,
    write_record,
)
from ldae.provenance.seal import PLACEHOLDER, SEALS, seal_page, seal_records

SPLITS = {"sub-01": "train", "sub-02": "train", "sub-03": "val", "sub-04": "test"}
TRAIN = [subject for subject, split in SPLITS.items() if split == "train"]
LOCK = "envs/local.lock"
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
SCRIPT = "from ldae.science import compute\n\ncompute()\n"
LIBRARY = '"""Science."""\n\n\ndef compute() -> int:\n    """Compute."""\n    return 41 + 1\n'
RULES = (
    "write_config", "read_bids", "split_subjects", "preprocess_scan", "pack_volumes",
    "fit_voxel_pca", "train_network", "fit_probe", "tabulate", "plot_figure", "build_report",
)  # fmt: skip
N_JOBS = 12
PROBES = (
    "method\tsubject\tsplit\tmetric\tvalue\n"
    "ldae\tsub-04\ttest\tmae\t5.2\nvoxel_pca\tsub-04\ttest\tmae\t6.1\n"
)
KERNELS = {"blas": [], "torch": "AVX2", "variables": {}}


def git(folder: Path, *arguments: str) -> str:
    """Output of git in a folder."""
    command = ["git", "-C", str(folder), *IDENTITY, *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def seal_again(results: Path, places: Places) -> None:
    """Make all seals of a study again, those of its page included."""
    made = sorted((results / SEALS).glob("*.json"))
    page = results / "report.html"
    shown = [hashlib.sha256(path.read_bytes()).hexdigest() for path in made]
    shutil.rmtree(results / SEALS, ignore_errors=True)
    own = {p: p.read_bytes() for p in results.glob("records/build_report/*Z-*.json")}
    own = {path: content for path, content in own.items() if ".started" not in path.name}
    for path in own:
        path.unlink()
    seal_records(results)
    if page.is_file():
        text = page.read_text()
        for digest in shown:
            text = text.replace(digest, PLACEHOLDER)
        page.write_text(text)
        seal_page(results, page)
    for path, content in own.items():
        record = json.loads(content)
        if page.is_file():
            others = [f for f in record["output"] if f["path"] != places.name(page)]
            record["output"] = [*describe_files([page], places), *others]
        path.write_text(json.dumps(record))
    seal_records(results)


class AuditedStudy:
    """A study that is written to disk on construction, or a copy of one (:meth:`copy`).

    Attributes
    ----------
    folder
        Working folder: holds ``results``, ``cohort`` (raw scans), ``clone`` (code) and
        ``.snakemake``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # the last of the jobs, a minute apart, ends just now, when the seals are made
        self._time = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=N_JOBS + 1)
        self._write_clone()
        self._write_cohort()
        self._run()

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def bids(self) -> Path:
        return self.folder / "cohort"

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def places(self) -> Places:
        return Places(self.results, self.bids)

    def copy(self, folder: Path, *, clone: bool) -> AuditedStudy:
        """A copy with the same times of its files; without a clone of its own, a link to this."""
        other = AuditedStudy.__new__(AuditedStudy)
        other.folder = folder
        other._time = self._time
        left = shutil.ignore_patterns() if clone else shutil.ignore_patterns("clone")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=left)
        if not clone:
            other.clone.symlink_to(self.clone)
        return other

    def path(self, name: str) -> Path:
        """Path of a file of the results; its folder is made."""
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def audit(self, **options: Any) -> Verdict:
        """Audit of the study as it is now, of every file."""
        given: dict[str, Any] = {
            "bids": self.bids,
            "repository": self.clone.resolve(),
            "working": self.folder,
        }
        given["full"] = True
        return audit_study(options.pop("results", self.results), **given | options)

    # records

    def records(self, rule: str = "*", *, ended: bool = True) -> list[Path]:
        """Record files of a rule, of ends or of starts."""
        found = self.results.glob(f"records/{rule}/**/*.json")
        return sorted(path for path in found if path.name.endswith(".started.json") is not ended)

    def edit(self, path: Path, change: Any) -> None:
        """Change a record, or a seal, as JSON."""
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    def edit_all(self, change: Any, rule: str = "*") -> None:
        """Change all records of a rule, and make all seals again."""
        for path in (*self.records(rule), *self.records(rule, ended=False)):
            self.edit(path, change)
        self.seal_again()

    def seal_again(self) -> None:
        """Make all seals again, as an attacker would who has read the code."""
        seal_again(self.results, self.places)

    def rewrite(self, path: Path, content: bytes) -> None:
        """Replace a file, and change all records and seals as if it had always been so."""
        path.write_bytes(content)
        state = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

        def change(record: Record) -> None:
            for file in [*record.get("input", []), *record.get("output", [])]:
                if file["path"] == self.places.name(path):
                    file |= state

        self.edit_all(change)

    def job(
        self,
        rule: str,
        inputs: Iterable[Path],
        outputs: dict[str, str | bytes],
        wildcards: dict[str, str] | None = None,
        *,
        status: str = COMPLETED,
        **more: Any,
    ) -> None:
        """Write the outputs, records, log and Snakemake's metadata of a job."""
        folder, name, record = self.begin(rule, wildcards)
        if status == STARTED:
            return
        for output, content in outputs.items():
            self.path(output).write_bytes(content.encode() if isinstance(content, str) else content)
        self.end(folder, name, record, inputs, outputs, status, **more)

    def begin(self, rule: str, wildcards: dict[str, str] | None = None) -> tuple[Path, str, Record]:
        """Write the record of a job's start, one minute after the job before it."""
        self._time += timedelta(minutes=1)
        cases = "/".join((wildcards or {}).values())
        script = self.clone / f"scripts/{rule}.py"
        params: dict[str, Any] = {"code": code_digest(script, root=self.clone)}
        if rule == "read_bids":
            params |= {"public": True, "intake": {"table": None}}
        record: Record = {
            "format": FORMAT,
            "rule": rule,
            "script": f"scripts/{rule}.py",
            "wildcards": wildcards or {},
            "params": params,
            "seed": 0,
            "threads": 1,
            "resources": {"mem_mb": 100},
            "start": self._time.isoformat(),
            "status": STARTED,
            "slurm": None,
            "container": None,
            "locks": {LOCK: hashlib.sha256((self.clone / LOCK).read_bytes()).hexdigest()},
            "code_raw": raw_digest(script, root=self.clone),
            "commit": git(self.clone, "rev-parse", "HEAD"),
            "dirty": False,
        }
        name = f"{self._time.strftime(ID_TIME)}-{len(self.records()):08x}"
        folder = self.results / "records" / rule / cases
        write_record(folder, f"{name}.started", record)
        self.path(f"logs/{rule}/{cases or 'all'}.log").write_text(f"{rule} began\n")
        return folder, name, record

    def end(
        self,
        folder: Path,
        name: str,
        record: Record,
        inputs: Iterable[Path],
        outputs: Sequence[str] | dict[str, Any],
        status: str = COMPLETED,
        **more: Any,
    ) -> None:
        """Write the record of a job's end."""
        end = self._time + timedelta(seconds=30)
        failed = {"type": "ValueError", "message": "no"} if status == FAILED else None
        record = record | {
            "end": end.isoformat(),
            "wall_seconds": 30.0,
            "input": describe_files(inputs, self.places),
            "output": describe_files([self.path(o) for o in outputs], self.places),
            "status": status,
            "error": failed,
            "peak_memory": peak_memory(),
            "device": device(),
            "software": {"python": "3.11.7", "numpy": "2.4.6"},
            "references": [],
            "fitted_on": {},
            "voxels": {},
            "kernels": KERNELS,
            "code_end": record["params"]["code"],
            "code_raw_end": record["code_raw"],
            **more,
        }
        write_record(folder, name, record)
        self.path(f"benchmarks/{record['rule']}.tsv").write_text("s\n30\n")
        for output in outputs if status == COMPLETED else ():
            entry = {
                "rule": record["rule"],
                "params": [repr(record["params"]["code"])],
                "input": [str(path) for path in inputs],
                "endtime": end.timestamp(),
            }
            encoded = base64.b64encode(f"results/{output}".encode(), altchars=b"-_").decode()
            place = self.folder / ".snakemake/metadata" / encoded
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(entry))

    # the study

    def _write_clone(self) -> None:
        for name in ("__init__.py", "errors.py", "isolation.py", "paths.py"):
            target = self.clone / "ldae" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(WORKFLOW / "ldae" / name, target)
        code = WORKFLOW / "ldae/provenance/code"
        shutil.copytree(
            code, self.clone / "ldae/provenance/code", ignore=shutil.ignore_patterns("__pycache__")
        )
        (self.clone / "ldae/provenance/__init__.py").write_text("")
        (self.clone / "ldae/science.py").write_text(LIBRARY)
        for rule in RULES:
            path = self.clone / f"scripts/{rule}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(SCRIPT)
        (self.clone / "envs").mkdir()
        (self.clone / LOCK).write_text("numpy==2.4.6\n")
        for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "Code")):
            git(self.clone, *arguments)

    def _write_cohort(self) -> None:
        for subject in SPLITS:
            folder = self.bids / subject / "anat"
            folder.mkdir(parents=True)
            content = gzip.compress(f"head of {subject}".encode() * 50, mtime=0)
            (folder / f"{subject}_T1w.nii.gz").write_bytes(content)
        rows = "".join(f"{subject}\t70\n" for subject in SPLITS)
        (self.bids / "participants.tsv").write_text(f"participant_id\tage\n{rows}")

    @property
    def scans(self) -> list[Path]:
        """Raw scans."""
        return sorted(self.bids.rglob("*.nii.gz"))

    def _run(self) -> None:
        config = {"study": "audited", "cohort": {"source": "bids", "public": True}}
        self.job("write_config", [], {"config.yaml": yaml.safe_dump(config)})
        table = "scan\tsubject\tpath\tsha256\n"
        for scan in self.scans:
            digest = hashlib.sha256(scan.read_bytes()).hexdigest()
            subject, path = scan.parents[1].name, scan.relative_to(self.bids).as_posix()
            table += f"{subject}\t{subject}\t{path}\t{digest}\n"
        read = [self.bids / "participants.tsv", *self.scans]
        self.job("read_bids", read, {"manifest/scans.tsv": table})
        manifest, split = self.path("manifest/scans.tsv"), self.path("split/split.tsv")
        rows = "".join(f"{subject}\t{name}\n" for subject, name in SPLITS.items())
        self.job("split_subjects", [manifest], {"split/split.tsv": f"subject\tsplit\n{rows}"})
        for batch in "01":
            raw = self.scans[int(batch) :: 2]
            names = [path.parents[1].name for path in raw]
            self.job(
                "preprocess_scan",
                [manifest, *raw],
                {f"preprocessed/{name}_T1w.nii.gz": f"brain of {name}" for name in names},
                {"batch": batch},
                voxels={name: hashlib.sha256(name.encode()).hexdigest() for name in names},
            )
        self.job(
            "pack_volumes",
            [split, *sorted(self.results.glob("preprocessed/*"))],
            {"volumes/volumes.npy": "voxels", "volumes/index.tsv": f"subject\tsplit\n{rows}"},
        )
        volumes = [self.path("volumes/volumes.npy"), self.path("volumes/index.tsv")]
        pca, model = "codes/voxel_pca/shared.npy", "ldae/seed-7/model.safetensors"
        self.job("fit_voxel_pca", volumes, {pca: "parts!"}, fitted_on={"components": TRAIN})
        cases = {"network": "ldae", "seed": "7"}
        self.job("train_network", volumes, {model: "weights"}, cases, fitted_on={"mean": TRAIN})
        probe = "probes/voxel_pca/shared.json"
        self.job("fit_probe", [self.path(pca), self.path(model)], {probe: "{}"}, {"run": "shared"},
                 fitted_on={"probe": TRAIN})  # fmt: skip
        tables = {"tables/probes.tsv": PROBES, "tables/probes.md": "| ldae | 5.2 |\n"}
        self.job("tabulate", [self.path(probe)], tables, {"table": "probes"})
        shown = {"figures/age.png": b"\x89PNG picture", "figures/age.tsv": "mae\n5.2\n"}
        self.job("plot_figure", [self.path("tables/probes.tsv")], shown, {"figure": "age"})
        self._report()
        self._settle()

    def _report(self) -> None:
        """Build and seal the page as ``scripts/build_report.py`` does."""
        read = [self.path(n) for n in ("figures/age.png", "tables/probes.tsv", "config.yaml")]
        begun = self.begin("build_report")
        seal_records(self.results)
        page = self.path("report.html")
        page.write_text(f"<h1>Report</h1><p>MAE 5.2</p><p>seal {PLACEHOLDER}</p>\n")
        seal_page(self.results, page)
        self.end(*begun, read, ["report.html"])
        seal_records(self.results)

    def _settle(self) -> None:
        """Date each file of the results as if it had been written when its job ended."""
        for path in self.records():
            record = json.loads(path.read_text())
            end = datetime.fromisoformat(record["end"]).timestamp()
            written = [self.places.find(file["path"]) for file in record["output"]]
            for one in (path, *filter(None, written)):
                os.utime(one, (end, end))


def problems(verdict: Verdict) -> list[Finding]:
    """Errors and warnings."""
    return [finding for finding in verdict.findings if finding.level is not Level.UNCHECKED]
