"""Check whether a folder contains the raw scans of a crate, by name and by checksum."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ldae.data.pseudonyms import LABEL, Pseudonyms, key_file, key_of
from ldae.errors import InputError
from ldae.provenance.hashing import hash_files
from ldae.provenance.payload import IMAGE_SUFFIXES, SCANS

# Number of scans that are listed for each kind of difference.
SHOWN_SCANS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Comparison of the scans of a crate with those in a folder.

    Attributes
    ----------
    same
        Scans of the crate that the folder contains with equal bytes, under any name.
    changed
        Scans that the folder contains only with different bytes: name in the crate and in the
        folder.
    missing
        Scans of the crate that the folder does not contain.
    renamed
        Number of scans in `same` that have another name in the folder.
    besides
        Number of scans in the folder that the study did not use.
    """

    same: tuple[str, ...]
    changed: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    renamed: int
    besides: int

    @property
    def holds(self) -> bool:
        """Whether the folder contains every scan of the crate unchanged."""
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
        File whose digest is the key of the pseudonyms; by default the folder's.
    """
    table = crate / SCANS if crate.is_dir() else crate
    return compare_scans(table, bids_dir, participants or key_file(bids_dir))


def compare_scans(table: Path, bids_dir: Path, participants: Path) -> Comparison:
    """Compare the scans of a crate with those in a folder.

    Only files with the name or the size of a scan of the crate are read.

    Parameters
    ----------
    table
        ``scans.tsv`` of the crate: path, size in bytes and SHA-256 of each scan.
    bids_dir
        Folder to check.
    participants
        File whose digest is the key of the pseudonyms; it is read only if the crate uses
        pseudonyms.

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
        raise InputError(bids_dir, "the folder contains no images", "Name a BIDS folder.")
    names = {name: name for name in held}
    if not any(LABEL.search(name) for name in wanted):  # the crate uses pseudonyms
        pseudonyms = Pseudonyms(key_of(participants), {Path(name).parts[0] for name in held})
        names = {name: pseudonyms.hide(name) for name in held}
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
        raise InputError(path, "the file cannot be read", "Name the folder of a crate.") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            path, "the file is not a table of scans", "Name the folder of a crate."
        ) from error
    if not found:
        raise InputError(path, "the table lists no scans", "Make the crate again.")
    return found


def describe_comparison(found: Comparison) -> Iterator[str]:
    """Lines that state what was found."""
    total = len(found.same) + len(found.changed) + len(found.missing)
    yield f"scans of the crate   {total}"
    renamed = f", {found.renamed} of them under another name" if found.renamed else ""
    yield f"found unchanged      {len(found.same)}{renamed}"
    yield f"found, but changed   {len(found.changed)}"
    yield f"missing              {len(found.missing)}"
    yield f"found, but not used  {found.besides}"
    for title, names in (
        ("changed", [own for _, own in found.changed]),
        ("missing", found.missing),
    ):
        yield from (f"{title}: {name}" for name in names[:SHOWN_SCANS])
        if len(names) > SHOWN_SCANS:
            yield f"{title}: and {len(names) - SHOWN_SCANS} more"
    yield (
        "The folder contains all scans of this study, unchanged."
        if found.holds
        else "The folder does not contain all scans of this study unchanged."
    )
