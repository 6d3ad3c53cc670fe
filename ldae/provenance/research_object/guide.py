"""README of a crate, and its table of raw scans."""

from __future__ import annotations

from ldae.provenance.history import History
from ldae.provenance.payload import SCANS, raw_scans, scan_name
from ldae.provenance.research_object.files import Files
from ldae.provenance.research_object.graph import Graph

README = "README.md"

README_TEXT = """# {title}

{description}

`ro-crate-metadata.json` contains the complete history in the profile Provenance Run Crate 0.5:
workflow, steps, tools, one action per job, and every file with its SHA-256.

* `results/`: figures, tables, report and settings
* `lists/`: names and checksums of files of single scans, which are not included
* `{scans}`: the raw scans by {held} and checksum. If you have access to the scans, compare them
  with `python -m ldae verify CRATE --bids FOLDER`
* `ro-crate-preview.html`: figures, steps and files on one page
* `Snakefile`, `rules/`, `envs/`, `profiles/`: the workflow as it was run

`python -m ldae verify CRATE` compares every file with its checksum.
"""


def add_scans(files: Files, history: History) -> None:
    """Add the table of raw scans: path in the BIDS folder, size in bytes, SHA-256."""
    scans = raw_scans(history)
    rows = (f"{scan_name(f.path)}\t{f.size}\t{f.sha256}\n" for f in scans)
    files.text(
        SCANS,
        "scan\tsize\tsha256\n" + "".join(rows),
        name="Raw scans of the study, by path in the BIDS folder and checksum",
    )


def add_readme(graph: Graph, files: Files, *, restricted: bool) -> None:
    """Add a README that describes the content of the crate."""
    text = README_TEXT.format(
        title=graph.crate.name,
        description=graph.crate.description,
        scans=SCANS,
        held="pseudonym" if restricted else "name",
    )
    readme = files.text(README, text, name="Content of this crate")
    readme["about"] = graph.root
