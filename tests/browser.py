"""A real browser for tests of pages: headless Chromium, where one is installed."""

from __future__ import annotations

import shutil
import subprocess

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
