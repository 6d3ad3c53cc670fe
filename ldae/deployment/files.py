"""A model on files: one scan after another, their outputs, and what is recorded of them."""

from __future__ import annotations

import csv
import json
import logging
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nibabel as nib

import ldae
from ldae.data.addresses import TEMPLATE
from ldae.data.exported import file_digest
from ldae.deployment.answers import Decoded, Prediction
from ldae.deployment.model import Model
from ldae.deployment.scans import stem_of
from ldae.errors import InputError

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "monai", "numpy", "nibabel", "SimpleITK", "nilearn")
"""Packages whose versions are recorded."""

OTHER_ENTITIES = re.compile(r"_(space|desc|res)-[A-Za-z0-9]+")
"""What the name of an output says again, in the words of BIDS."""


@dataclass(frozen=True)
class Output:
    """Files of one decoded scan.

    Attributes
    ----------
    folder
        Where they are written.
    base
        What their names begin with: the scan's own name.
    label
        What was made, as BIDS has it after ``desc-``.
    has_change
        Whether there is a map of the change.
    """

    folder: Path
    base: str
    label: str
    has_change: bool

    @property
    def own(self) -> Path:
        """Image in the scan's own space."""
        return self.folder / f"{self.base}_desc-{self.label}_T1w.nii.gz"

    @property
    def template(self) -> Path:
        """Image in template space."""
        return self.folder / f"{self.base}_space-{TEMPLATE}_desc-{self.label}_T1w.nii.gz"

    @property
    def change(self) -> Path:
        """Map of the change in template space."""
        return self.folder / f"{self.base}_space-{TEMPLATE}_desc-{self.label}Change_T1w.nii.gz"

    @property
    def files(self) -> list[Path]:
        """All of them, with the JSON files beside the images."""
        images = [self.own, self.template, *([self.change] if self.has_change else [])]
        return [*images, *(record_of(path) for path in images)]


def record_of(path: Path) -> Path:
    """JSON file beside an image or a table."""
    stem = stem_of(path)
    return path.with_name(f"{stem}.json")


def base_name(path: Path) -> str:
    """Name of a scan without its suffix and what outputs say again.

    >>> base_name(Path("sub-01_space-MNI_desc-preproc_T1w.nii.gz"))
    'sub-01'
    """
    return OTHER_ENTITIES.sub("", stem_of(path).removesuffix("_T1w")) or stem_of(path)


def label_of(word: str, value: float) -> str:
    """Label of an amount or position: letters and digits only, as BIDS asks.

    >>> label_of("age", -0.5)
    'ageMinus0p5'
    """
    sign = "Minus" if value < 0 else ""
    return f"{word}{sign}{abs(value):g}".replace(".", "p").replace("-", "m").replace("+", "")


def check_outputs(outputs: Sequence[Output | Path], *, overwrite: bool) -> None:
    """Refuse outputs that two scans would share, or that exist.

    Raises
    ------
    InputError
        Naming the first file.
    """
    files: list[Path] = []
    for output in outputs:
        files += output.files if isinstance(output, Output) else [output, record_of(output)]
    for path in files:
        if files.count(path) > 1 and len(outputs) > 1:
            problem = "two of the scans would be written to this file"
            raise InputError(
                path, problem, "Give scans of different names, or run the command twice"
            )
        if path.exists() and not overwrite:
            remedy = "Add --overwrite, or choose another place with -o"
            raise InputError(path, "the file exists already", remedy)


@dataclass
class Progress:
    """How far a list of scans is.

    Attributes
    ----------
    n_scans
        How many there are.
    failed
        Messages of those that failed.
    """

    n_scans: int
    failed: list[str] = field(default_factory=list)

    def each(self, scans: Iterable[Path], work: Callable[[Path], None]) -> None:
        """Work on one scan after another; one that cannot be used fails alone.

        Raises
        ------
        MachineError
            If the machine failed: the next scan would fail too.
        """
        for number, scan in enumerate(scans, 1):
            begun = time.monotonic()
            try:
                work(scan)
            except InputError as error:
                self.failed.append(str(error))
                logger.error("[%d/%d] failed: %s", number, self.n_scans, error)
            else:
                seconds = time.monotonic() - begun
                logger.info("[%d/%d] %s, %.1f s", number, self.n_scans, scan, seconds)

    def status(self) -> int:
        """Exit status: 0 if all scans were done, else 1, and a line that says so."""
        if self.failed:
            logger.error("%d of %d scans failed, see above.", len(self.failed), self.n_scans)
        return 1 if self.failed else 0


