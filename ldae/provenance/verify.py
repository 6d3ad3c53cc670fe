"""Tell whether a folder of raw scans holds those of a crate, by name and by checksum."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ldae.data.pseudonyms import LABEL, hide_labels, table_key
from ldae.errors import InputError
from ldae.provenance.hashing import hash_files
from ldae.provenance.payload import IMAGE_SUFFIXES, SCANS

# So many scans are named for each finding.
SHOWN_SCANS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Scans of a crate against those of a folder.

    Attributes
    ----------
    same
        Scans of the crate that are held under their name, or another, with the same bytes.
    changed
        Scans held under their name with other bytes only, by the crate's name and the holder's.
    missing
        Scans of the crate that are not held.
    renamed
        How many of `same` are held under another name.
    besides
        How many scans are held that the study did not use.
    """

    same: tuple[str, ...]
    changed: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    renamed: int
    besides: int

    @property
    def holds(self) -> bool:
        """Whether every scan of the crate is held unchanged."""
        return not (self.changed or self.missing)


def compare_crate(crate: Path, bids_dir: Path, participants: Path | None = None) -> Comparison:
    """Compare the scans of a crate with a folder's (:func:`compare_scans`).

    Parameters
    ----------
    crate
        Its folder, or its ``scans.tsv``.
    bids_dir
        Folder of the holder.
    participants
        Table whose digest is the key of the pseudonyms; by default the folder's.
    """
    table = crate / SCANS if crate.is_dir() else crate
    return compare_scans(table, bids_dir, participants or bids_dir / "participants.tsv")


def compare_scans(table: Path, bids_dir: Path, participants: Path) -> Comparison:
    """Compare a crate's scans with a folder's.

    Only files that may be scans of the crate are read: those of the same name or size.

    Parameters
    ----------
    table
        ``scans.tsv`` of the crate: path, size in bytes and SHA-256 of each scan.
    bids_dir
        Folder of the holder.
    participants
        Table whose digest is the key of the pseudonyms, read if the crate has pseudonyms.

    Raises
    ------
    InputError
        If a file cannot be read, or the folder has no images.
    """
    wanted = _read_scans(table)
    held = {
        path.relative_to(bids_dir).as_posix(): path
        for suffix in IMAGE_SUFFIXES
        for path in bids_dir.rglob(f"*{suffix}")
    }
    if not held:
        raise InputError(bids_dir, "holds no images", "Name a BIDS folder.")
    names = {name: name for name in held}
    if not any(LABEL.search(name) for name in wanted):  # pseudonyms only
        key = table_key(participants)
        names = {name: hide_labels(name, key) for name in held}
    sizes = {size for size, _ in wanted.values()}
    likely = {
        own: path
        for own, path in held.items()
        if names[own] in wanted or path.stat().st_size in sizes
    }
    digests = hash_files(likely.values(), os.cpu_count() or 1, None)
    by_name = {names[own]: own for own in likely}
    contents = {state.sha256 for state in digests.values() if state}
    same, changed, missing, renamed = [], [], [], 0
    for name, (_, digest) in wanted.items():
        own = by_name.get(name)
        state = digests[likely[own]] if own else None
        if state and state.sha256 == digest:
            same.append(name)
        elif digest in contents:
            same.append(name)
            renamed += 1
        elif own:
            changed.append((name, own))
        else:
            missing.append(name)
    used = {digest for _, digest in wanted.values()}
    of_crate = 0
    for own, path in likely.items():
        state = digests[path]
        of_crate += names[own] in wanted or (state is not None and state.sha256 in used)
    besides = len(held) - of_crate
    return Comparison(tuple(same), tuple(changed), tuple(missing), renamed, besides)


def _read_scans(path: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each scan of a crate."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            found = {row["scan"]: (int(row["size"]), row["sha256"]) for row in rows}
    except OSError as error:
        raise InputError(path, "cannot be read", "Name the folder of a crate.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(path, "is no table of scans", "Name the folder of a crate.") from error
    if not found:
        raise InputError(path, "names no scans", "Make the crate again.")
    return found


def describe_comparison(found: Comparison) -> Iterator[str]:
    """Lines that tell a person what was found."""
    total = len(found.same) + len(found.changed) + len(found.missing)
    yield f"scans of the crate   {total}"
    renamed = f", {found.renamed} of them under another name" if found.renamed else ""
    yield f"held unchanged       {len(found.same)}{renamed}"
    yield f"held, but changed    {len(found.changed)}"
    yield f"not held             {len(found.missing)}"
    yield f"held, but not used   {found.besides}"
    for title, names in (
        ("changed", [own for _, own in found.changed]),
        ("not held", found.missing),
    ):
        yield from (f"{title}: {name}" for name in names[:SHOWN_SCANS])
        if len(names) > SHOWN_SCANS:
            yield f"{title}: and {len(names) - SHOWN_SCANS} more"
    yield (
        "The folder holds the scans of this study."
        if found.holds
        else ("The folder does not hold all scans of this study as they were.")
    )
