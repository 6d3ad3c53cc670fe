"""What whoever opens a crate looks at first: README, and the table of the raw scans."""

from __future__ import annotations

from ldae.provenance.history import History
from ldae.provenance.payload import SCANS, raw_scans, scan_name
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph

README = "README.md"

README_TEXT = """# {title}

{description}

`ro-crate-metadata.json` tells the whole history by the profile Provenance Run Crate 0.5: workflow,
steps, tools, one action per job, and every file by its SHA-256.

* `results/`: figures, tables, report and settings
* `lists/`: names and checksums of files of single scans, which are not here
* `{scans}`: the raw scans by {held} and checksum; whoever holds them can compare with
  `python -m ldae verify CRATE --bids FOLDER`
* `Snakefile`, `rules/`, `envs/`, `profiles/`: the workflow as it ran
"""


def add_scans(files: Files, history: History) -> None:
    """Table of the raw scans: path in the BIDS folder, size in bytes, SHA-256."""
    scans = raw_scans(history)
    rows = (f"{scan_name(f.path)}\t{f.size}\t{f.sha256}\n" for f in scans)
    files.text(
        SCANS,
        "scan\tsize\tsha256\n" + "".join(rows),
        name="Raw scans of the study, by path in the BIDS folder and checksum",
    )


def add_readme(graph: Graph, files: Files, *, restricted: bool) -> None:
    """What is in the crate, for people; in a `restricted` one these bear pseudonyms."""
    text = README_TEXT.format(
        title=graph.crate.name,
        description=graph.crate.description,
        scans=SCANS,
        held="pseudonym" if restricted else "name",
    )
    readme = files.text(README, text, name="What is in this crate")
    readme["about"] = graph.root
