"""Decisions of raters take the place of the limits, and their agreement is measured."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import accessibility_faults, needs_browser
from PIL import Image

from ldae.data.addresses import Derivative, derivative_address
from ldae.errors import InputError
from ldae.preprocessing.decisions import (
    COLUMNS,
    Agreement,
    apply_decisions,
    rate_agreement,
    read_decisions,
)
from ldae.preprocessing.measures import MEASURES
from ldae.preprocessing.quality import QC_COLUMNS
from ldae.preprocessing.quality_page import MOST_EMBEDDED, write_quality_page

ROWS = [
    "a\tkeep\t\tAnna\t2026-05-01",
    "a\texclude\tmotion\tAnna\t2026-05-02T10:11:12.000Z",
    "a\tkeep\t\tBert\t2026-05-01",
    "b\tkeep\t\tAnna\t2026-05-01",
    "c\tkeep\t\tAnna\t2026-05-01",
    "d\texclude\twrong head\tBert\t2026-05-01",
    "z\tkeep\t\tBert\t2026-05-01",
]


def written(folder: Path, *rows: str, header: str = "\t".join(COLUMNS)) -> Path:
    path = folder / "qc_decisions.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def table(**statuses: str) -> pd.DataFrame:
    """Table of quality control; a scan that failed has no measures."""
    rows = [
        {"scan": scan, "status": "pass" if status == "pass" else "excluded"}
        | {"reason": "" if status == "pass" else status, "notes": ""}
        | {name: math.nan if status == "empty file" else 1000.0 for name in MEASURES}
        for scan, status in statuses.items()
    ]
    return pd.DataFrame(rows, columns=list(QC_COLUMNS))


def test_the_last_decision_of_each_rater_counts(tmp_path: Path) -> None:
    found = read_decisions([written(tmp_path, *reversed(ROWS))])
    assert len(found) == 6
    (tmp_path / "second").mkdir()
    later = written(tmp_path / "second", "a\tkeep\t\tAnna\t2026-05-03")
    both = read_decisions([later, written(tmp_path, *ROWS)])
    assert both["decision"].tolist()[:2] == ["keep", "keep"]
    anna = found[(found["scan"] == "a") & (found["rater"] == "Anna")]
    assert anna["decision"].tolist() == ["exclude"]


def test_decisions_count_before_the_limits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = table(a="pass", b="scale 2 outside", c="empty file", d="scale 2 outside", e="pass")
    with caplog.at_level(logging.WARNING):
        after = apply_decisions(before, read_decisions([written(tmp_path, *ROWS)]))
    assert after["status"].tolist() == ["excluded", "pass", "excluded", "excluded", "pass"]
    assert after["reason"].tolist() == [
        "exclude by Anna (motion)",
        "",
        "empty file",
        "scale 2 outside; exclude by Bert (wrong head)",
        "",
    ]
    assert after.loc[0, "decisions"] == "exclude by Anna (motion); keep by Bert"
    assert "1 rated scans are not in the cohort, such as z" in caplog.text
    assert before["status"].tolist()[1] == "excluded", "the table is not changed"


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        ("a\tmaybe\t\tA\t2026-05-01", None, r"line 2: the decision is 'maybe'.*keep or exclude"),
        ("a\tkeep\t\t\t2026-05-01", None, "line 2 has no scan, no rater or no date"),
        ("a\tkeep\t\tA\tyesterday", None, "line 2 has no scan, no rater or no date"),
        ("a\tkeep", "scan\tdecision", "column reason, rater, date is missing"),
    ],
)
def test_a_table_of_decisions_that_cannot_be_read_is_refused(
    tmp_path: Path, row: str, header: str | None, message: str
) -> None:
    path = written(tmp_path, row, header=header or "\t".join(COLUMNS))
    with pytest.raises(InputError, match=message):
        read_decisions([path])


def rated(first: str, second: str) -> pd.DataFrame:
    """Decisions of two raters on scans, a letter for each: k, x, or - for none."""
    words = {"k": "keep", "x": "exclude"}
    rows = [
        {"scan": f"s{i}", "decision": words[letter], "rater": rater}
        for rater, letters in (("A", first), ("B", second))
        for i, letter in enumerate(letters)
        if letter in words
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("first", "second", "n", "agreed", "kappa"),
    [
        # Cohen 1960: 20 and 15 of 50 agree, 5 and 10 do not: (0.7 - 0.5) / (1 - 0.5)
        ("k" * 25 + "x" * 25, "k" * 20 + "x" * 5 + "k" * 10 + "x" * 15, 50, 0.7, 0.4),
        ("kkxx", "kkxx", 4, 1.0, 1.0),
        ("kkxx", "xxkk", 4, 0.0, -1.0),
        ("kxk-", "kx-x", 2, 1.0, 1.0),
        ("kkk", "kkk", 3, 1.0, math.nan),
    ],
)
def test_agreement_has_known_values(
    first: str, second: str, n: int, agreed: float, kappa: float
) -> None:
    (found,) = rate_agreement(rated(first, second))
    assert found.n_scans == n and found.agreed == pytest.approx(agreed)
    assert found.kappa == pytest.approx(kappa, nan_ok=True)


def test_raters_without_a_common_scan_are_not_compared() -> None:
    assert rate_agreement(rated("k-", "-k")) == []


def test_the_page_shows_decisions_and_agreement(tmp_path: Path) -> None:
    qc = apply_decisions(table(a="pass", b="pass"), read_decisions([written(tmp_path, ROWS[0])]))
    agreement = [Agreement(("A<b>", "B"), 12, 0.75, math.nan)]
    write_quality_page(qc, tmp_path, tmp_path / "qc.html", agreement)
    page = (tmp_path / "qc.html").read_text(encoding="utf-8")
    assert "keep by Anna" in page
    assert (
        "A&lt;b&gt; and B agree on 75% of 12 scans, Cohen's kappa not defined".replace(
            "'", "&#x27;"
        )
        in page
    )
    assert "@" not in page.partition("<script>")[0].replace("@media", "")


@needs_browser
def test_the_page_is_accessible(tmp_path: Path) -> None:
    write_quality_page(table(a="pass", b="excluded"), tmp_path, tmp_path / "qc.html")
    assert accessibility_faults(tmp_path / "qc.html") == []


@pytest.mark.parametrize("more", [0, 1])
def test_the_page_of_a_large_cohort_links_its_pictures(tmp_path: Path, more: int) -> None:
    names = [f"sub-{i:05d}" for i in range(MOST_EMBEDDED + more)]
    picture = tmp_path / "a b" / derivative_address(names[0], Derivative.PREVIEW)
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(picture)
    (tmp_path / "qc").mkdir()
    qc = table(**dict.fromkeys(names, "pass"))
    write_quality_page(qc, tmp_path / "a b", tmp_path / "qc/qc.html")
    page = (tmp_path / "qc/qc.html").read_text(encoding="utf-8")
    link = "../a%20b/sub-00000/figures/sub-00000_desc-brain_T1w.jpg"
    assert (link in page) == bool(more)
    assert ("data:image/jpeg;base64," in page) != bool(more)
