"""A study of three participants as its jobs would have written it: real records of small files.

The files are named and recorded by the functions that every job uses; their content is made up. One
job failed before it succeeded, and one was killed.
"""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from ldae.data.addresses import Derivative, derivative_address
from ldae.data.pseudonyms import cohort_key, hide_labels
from ldae.provenance.places import Places
from ldae.provenance.record import (
    COMPLETED,
    FAILED,
    STARTED,
    describe_files,
    device,
    git_state,
    peak_memory,
    software,
    write_record,
)
from ldae.workflow.config import complete_config

LDAE, PCA = "ldae/seed-7", "voxel_pca/shared"
SUBJECTS = ("sub-Anna", "sub-0042", "sub-HospitalA17")
ROWS = (
    "method\ttask\tsplit\tmetric\tvalue\n"
    "ldae\tage\ttest\tmae\t5.2\nldae\tage\tval\tmae\t5.0\nvoxel_pca\tage\ttest\tmae\t6.1\n"
    "voxel_pca\tage\ttest\tmae_difference\t0.9\n"
)


class TinyStudy:
    """Study that is written to disk on construction.

    Parameters
    ----------
    folder
        Folder for the cohort and the results.
    public
        Whether subject labels may be shown.
    """

    def __init__(self, folder: Path, public: bool) -> None:
        self.bids = folder / "cohort"
        self.results = folder / "results"
        self.public = public
        self._software, self._git = software(), git_state()
        self._time = datetime(2026, 11, 22, 8, tzinfo=UTC)
        self._write_cohort()
        self.places = Places(self.results, self.bids, not public)
        self._run()

    @property
    def scans(self) -> list[Path]:
        """Raw scans."""
        return sorted(self.bids.rglob("*.nii.gz"))

    def path(self, name: str) -> Path:
        """Path of a file of the results; its folder is created."""
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def hidden(self, text: str) -> str:
        """`text` with pseudonyms if the study is restricted."""
        return text if self.public else hide_labels(text, cohort_key(self.bids))

    def _write_cohort(self) -> None:
        for number, subject in enumerate(SUBJECTS):
            folder = self.bids / subject / "anat"
            folder.mkdir(parents=True)
            content = gzip.compress(f"head {number}".encode() * 50, mtime=0)
            (folder / f"{subject}_T1w.nii.gz").write_bytes(content)
        lines = ["participant_id\tage", *(f"{p}\t{60 + i}" for i, p in enumerate(SUBJECTS))]
        (self.bids / "participants.tsv").write_text("\n".join(lines) + "\n")

    def _run(self) -> None:
        given = {
            "study": "tiny",
            "title": "Three participants",
            "cohort": {"source": "bids", "public": self.public},
            "bids_folder": str(self.bids),
        }
        config = complete_config(given)
        self.job("write_config", [], {"config.yaml": yaml.safe_dump(self.places.plain(config))})
        table = "".join(
            f"{self.hidden(p.parents[1].name)}\t{p.relative_to(self.bids)}\n" for p in self.scans
        )
        self.job(
            "read_bids",
            [self.bids / "participants.tsv", *self.scans],
            {"manifest/scans.tsv": "scan\tpath\n" + table},
            params={"bids_dir": str(self.bids), "public": self.public},
        )
        for batch in range(2):
            raw = self.scans[batch::2]
            scans = [self.hidden(path.parents[1].name) for path in raw]
            outputs = {
                f"preprocessed/{derivative_address(scan, Derivative.VOLUME)}": f"brain {scan}"
                for scan in scans
            }
            table = "".join(f"{scan}\tok\n" for scan in scans)
            outputs[f"manifest/batches/batch-{batch}.tsv"] = "scan\tstatus\n" + table
            self.job(
                "preprocess_scan",
                [self.path("manifest/scans.tsv"), *raw],
                outputs,
                {"batch": str(batch)},
            )
        brains = sorted((self.results / "preprocessed").rglob("*.nii.gz"))
        rows = "".join(f"{self.hidden(p.parents[1].name)}\ttest\n" for p in self.scans)
        self.job(
            "pack_volumes",
            brains,
            {"volumes/volumes.npy": "voxels", "volumes/index.tsv": f"subject\tsplit\n{rows}"},
        )
        volumes = [self.path("volumes/volumes.npy"), self.path("volumes/index.tsv")]
        seed = {"seed": 7, "settings": {"n_steps": 30, "windows": [3, 11]}}
        trained = {"network": "ldae", "seed": "7"}
        self.job("train_network", volumes, {f"{LDAE}/model.safetensors": "weights"}, trained, seed)
        self.job(
            "encode_semantics",
            [*volumes, self.path(f"{LDAE}/model.safetensors")],
            {f"codes/{LDAE}.npy": "codes"},
            trained,
        )
        self.job("fit_voxel_pca", volumes, {f"codes/{PCA}.npy": "components"})
        for case in (LDAE, PCA):
            method, run = case.split("/")
            self.job(
                "fit_probe",
                [self.path(f"codes/{case}.npy"), volumes[1]],
                {f"probes/{case}.json": f'{{"weights": "{method}"}}'},
                {"method": method, "run": run},
            )
        probes = [self.path(f"probes/{case}.json") for case in (LDAE, PCA)]
        self.job("tabulate", probes, {"tables/probes.tsv": ROWS}, {"table": "probes"})
        tables = [self.path("tables/probes.tsv")]
        age = self._figure("age", "method\tmae\nldae\t5.2\n")
        self.job("plot_figure", tables, {}, {"figure": "age"}, status=FAILED)
        self.job("plot_figure", tables, age, {"figure": "age"})
        heads = "scan\tplane\n" + "".join(f"{self.hidden(p)}\taxial\n" for p in SUBJECTS)
        self.job("plot_figure", volumes, self._figure("cohort", heads), {"figure": "cohort"})
        shown = [self.path(f"figures/{name}.png") for name in ("age", "cohort")]
        self.job("build_report", [*shown, *tables], {"report.html": "<h1>Report</h1>"})
        self.job("plot_figure", [], {}, {"figure": "training"}, status=STARTED)

    def _figure(self, name: str, data: str) -> dict[str, str | bytes]:
        picture = self.path(f"figures/{name}.png")
        figure = Figure(figsize=(2, 1))
        figure.text(0.5, 0.5, name)
        figure.savefig(picture)
        return {f"figures/{name}.png": picture.read_bytes(), f"figures/{name}.tsv": data}

    def job(
        self,
        rule: str,
        inputs: list[Path],
        outputs: dict[str, Any],
        wildcards: dict[str, str] | None = None,
        params: dict[str, Any] | None = None,
        status: str = COMPLETED,
    ) -> None:
        """Write the outputs and records of a job, one minute after the previous job."""
        self._time += timedelta(minutes=1)
        for name, content in outputs.items():
            data = content.encode() if isinstance(content, str) else content
            self.path(name).write_bytes(data)
        cases = "/".join((wildcards or {}).values())
        folder = self.results / "records" / rule / cases
        name = f"{self._time:%Y%m%dT%H%M%SZ}-{len(list(self.results.rglob('*.json'))):08x}"
        record: dict[str, Any] = {
            "rule": rule,
            "script": f"scripts/{rule}.py",
            "wildcards": wildcards or {},
            "params": self.places.plain({"code": "0123456789abcdef", **(params or {})}),
            "seed": (params or {}).get("seed", 0),
            "threads": 1,
            "start": self._time.isoformat(),
            "status": STARTED,
            "slurm": None,
            "container": {"name": "analysis.sif", "sha256": "ab" * 32},
            "locks": {"envs/local.lock": "cd" * 32},
            **self._git,
        }
        write_record(folder, f"{name}.started", record)
        if status == STARTED:
            return
        record |= {
            "end": (self._time + timedelta(seconds=30)).isoformat(),
            "wall_seconds": 30.0,
            "input": describe_files(inputs, self.places),
            "output": describe_files([self.path(o) for o in outputs], self.places),
            "status": status,
            "error": {"type": "ValueError", "message": "no"} if status == FAILED else None,
            "peak_memory": peak_memory(),
            "device": device(),
            "software": self._software,
        }
        write_record(folder, name, record)

    def copy_cohort(self, target: Path) -> Path:
        """Copy of the raw scans, as on another machine."""
        shutil.copytree(self.bids, target)
        return target
