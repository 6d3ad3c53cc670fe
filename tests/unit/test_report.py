"""The report holds everything in one file, says first what was found, and what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from report_toy import toy_contents

from ldae.errors import InputError
from ldae.report.page import Picture, build_report


def text_of(html: str) -> str:
    """The words that a reader sees of some HTML."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    build_report(toy_contents(folder), folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def first_screen(page: str) -> str:
    """The words above the first section, which a reader has in half a minute."""
    above, _, _ = page.partition("<nav")
    text = text_of(above.partition("<main>")[2])
    assert len(text.split()) < 250, "half a minute's reading"
    return text


@pytest.mark.parametrize(
    "answer",
    [
        "This is a simulated cohort: no real participant was scanned.",
        "These numbers show that the workflow works; they are no findings about the brain.",
        "It comprises 4 participants (aged 60 to 80 years; 2 CN, 1 AD) with 5 T1-weighted scans; "
        "1 participant has 2 visits.",
        "1 validation participant (1 scan) and 1 test participant (1 scan).",
        "Representation fails LDAE: The mean absolute error of age is 1.81 years [0.79, 2.94] "
        "larger than with voxel PCA (80 participants).",
        "Of 1 statement about the models under test, 1 fails .",
        "Nothing was fitted to the test participants.",
        "All numbers are of test participants, who were scored once in this folder.",
        "A statement holds if its whole interval is on the claimed side of the bound",
        "Audit: FAILED: 1 error",
    ],
)
def test_first_screen_answers(first_screen: str, answer: str) -> None:
    assert answer in first_screen


def test_a_study_that_is_not_final_says_so_in_large_letters(page: str, tmp_path: Path) -> None:
    assert 'class="stage"' not in page and "test_ledger.tsv" in page
    toy = toy_contents(tmp_path)
    config = {**toy.config, "final": False}
    build_report(replace(toy, config=config, scorings=()), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<p class="stage">Validation</p>' in html and 'id="ledger"' not in html
    assert "the test participants have not been scored." in html


def test_one_file_with_everything(page: str) -> None:
    texts = [
        "Toy study", "abc123", "Ages of 3 &lt;subjects&gt;", "nobody has three visits",
        "age &lt;89+&gt; is", "4.500", "years &lt;b&gt;", "Edits.", "Quality control",
        "From 7 scans.", "From 9.", "12 files", "sha256 &lt;5678&gt;", "no &lt;space&gt; left",
        "Table 1. Linear probes of every code: age (3 rows)", '<th scope="col">MAE (years)</th>',
        "<td>LDAE</td>", "2 jobs ran in 3 attempts, of which 1 failed", "sub-1_ses-1",
    ]  # fmt: skip
    for text in texts:
        assert text in page, text
    assert page.count("data:image/png;base64,") == 5
    assert "Interpolation</h2>" not in page


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    assert not re.findall(r'src="(?!data:)', page) and "@import" not in page
    links = set(re.findall(r'href="([^"]*)"', page))
    outside = {link for link in links if ":" in link}
    assert all(link.startswith("https://doi.org/") for link in outside)
    assert {"figures/age.tsv", "records/plot_figure/age/1.json"} <= links


def test_links_within_the_page_lead_somewhere(page: str) -> None:
    anchors = set(re.findall(r'\bid="([^"]*)"', page))
    assert {link for link in re.findall(r'href="#([^"]*)"', page)} <= anchors


def test_scans_link_to_what_was_made_of_them_and_back(page: str) -> None:
    link = '<a href="#scan-sub-1_ses-1">sub-1_ses-1</a>'
    assert f"Axial slices of {link}." in page and f">{link}</td>" in page
    assert f'<h3 id="made-sub-1_ses-1">What the models made of {link}</h3>' in page
    assert 'href="#made-sub-1_ses-1"' in page and 'href="viewer.html#edit-age"' in page


def test_headings_follow_each_other(page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_figures_stand_in_the_order_of_the_sections(page: str) -> None:
    captions = re.findall(r"<b>Figure (\d)\.</b> ([^\n.]*)", page)
    assert captions == [
        ("1", "Quality control"), ("2", "Ages of 3 &lt;subjects&gt;"), ("3", "Edits"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("section", "file", "message"),
    [("nowhere", "f.png", "no section nowhere"), ("probes", "gone.png", "cannot be read")],
)
def test_nothing_disappears_silently(tmp_path: Path, section: str, file: str, message: str) -> None:
    stranger = Picture(tmp_path / file, section, "Who?", "Where?", {}, "")
    contents = replace(toy_contents(tmp_path), figures={"stranger": stranger})
    with pytest.raises(InputError, match=message):
        build_report(contents, tmp_path / "report.html")
