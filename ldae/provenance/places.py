"""Names of files that hold on every machine: ``<results>/…`` and ``<bids>/…``.

A record names each file by the folder that it belongs to, not by where that folder lies, so that
neither a user nor a disk is named in it, and so that a study can be moved, copied or read by
someone else. Files of neither folder are named relative to the working folder, and absolute paths
elsewhere by their last part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ldae.data.pseudonyms import cohort_key, hide_labels
from ldae.paths import WORKFLOW

RESULTS = "<results>"
BIDS = "<bids>"
EXTERNAL = "<external>"
# What may follow a folder's name where it stands in a text, and what may not come before it.
AFTER = r"(?=$|[/\s:;,'\")\]])"
BEFORE = r"(?<![\w./-])"


@dataclass(frozen=True)
class Places:
    """Where the folders of a study lie on this machine.

    Attributes
    ----------
    results
        Folder of everything computed.
    bids
        Folder of a real cohort's raw scans; None where it is not known or the cohort is simulated.
    restricted
        Whether the labels of the cohort's people may not be written down.
    """

    results: Path
    bids: Path | None = None
    restricted: bool = False

    @cached_property
    def _folders(self) -> tuple[tuple[str, str], ...]:
        """Absolute folder and its name, the first that holds a file wins."""
        bids = [] if self.bids is None else [(_absolute(self.bids), BIDS)]
        return ((_absolute(self.results), RESULTS), *bids, (os.getcwd(), ""))

    @cached_property
    def _key(self) -> bytes | None:
        """Key of the cohort's pseudonyms, where they are needed and can be made."""
        if not self.restricted or self.bids is None:
            return None
        return cohort_key(self.bids)

    def name(self, path: str | Path) -> str:
        """Name of a file for a record."""
        whole = _absolute(path)
        for folder, anchor in self._folders:
            if whole == folder and anchor:
                return anchor
            if whole.startswith(folder.rstrip("/") + "/"):
                inside = whole[len(folder.rstrip("/")) + 1 :]
                return f"{anchor}/{self.hide(inside)}" if anchor else self.hide(inside)
        return f"{EXTERNAL}/{self.hide(os.path.basename(whole))}"

    def find(self, name: str) -> Path | None:
        """File that a name in a record refers to; None if its folder is not known here."""
        anchor, _, inside = name.partition("/")
        if anchor == RESULTS:
            return self.results / inside
        if anchor == BIDS:
            if self.bids is None:
                return None
            return self._raw.get(name) if self._key else self.bids / inside
        return None if anchor == EXTERNAL else Path(name)

    @cached_property
    def _raw(self) -> dict[str, Path]:
        """Files of a restricted cohort by their names in records."""
        files = (p for p in (self.bids or Path()).rglob("*") if p.is_file())
        return {self.name(path): path for path in files}

    def hide(self, text: str) -> str:
        """`text` without labels of a restricted cohort's people."""
        return text if self._key is None else hide_labels(text, self._key)

    def scrub(self, text: str) -> str:
        """`text` for a record: no place of this machine and no label that is not allowed."""
        named = [(self.results, RESULTS), (self.bids, BIDS)]
        spelt = [(str(p), n) for p, n in named if p is not None and "/" in str(p)]
        known = [(_absolute(p), n) for p, n in named if p is not None] + spelt
        known += [(os.getcwd(), "."), (str(WORKFLOW), "<repository>"), (str(Path.home()), "~")]
        for place, name in sorted(known, key=lambda pair: len(pair[0]), reverse=True):
            if len(place) > 1:
                text = re.sub(BEFORE + re.escape(place) + AFTER, name, text)
        return self.hide(re.sub(BEFORE + r"\./", "", text))

    def plain(self, value: Any) -> Any:
        """`value` as JSON can hold it, paths named as in :meth:`name`."""
        if isinstance(value, Mapping):
            return {str(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.plain(item) for item in value]
        if isinstance(value, (bool, int, float)) or value is None:
            return value
        text = str(value)
        folders = [str(folder) for folder in (self.results, self.bids) if folder is not None]
        if os.path.isabs(text) or any(text == f or text.startswith(f"{f}/") for f in folders):
            return self.name(text)
        return self.scrub(text)


def study_places(results: Path, config: Mapping[str, Any]) -> Places:
    """Places of a study with these settings.

    Parameters
    ----------
    results
        Folder of everything computed.
    config
        Complete settings; ``bids_folder`` and ``cohort`` are read.
    """
    if config["cohort"]["source"] == "simulated":
        return Places(results)
    folder = config["bids_folder"]
    return Places(results, Path(folder) if folder else None, not config["cohort"]["public"])


def _absolute(path: str | Path) -> str:
    """`path` from the root, without following links."""
    return os.path.abspath(path)
