"""The report in a real browser: tables that sort, filter and export, a phone's width, and print.

Skipped where no Chromium is installed (Debian: ``apt install chromium``).
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from browser import accessibility_faults, chromium, needs_browser
from report_toy import toy_contents

from ldae.report.page import build_report

pytestmark = needs_browser

PROBE = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("load", () => {
  const table = document.querySelector("table.data");
  const column = () => [...table.tBodies[0].rows].filter((r) => !r.hidden).map((r) => r.cells[1].innerText);
  const [up, down] = [0, 0].map(() => { table.tHead.rows[0].cells[1].firstChild.click(); return column(); });
  const tools = table.closest(".scroll").previousElementSibling;
  const input = tools.querySelector("input");
  input.value = "LDAE";
  input.dispatchEvent(new Event("input"));
  const page = document.documentElement;
  const found = { errors, up, down, filtered: column(), status: tools.querySelector("span").innerText,
    sorted: table.tHead.rows[0].cells[1].getAttribute("aria-sort"),
    overflow: page.scrollWidth - page.clientWidth, width: page.clientWidth };
  parent.document.body.setAttribute("data-found", JSON.stringify(found));
});
</script>
"""  # noqa: E501

# A frame is as narrow as a phone; the window of a desktop's browser is not.
PHONE = """<!DOCTYPE html><html><body>
<iframe src="probed.html" style="width: 360px; height: 780px; border: 0"></iframe>
</body></html>
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "report.html"
    toy = toy_contents(folder)  # not final: the word in large letters must fit a phone, too
    build_report(replace(toy, config={**toy.config, "final": False}), page)
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{PROBE}", 1)
    (folder / "probed.html").write_text(text, encoding="utf-8")
    (folder / "phone.html").write_text(PHONE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, object]:
    """What a script has seen on the page."""
    page = chromium(
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--dump-dom",
        f"file://{folder / 'phone.html'}",
    )
    (text,) = re.findall(r'<body[^>]* data-found="([^"]*)"', page)
    return dict(json.loads(unescape(text)))


def test_tables_sort_by_number_and_filter(found: dict[str, object]) -> None:
    assert found["errors"] == []
    assert found["up"] == ["4.500", "7.000", "12.2"]
    assert (found["down"], found["sorted"]) == (["12.2", "7.000", "4.500"], "descending")
    assert (found["filtered"], found["status"]) == (["4.500"], "1 of 3 rows")


def test_page_is_no_wider_than_a_phone(found: dict[str, object]) -> None:
    width = found["width"]
    assert isinstance(width, int) and 300 < width <= 360 and found["overflow"] == 0


@pytest.mark.parametrize("scheme", ["1", "0"], ids=["light", "dark"])
def test_page_is_accessible(folder: Path, scheme: str) -> None:
    setting = f"--blink-settings=preferredColorScheme={scheme}"
    assert accessibility_faults(folder / "report.html", setting) == []


def test_faults_of_accessibility_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<!DOCTYPE html><html><head><title>A</title></head>"
        "<body><main><h1>A</h1><p style='color: #ccc'>Pale</p></main></body></html>"
    )
    assert {f["id"] for f in accessibility_faults(page)} == {"color-contrast", "html-has-lang"}


def test_print_is_short(folder: Path) -> None:
    target = folder / "report.pdf"
    chromium("--disable-gpu", f"--print-to-pdf={target}", f"file://{folder / 'report.html'}")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", target.read_bytes())) <= 6
