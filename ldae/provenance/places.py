"""Machine-independent names of files: ``<results>/…`` and ``<bids>/…``.

Records name files relative to the results or BIDS folder. They therefore contain no names of users
or disks, and a study can be moved, copied and shared. Other files are named relative to the working
folder, and files outside of it by their base name only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ldae.data.pseudonyms import Pseudonyms, cohort_pseudonyms
from ldae.paths import WORKFLOW

RESULTS = "<results>"
BIDS = "<bids>"
EXTERNAL = "<external>"
# Characters that may follow, and that must not precede, the path of a folder within a text.
AFTER = r"(?=$|[/\s:;,'\")\]])"
BEFORE = r"(?<![\w./-])"


@dataclass(frozen=True)
class Places:
    """Locations of a study's folders on this machine.

    Attributes
    ----------
    results
        Results folder.
    bids
        Folder with the raw scans of a real cohort; None if it is unknown or the cohort is
        simulated.
    restricted
        Whether records must not contain subject labels of the cohort.
    """

    results: Path
    bids: Path | None = None
    restricted: bool = False

    @cached_property
    def _folders(self) -> tuple[tuple[str, str], ...]:
        """Absolute folders and their names; the first one that contains a file names it."""
        bids = [] if self.bids is None else [(_absolute(self.bids), BIDS)]
        return ((_absolute(self.results), RESULTS), *bids, (os.getcwd(), ""))

    @cached_property
    def _pseudonyms(self) -> Pseudonyms | None:
        """The cohort's pseudonyms; None if they are not needed or cannot be made."""
        if not self.restricted or self.bids is None:
            return None
        return cohort_pseudonyms(self.bids)

    def name(self, path: str | Path) -> str:
        """Name of a file in records."""
        whole = _absolute(path)
        for folder, anchor in self._folders:
            if whole == folder and anchor:
                return anchor
            if whole.startswith(folder.rstrip("/") + "/"):
                inside = whole[len(folder.rstrip("/")) + 1 :]
                return f"{anchor}/{self.hide(inside)}" if anchor else self.hide(inside)
        return f"{EXTERNAL}/{self.hide(os.path.basename(whole))}"

    def find(self, name: str) -> Path | None:
        """Path of the file with a given name in records; None if its folder is not known here."""
        anchor, _, inside = name.partition("/")
        if anchor == RESULTS:
            return self.results / inside
        if anchor == BIDS:
            if self.bids is None:
                return None
            return self._raw.get(name) if self._pseudonyms else self.bids / inside
        return None if anchor == EXTERNAL else Path(name)

    @cached_property
    def _raw(self) -> dict[str, Path]:
        """Files of a restricted cohort, by their names in records."""
        files = (p for p in (self.bids or Path()).rglob("*") if p.is_file())
        return {self.name(path): path for path in files}

    def hide(self, text: str) -> str:
        """`text` with the labels of a restricted cohort replaced by pseudonyms."""
        return text if self._pseudonyms is None else self._pseudonyms.hide(text)

    def scrub(self, text: str) -> str:
        """`text` for a record, without paths of this machine and without restricted labels."""
        named = [(self.results, RESULTS), (self.bids, BIDS)]
        spelt = [(str(p), n) for p, n in named if p is not None and "/" in str(p)]
        known = [(_absolute(p), n) for p, n in named if p is not None] + spelt
        known += [(os.getcwd(), "."), (str(WORKFLOW), "<repository>"), (str(Path.home()), "~")]
        for place, name in sorted(known, key=lambda pair: len(pair[0]), reverse=True):
            if len(place) > 1:
                text = re.sub(BEFORE + re.escape(place) + AFTER, name, text)
        return self.hide(re.sub(BEFORE + r"\./", "", text))

    def plain(self, value: Any) -> Any:
        """`value` as JSON types, with paths named as by :meth:`name`."""
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
    """Locations of a study's folders, from its settings.

    Parameters
    ----------
    results
        Results folder.
    config
        Complete settings; ``bids_folder`` and ``cohort`` are read.
    """
    if config["cohort"]["source"] == "simulated":
        return Places(results)
    folder = config["bids_folder"]
    return Places(results, Path(folder) if folder else None, not config["cohort"]["public"])


def _absolute(path: str | Path) -> str:
    """Absolute form of `path`; links are not followed."""
    return os.path.abspath(path)
