"""Which files of a study travel in its crate, and by which identifier each file is known there.

Tables, figures, the report, settings and other small files are copied. Scans, arrays and weights
are named by their SHA-256 (RFC 6920), so that whoever holds them can tell. Files of single scans
are too many for an entity each: those that one job read or wrote below one folder stand in one
list, with size and SHA-256 of each.

Of a restricted cohort nothing is copied that shows single people: no table by scan, no picture of
a head, no page with such pictures. Its people bear pseudonyms from the start
(:mod:`ldae.data.pseudonyms`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from ldae.data.pseudonyms import LABEL
from ldae.errors import InputError
from ldae.provenance.history import REPORT, TARGET_FOLDERS, FileState, History
from ldae.provenance.places import BIDS, EXTERNAL, RESULTS

# Folders of the crate that stand for those of the records' names.
FOLDERS = {RESULTS: "results", BIDS: "bids", EXTERNAL: "external"}

CONFIG = f"{RESULTS}/config.yaml"
PAGE = f"{RESULTS}/{REPORT}"
TARGETS = (*(f"{RESULTS}/{folder}/" for folder in TARGET_FOLDERS), PAGE, CONFIG)

# Raw scans of a real and of the simulated cohort.
RAW_FOLDERS = (f"{BIDS}/", f"{RESULTS}/cohort/bids/")
IMAGE_SUFFIXES = (".nii", ".nii.gz")

# Scans, arrays and weights, whatever their size.
DATA_SUFFIXES = (*IMAGE_SUFFIXES, ".npy", ".npz", ".safetensors", ".ckpt", ".pt")

# Other files than figures, tables, report and settings are copied up to this size.
SMALL_BYTES = 256 * 1024

# A file that shows single people: it names one, or is a picture.
PERSON = re.compile(rb"(?<![A-Za-z0-9])sub-[A-Za-z0-9]")
PICTURES = (".png", ".svg", ".pdf", ".jpg")

# The table of raw scans in the crate.
SCANS = "scans.tsv"

LIST_DIGITS = 16
LIST_HEADER = "path\tsize\tsha256\n"


@dataclass(frozen=True)
class FileList:
    """Files of single scans that one job read or wrote below one folder.

    Attributes
    ----------
    folder
        Their folder in the crate's names.
    files
        The files, sorted by name.
    """

    folder: str
    files: tuple[FileState, ...]

    @cached_property
    def text(self) -> str:
        """The list as a table: path, size in bytes, SHA-256."""
        rows = (f"{crate_name(f.path)}\t{f.size}\t{f.sha256}\n" for f in self.files)
        return LIST_HEADER + "".join(rows)

    @cached_property
    def id(self) -> str:
        """Folder of the list in the crate; equal lists have the same."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:LIST_DIGITS]
        return f"lists/{digest}/"


@dataclass(frozen=True)
class Payload:
    """What is copied from a study, and the identifiers of all its files.

    Attributes
    ----------
    history
        The study.
    restricted
        Whether the cohort's people may not be shown.
    max_bytes
        Largest file that is copied.
    """

    history: History
    restricted: bool
    max_bytes: int
    _decided: dict[FileState, bool] = field(default_factory=dict, repr=False)

    def id(self, file: FileState) -> str:
        """Identifier: a path in the crate for what is copied, else a URI made of the digest."""
        name = crate_name(file.path)
        if self.is_copied(file):
            return quote(name)
        digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).decode().rstrip("=")
        # The name tells apart files with the same bytes.
        return f"ni:///sha-256;{digest}#{quote(name)}"

    def source(self, file: FileState) -> Path:
        """Where a file of the results is now."""
        return self.history.results / file.path.removeprefix(f"{RESULTS}/")

    def is_copied(self, file: FileState) -> bool:
        """Whether a file, as one job saw it, is in the crate.

        Raises
        ------
        InputError
            If it should be, but is not any more what was recorded.
        """
        if file not in self._decided:
            self._decided[file] = self._decide(file)
        return self._decided[file]

    def _decide(self, file: FileState) -> bool:
        name = file.path
        if not name.startswith(f"{RESULTS}/") or name.startswith(RAW_FOLDERS):
            return False
        limit = self.max_bytes if name.startswith(TARGETS) else min(SMALL_BYTES, self.max_bytes)
        if file.size > limit or name.endswith(DATA_SUFFIXES) or scan_folder(name) is not None:
            return False
        if self.history.state(name) != file:  # an earlier version
            return False
        path = self.source(file)
        if not path.is_file():
            raise InputError(path, "is gone", "Make it again, or ask `ldae audit` what is missing.")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise InputError(
                path, "differs from its record", "Make it again, or ask `ldae audit` what changed."
            )
        return not (self.restricted and self._shows_people(path, content))

    def _shows_people(self, path: Path, content: bytes) -> bool:
        """Whether a file shows single people; a figure does where its own table names them."""
        if path.suffix == ".html":  # holds the pictures
            return True
        if path.suffix in PICTURES:
            table = path.with_suffix(".tsv")
            return not table.is_file() or bool(PERSON.search(table.read_bytes()))
        return bool(PERSON.search(content))

    def refuse_labels(self, texts: Iterable[tuple[str, str]]) -> None:
        """Look for labels of a restricted cohort's people in what is about to be written.

        Parameters
        ----------
        texts
            Name and content of each text.

        Raises
        ------
        InputError
            If one names a person by a label that is no pseudonym.
        """
        for name, text in texts:
            if self.restricted and LABEL.search(text):
                raise InputError(
                    name,
                    "names people of a restricted cohort",
                    "Make the study again from its start.",
                )


def crate_name(name: str) -> str:
    """Name of a file in the crate, for its name in the records."""
    folder, slash, inside = name.partition("/")
    return f"{FOLDERS[folder]}{slash}{inside}" if folder in FOLDERS else name


def scan_folder(name: str) -> str | None:
    """Folder of a file of a single scan: what comes before the person; None for other files."""
    parts = name.split("/")
    for number, part in enumerate(parts):
        if part.startswith("sub-"):
            return "/".join(parts[:number])
    return None


def group_files(files: Iterable[FileState]) -> tuple[list[FileState], list[FileList]]:
    """Single files, and lists of the files of scans."""
    single: list[FileState] = []
    scans: dict[str, list[FileState]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        folder = scan_folder(file.path)
        if folder is None:
            single.append(file)
        else:
            scans[folder].append(file)
    return single, [FileList(crate_name(f), tuple(members)) for f, members in scans.items()]


def raw_scans(history: History) -> Sequence[FileState]:
    """Raw images that the study read, as the current jobs saw them, sorted by name."""
    found = {
        file
        for job in history.current
        for file in job.inputs
        if file.path.startswith(RAW_FOLDERS) and file.path.endswith(IMAGE_SUFFIXES)
    }
    return sorted(found, key=lambda file: file.path)


def scan_name(name: str) -> str:
    """Path of a raw scan in its BIDS folder."""
    for folder in RAW_FOLDERS:
        if name.startswith(folder):
            return name.removeprefix(folder)
    raise ValueError(f"{name} is no raw scan")
