"""Check whether a crate is as it was written: every file by the checksums in its metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ldae.errors import InputError
from ldae.provenance.audit.findings import printable
from ldae.provenance.crate import METADATA
from ldae.provenance.reading import digest_of, read_regular

# Number of faults that are listed.
SHOWN_FAULTS = 20
# Identifiers that are addresses, and not files of the crate.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class CrateCheck:
    """What the check of a crate's files found.

    Attributes
    ----------
    metadata
        SHA-256 of the metadata, which vouches for all other files.
    n_files
        Files that were compared with their checksums.
    faults
        File, and what is wrong with it.
    unchecked
        Files that the metadata names without a checksum.
    """

    metadata: str
    n_files: int
    faults: tuple[tuple[str, str], ...]
    unchecked: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether every file of the crate is listed with a checksum, and has it."""
        return not self.faults and not self.unchecked and self.n_files > 0


def check_crate(crate: Path) -> CrateCheck:
    """Compare every file of a crate with the checksums in its metadata.

    Parameters
    ----------
    crate
        Folder of the crate.

    Raises
    ------
    InputError
        If the folder has no metadata that can be read.
    """
    listed = _listed(crate)
    faults: list[tuple[str, str]] = []
    unchecked: list[str] = []
    n_files = 0
    for name, digest in sorted(listed.items()):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            faults.append((name, "the name leads out of the crate"))
        elif digest is None:
            unchecked.append(name)
        else:
            n_files += 1
            problem = _problem(crate / path, digest)
            if problem:
                faults.append((name, problem))
    for name in _present(crate):
        if name not in listed and name != METADATA:
            faults.append((name, "the metadata does not list it"))
    return CrateCheck(digest_of(crate / METADATA), n_files, tuple(faults), tuple(unchecked))


def _listed(crate: Path) -> dict[str, str | None]:
    """Files that the metadata says are in the crate, with their checksums."""
    path = crate / METADATA
    try:
        entities = json.loads(read_regular(path))["@graph"]
        return dict(_local(entities))
    except OSError as error:
        raise InputError(path, "the file cannot be read", "Name the folder of a crate.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            path, "the file is no metadata of a crate", "Ask for the crate again."
        ) from error


def _local(entities: list[Mapping[str, Any]]) -> Iterator[tuple[str, str | None]]:
    for entity in entities:
        uri, kinds = str(entity["@id"]), entity["@type"]
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if ADDRESS.match(uri) or "#" in uri or uri.endswith("/") or uri == METADATA:
            continue
        if "File" in kinds or "sha256" in entity:
            digest = entity.get("sha256")
            yield unquote(uri), None if digest is None else str(digest)


def _problem(path: Path, digest: str) -> str | None:
    try:
        found = digest_of(path)
    except OSError:
        return "it is missing, or no readable, regular file"
    return None if found == digest else f"expected sha256 {digest}, found {found}"


def _present(crate: Path) -> list[str]:
    """Everything in the crate's folder but folders."""
    paths = (p for p in crate.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted(path.relative_to(crate).as_posix() for path in paths)


def describe_check(found: CrateCheck) -> Iterator[str]:
    """Lines that state what was found."""
    yield f"files of the crate   {found.n_files}"
    yield f"changed or missing   {len(found.faults)}"
    if found.unchecked:
        yield printable(
            f"without a checksum   {len(found.unchecked)}, such as {found.unchecked[0]}"
        )
    for name, problem in found.faults[:SHOWN_FAULTS]:
        yield printable(f"{name}: {problem}")
    if len(found.faults) > SHOWN_FAULTS:
        yield f"and {len(found.faults) - SHOWN_FAULTS} more"
    yield f"{METADATA}  sha256 {found.metadata}"
    yield (
        "Every file is as the metadata lists it. Compare the checksum of the metadata with the one "
        "that you were given."
        if found.holds
        else "The crate is not as it was written."
    )
