"""Names of files that hold on every machine: ``<results>/…`` and ``<bids>/…``.

A record names each file by the folder that it belongs to, not by where that folder lies, so that
neither a user nor a disk is named in it, and so that a study can be moved, copied or read by
someone else. Files of neither folder are named relative to the working folder, and absolute paths
elsewhere by their last part.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

RESULTS = "<results>"
BIDS = "<bids>"
EXTERNAL = "<external>"


@dataclass(frozen=True)
class Places:
    """Where the folders of a study lie on this machine.

    Attributes
    ----------
    results
        Folder of everything computed.
    bids
        Folder of a real cohort's raw scans; None where it is not known or the cohort is simulated.
    working
        Folder that other relative paths start from.
    """

    results: Path
    bids: Path | None = None
    working: Path = Path()

    def name(self, path: str | Path) -> str:
        """Name of a file for a record."""
        whole = _absolute(path)
        for folder, anchor in ((self.results, RESULTS), (self.bids, BIDS), (self.working, "")):
            if folder is not None and whole.is_relative_to(_absolute(folder)):
                inside = whole.relative_to(_absolute(folder)).as_posix()
                return f"{anchor}/{inside}" if anchor else inside
        return f"{EXTERNAL}/{whole.name}"

    def find(self, name: str) -> Path | None:
        """File that a name in a record refers to; None if its folder is not known here."""
        anchor, _, inside = name.partition("/")
        if anchor == RESULTS:
            return self.results / inside
        if anchor == BIDS:
            return None if self.bids is None else self.bids / inside
        return None if anchor == EXTERNAL else self.working / name


def _absolute(path: str | Path) -> Path:
    """`path` from the root, without following links."""
    return Path(os.path.abspath(path))
