"""Files of a study that are copied into its crate, and the identifiers of all files in the crate.

Tables, figures, the report, settings and other small files are copied. Scans, arrays and weights
are identified by their SHA-256 (RFC 6920), so that owners of the data can recognise them. The files
of single scans are too many to be entities of their own: files that one job read or wrote below one
folder form one list with their sizes and SHA-256 digests.

From a restricted cohort, files that show individual participants are not copied: tables with one
row per scan, images of heads, and pages with such images. Participants are known by pseudonyms
throughout (:mod:`ldae.data.pseudonyms`).
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
from ldae.provenance.history import REPORT, TARGET_FOLDERS, VIEWER, FileState, History
from ldae.provenance.places import BIDS, EXTERNAL, RESULTS

# Folders of the crate for the folders in the names of records.
FOLDERS = {RESULTS: "results", BIDS: "bids", EXTERNAL: "external"}

CONFIG = f"{RESULTS}/config.yaml"
PAGE = f"{RESULTS}/{REPORT}"
TARGETS = (
    *(f"{RESULTS}/{folder}/" for folder in TARGET_FOLDERS),
    PAGE,
    f"{RESULTS}/{VIEWER}",
    CONFIG,
)

# Folders with raw scans of a real and of the simulated cohort.
RAW_FOLDERS = (f"{BIDS}/", f"{RESULTS}/cohort/bids/")
IMAGE_SUFFIXES = (".nii", ".nii.gz")

# Scans, arrays and weights, which are never copied.
DATA_SUFFIXES = (*IMAGE_SUFFIXES, ".npy", ".npz", ".safetensors", ".ckpt", ".pt")

# Files other than figures, tables, report and settings are copied up to this size.
SMALL_BYTES = 256 * 1024

# A file shows individual participants if it contains a subject label or is an image.
SUBJECT = re.compile(rb"(?<![A-Za-z0-9])sub-[A-Za-z0-9]")
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
        Their folder, named as in the crate.
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
        """Folder of the list in the crate; the same for equal lists."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:LIST_DIGITS]
        return f"lists/{digest}/"


@dataclass(frozen=True)
class Payload:
    """Selection of the files that are copied from a study, and the identifiers of all its files.

    Attributes
    ----------
    history
        History of the study.
    restricted
        Whether the crate must not show individual participants.
    max_bytes
        Size of the largest file that is copied.
    """

    history: History
    restricted: bool
    max_bytes: int
    _decided: dict[FileState, bool] = field(default_factory=dict, repr=False)

    def id(self, file: FileState) -> str:
        """Identifier of a file: its path in the crate if it is copied, else a URI of its digest."""
        name = crate_name(file.path)
        if self.is_copied(file):
            return quote(name)
        digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).decode().rstrip("=")
        # The name distinguishes files with equal content.
        return f"ni:///sha-256;{digest}#{quote(name)}"

    def source(self, file: FileState) -> Path:
        """Current path of a file of the results."""
        return self.history.results / file.path.removeprefix(f"{RESULTS}/")

    def is_copied(self, file: FileState) -> bool:
        """Whether a file, in the version that a job read or wrote, is copied into the crate.

        Raises
        ------
        InputError
            If the file should be copied but is missing or differs from its record.
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
            raise InputError(
                path, "the file is missing", "Make it again; `ldae audit` lists all missing files."
            )
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise InputError(
                path,
                "the file differs from its record",
                "Make it again; `ldae audit` lists all changed files.",
            )
        return not (self.restricted and self._shows_participants(path, content))

    def _shows_participants(self, path: Path, content: bytes) -> bool:
        """Whether a file shows individual participants.

        A figure does if the table beside it names subjects, or if it has no table.
        """
        if path.suffix == ".html":  # may embed images of heads
            return True
        if path.suffix in PICTURES:
            table = path.with_suffix(".tsv")
            return not table.is_file() or bool(SUBJECT.search(table.read_bytes()))
        return bool(SUBJECT.search(content))

    def refuse_labels(self, texts: Iterable[tuple[str, str]]) -> None:
        """Check that no text to be written contains subject labels of a restricted cohort.

        Parameters
        ----------
        texts
            Name and content of each text.

        Raises
        ------
        InputError
            If a text contains a subject label that is not a pseudonym.
        """
        for name, text in texts:
            if self.restricted and LABEL.search(text):
                raise InputError(
                    name,
                    "the text contains subject labels of a restricted cohort",
                    "Run the study again from the start.",
                )


def crate_name(name: str) -> str:
    """Name in the crate of a file with a given name in the records."""
    folder, slash, inside = name.partition("/")
    return f"{FOLDERS[folder]}{slash}{inside}" if folder in FOLDERS else name


def scan_folder(name: str) -> str | None:
    """Path above the subject's folder for a file of a single scan; None for other files."""
    parts = name.split("/")
    for number, part in enumerate(parts):
        if part.startswith("sub-"):
            return "/".join(parts[:number])
    return None


def group_files(files: Iterable[FileState]) -> tuple[list[FileState], list[FileList]]:
    """Files that are entities of their own, and lists of the files of single scans."""
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
    """Raw images in the versions that the current jobs read, sorted by name."""
    found = {file for job in history.current for file in job.inputs if is_raw_image(file.path)}
    return sorted(found, key=lambda file: file.path)


def is_raw_image(name: str) -> bool:
    """Whether a file of a record is an image of the cohort."""
    return name.startswith(RAW_FOLDERS) and name.endswith(IMAGE_SUFFIXES)


def scan_name(name: str) -> str:
    """Path of a raw scan relative to its BIDS folder."""
    for folder in RAW_FOLDERS:
        if name.startswith(folder):
            return name.removeprefix(folder)
    raise ValueError(f"{name} is not a raw scan")
