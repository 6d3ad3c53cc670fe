"""The viewer in a real browser, from a file and without network: what it reads where.

Skipped where no Chromium is installed (Debian: ``apt install chromium``). WebGL is computed on the
processor.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from browser import accessibility_faults, chromium, needs_browser

from ldae.viewer.page import Scene, Shown, Volume, build_page

pytestmark = needs_browser

SHAPE = (6, 7, 5)
AFFINE = np.diag([-4.0, 4.0, 4.0, 1.0])  # voxels to the left, as many scanners have it
AFFINE[:3, 3] = 12, -12, -12
BRAIN = np.random.default_rng(0).uniform(0.2, 0.8, SHAPE).astype(np.float32)

WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

PROBE = """
<script>
const found = { errors: [], refused: [], places: {} };
addEventListener("error", (event) => found.errors.push(event.message));
addEventListener("unhandledrejection", (event) => found.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => found.refused.push(event.blockedURI));
const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const wait = () => new Promise((done) => setTimeout(done, 300));
const look = async (name) => { await wait(); found.places[name] = document.getElementById("place").textContent; };
const play = async () => {
  const canvas = document.querySelector("#right canvas");
  await look("start");
  press(canvas, "ArrowRight"); await look("right");
  press(document.body, "]"); await look("next");
  press(document.body, "d"); await look("difference");
  document.querySelector("[value=radiological]").click();
  press(canvas, "ArrowRight"); await look("mirrored");
  location.hash = "second:named"; await look("second");
  found.title = document.querySelector("#text").textContent;
  found.spoken = document.getElementById("stop").getAttribute("aria-valuetext");
  found.requests = performance.getEntriesByType("resource").map((one) => one.name).filter((name) => !name.startsWith("data:"));
  document.body.setAttribute("data-found", JSON.stringify(found));
};
addEventListener("DOMContentLoaded", () => {
  const watch = new MutationObserver(() => { if (document.body.dataset.ready) { watch.disconnect(); play(); } });
  watch.observe(document.body, { attributes: true });
});
</script>
"""  # noqa: E501


@pytest.fixture(scope="module")
def viewer() -> str:
    """The page with two scenes."""
    real = Shown("real", Volume(BRAIN, AFFINE))
    brighter = Shown("brighter", Volume(BRAIN + 0.1, AFFINE), base=real)
    scenes = [
        Scene("first", "First", "One.", "Amount", [real, brighter], slider=True, reference=real),
        Scene("second", "Second", "Two.", "Amount", [real, replace(brighter, name="named")]),
    ]
    return build_page("Toy", "", scenes)


@pytest.fixture(scope="module")
def found(viewer: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a script has seen on the page."""
    path = tmp_path_factory.mktemp("viewer") / "page.html"
    path.write_text(viewer.replace("<style>", f"{PROBE}<style>", 1))
    page = chromium(*WEBGL, "--virtual-time-budget=20000", "--dump-dom", f"file://{path}")
    (text,) = re.findall(r'<body[^>]* data-found="([^"]*)"', page)
    return dict(json.loads(unescape(text)))


def test_the_page_works_without_network(found: dict[str, object]) -> None:
    assert (found["errors"], found["refused"], found["requests"]) == ([], [], [])
    assert found["title"] == "Two."
    assert found["spoken"] == "brighter"


def test_the_crosshair_reads_both_volumes_at_one_place(found: dict[str, object]) -> None:
    places = found["places"]
    assert isinstance(places, dict)
    x = {}
    for name, text in places.items():
        number = r"(−?[\d.]+)"
        (at,) = re.findall(rf"x {number}, y {number}, z {number} mm", text)
        mm = [float(value.replace("−", "-")) for value in at]
        voxel = np.rint(np.linalg.inv(AFFINE) @ [*mm, 1])[:3].astype(int)
        shown = {label: float(value) for label, value in re.findall(r"(\w+): ([\d.]+\d)", text)}
        expected = float(BRAIN[tuple(voxel)])
        for label, value in shown.items():
            more = {"real": expected, "brighter": expected + 0.1, "Difference": 0.1}[label]
            assert value == pytest.approx(more, abs=2e-3), (name, label)
        x[name] = mm[0]
    assert x["right"] == x["start"] + 4 and x["mirrored"] == x["right"] - 4
    assert "brighter" not in places["right"] and "brighter" in places["next"]
    assert "Difference" not in places["next"] and "Difference" in places["difference"]
    assert "real" not in places["second"]


def test_the_page_is_accessible(viewer: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(viewer, encoding="utf-8")
    assert accessibility_faults(tmp_path / "page.html", *WEBGL) == []
