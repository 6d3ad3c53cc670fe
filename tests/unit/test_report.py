"""The report holds everything in one file and says what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from ldae.errors import InputError
from ldae.methods import METHODS, Methods
from ldae.provenance.audit import Check, Finding, Level, Verdict
from ldae.report.page import Picture, TableFile, build_report
from ldae.statistics.tables import tidy, write_table

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63f8ffff3f"
    "0005fe02fea7352a2d0000000049454e44ae426082"
)

CHANGED = Finding(Level.ERROR, "tables/probes.tsv", "sha256 1234", "sha256 <5678>")
VERDICT = Verdict((Check("files", "12 files", (CHANGED,)), Check("code", "3 jobs")), {}, 1.5)


def build(folder: Path, **changes: object) -> str:
    picture = folder / "f.png"
    picture.write_bytes(PIXEL)
    rows = [{"method": "ldae", "task": "age", "metric": "mae", "value": 4.5, "note": "years <b>"}]
    write_table(
        tidy(rows, "probes", cohort="toy", seeds={"ldae": [1]}, split="test"),
        folder / "p.tsv",
        folder / "p.md",
    )
    arguments: dict[str, object] = {
        "figures": {
            "manipulation_age": Picture(picture, "manipulation", "Edits.", "From 8."),
            "age": Picture(picture, "probes", "Ages of 3 <subjects>.", "From 7 scans."),
            "qc": Picture(picture, "cohort", "Quality control.", "From 9."),
        },
        "tables": {"probes": TableFile(folder / "p.tsv", "probes", "Linear probes of every code")},
        "methods": Methods(METHODS),
        "left_out": {"interpolation": "nobody has three visits"},
        "notices": pd.DataFrame({"kind": ["age"], "notice": ["sub-01: age <89+> is a limit"]}),
        "config": {"title": "Toy study", "seed": 1},
        "provenance": {"commit": "abc123", "made": "today", "python": "3.11"},
        "audit": VERDICT,
        "out": folder / "report.html",
    }
    build_report(**(arguments | changes))  # type: ignore[arg-type]
    return (folder / "report.html").read_text()


def test_one_file_with_everything(tmp_path: Path) -> None:
    page = build(tmp_path)
    texts = [
        "Toy study",
        "abc123",
        "Ages of 3 &lt;subjects&gt;",
        "nobody has three visits",
        "age &lt;89+&gt; is",
    ]
    for text in [*texts, "4.500", "years &lt;b&gt;", "Edits.", "Quality control"]:
        assert text in page, text
    for text in ["From 7 scans.", "From 9.", "FAILED: 1 error", "12 files", "sha256 &lt;5678&gt;"]:
        assert text in page, text
    assert "Table 1. Linear probes of every code: age (1 row)" in page
    assert "<th>MAE</th>" in page and "<td>LDAE</td>" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("data:image/png;base64,") == 3
    assert "Interpolation</h2>" not in page


def test_figures_stand_in_the_order_of_the_sections(tmp_path: Path) -> None:
    page = build(tmp_path)
    captions = re.findall(r"<b>Figure (\d)\.</b> ([^\n.]*)", page)
    assert captions == [
        ("1", "Quality control"), ("2", "Ages of 3 &lt;subjects&gt;"), ("3", "Edits"),
    ]  # fmt: skip


def test_nothing_disappears_silently(tmp_path: Path) -> None:
    stranger = Picture(tmp_path / "f.png", "nowhere", "Who?", "Where?")
    with pytest.raises(InputError, match="no section nowhere"):
        build(tmp_path, figures={"stranger": stranger})
    gone = Picture(tmp_path / "gone.png", "probes", "Who?", "Where?")
    with pytest.raises(InputError, match="cannot be read"):
        build(tmp_path, figures={"age": gone})