def describe_run(model: Model, inputs: Sequence[Path], details: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of an output: model, settings, versions and inputs.

    Files are named without their folders, which may name participants or users.
    """
    return {
        **details,
        "inputs": [{"file": path.name, "sha256": file_digest(path)} for path in inputs],
        "model": {
            "digest": model.digest,
            "method": model.method.name,
            "training_seed": model.artefact.seed,
            "cohort": model.config["study"],
            "simulated": model.simulated,
        },
        "grid": model.config["grid"],
        "preprocessing": model.config["preprocessing"],
        "device": str(model.device),
        "versions": installed_versions(),
    }


def installed_versions() -> dict[str, str]:
    """Versions of Python, of this package and of what computes."""
    found = {"python": platform.python_version(), "ldae": ldae.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def write_decoded(decoded: Decoded, output: Output, record: dict[str, Any]) -> None:
    """Write the images of a scan, and a record beside each."""
    output.folder.mkdir(parents=True, exist_ok=True)
    images = {output.own: decoded.own, output.template: decoded.template}
    if decoded.change is not None:
        images[output.change] = decoded.change
    spaces = {output.own: "own", output.template: TEMPLATE, output.change: TEMPLATE}
    kinds = {output.own: "scan", output.template: "brain", output.change: "change"}
    for warning in decoded.warnings:
        logger.warning("%s: %s", output.base, warning)
    for path, image in images.items():
        whole = path.with_name(f".partial-{path.name}")
        nib.save(image, whole)
        os.replace(whole, path)
        content = record | {"image": kinds[path], "space": spaces[path]}
        content["warnings"] = list(decoded.warnings)
        write_record(content, record_of(path))


def write_record(content: dict[str, Any], path: Path) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with tabs, in whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".partial-{path.name}")
    with whole.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(whole, path)


def encode_files(
    model: Model, scans: Sequence[Path], table: Path, *, preprocessed: bool | None
) -> int:
    """Write the codes of scans, a row each, and the record beside; returns the exit status.

    Parameters
    ----------
    model
        Trained model.
    scans
        NIfTI files.
    table
        Written: columns ``scan``, the file as given, and ``y1`` … of the code.
    preprocessed
        As for :meth:`ldae.deployment.model.Model.encode`.
    """
    rows: dict[Path, list[object]] = {}
    progress = Progress(len(scans))

    def work(scan: Path) -> None:
        code = model.encode(scan, preprocessed=preprocessed)
        rows[scan] = [str(scan), *(f"{value:.7g}" for value in code)]

    progress.each(scans, work)
    if rows:
        width = len(next(iter(rows.values()))) - 1
        write_table(table, ["scan", *(f"y{i}" for i in range(1, width + 1))], rows.values())
        record = describe_run(model, list(rows), {"operation": "encode"})
        write_record(record, record_of(table))
    return progress.status()


def decode_files(model: Model, outputs: dict[Path, Output], make: Callable[[Path], Decoded]) -> int:
    """Decode scans and write their images; returns the exit status.

    Parameters
    ----------
    model
        Trained model.
    outputs
        Where the images of each scan are written.
    make
        Decodes the scan of a file.
    """
    progress = Progress(len(outputs))

    def work(scan: Path) -> None:
        decoded = make(scan)
        write_decoded(decoded, outputs[scan], describe_run(model, [scan], decoded.details))

    progress.each(outputs, work)
    return progress.status()


PREDICTION_COLUMNS = ("scan", "attribute", "value", "low", "high")


def predict_files(
    model: Model,
    scans: Sequence[Path],
    table: Path | None,
    show: Callable[[Path, dict[str, Prediction]], None],
    *,
    preprocessed: bool | None,
) -> int:
    """Show the predictions of scans, and write them if asked; returns the exit status.

    Parameters
    ----------
    model, scans, preprocessed
        As for :func:`encode_files`.
    table
        Written if given: columns :data:`PREDICTION_COLUMNS`.
    show
        Called with each scan and its predictions.
    """
    rows: list[Sequence[object]] = []
    done: list[Path] = []
    said: tuple[str, ...] = ()
    progress = Progress(len(scans))

    def work(scan: Path) -> None:
        nonlocal said
        found = model.predict(scan, preprocessed=preprocessed)
        show(scan, found)
        for p in found.values():
            said = p.warnings
            rows.append([scan, p.attribute, f"{p.value:.4g}", f"{p.low:.4g}", f"{p.high:.4g}"])
        done.append(scan)

    progress.each(scans, work)
    if table is not None and done:
        write_table(table, PREDICTION_COLUMNS, rows)
        details = {"operation": "predict", "warnings": list(said)}
        write_record(describe_run(model, done, details), record_of(table))
    return progress.status()
