"""A real browser for tests of pages: headless Chromium, where one is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is installed"
)


def chromium(*arguments: str) -> str:
    """Standard output of a headless Chromium."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=90, check=True)
    return done.stdout.decode()


# Also what axe cannot decide, such as a contrast over a picture, is in its answer, but not a fault.
_AXE = """<script>{axe}</script><script>
addEventListener("load", () => axe.run({{resultTypes: ["violations"]}}).then((found) =>
  document.body.setAttribute("data-axe", JSON.stringify(found.violations.map((fault) =>
    ({{id: fault.id, help: fault.help, html: fault.nodes.map((node) => node.html)}}))))));
</script>"""


def accessibility_faults(page: Path, *arguments: str) -> list[dict[str, Any]]:
    """What axe-core finds on a page: rule, what it asks for, and the elements that break it."""
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    probed = page.with_name(f"axe-{page.name}")
    text = page.read_text(encoding="utf-8")
    probed.write_text(
        text.replace("<title>", _AXE.format(axe=axe) + "<title>", 1), encoding="utf-8"
    )
    shown = chromium(
        *arguments,
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        "--dump-dom",
        f"file://{probed}",
    )
    (found,) = re.findall(r'<body[^>]* data-axe="([^"]*)"', shown)
    faults: list[dict[str, Any]] = json.loads(unescape(found))
    return faults
