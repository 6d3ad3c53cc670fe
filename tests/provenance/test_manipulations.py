"""Every manipulation of a finished study has the answer that the documentation gives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from audited_study import AuditedStudy, problems
from manipulations import (
    CODE,
    ENVIRONMENT,
    ERROR,
    MANIPULATIONS,
    NO_FINDING,
    OUTSIDE,
    PAGE,
    Manipulation,
    page,
)

from ldae.provenance.audit import Verdict
from ldae.provenance.seal import read_seals


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> AuditedStudy:
    """The study; it must not be changed."""
    return AuditedStudy(tmp_path_factory.mktemp("audited") / "study")


def options_of(one: Manipulation, original: AuditedStudy, study: AuditedStudy) -> dict:
    options = {k: v for k, v in one.options.items() if k not in ("noted", "spelt", "environment")}
    if "noted" in one.options:
        noted = read_seals(original.results)[1 if one.options["noted"] == "page" else -1].digest
        options["seal"] = one.options.get("spelt", str)(noted)
    for name in {"results", "signers"} & set(options):
        options[name] = study.folder / options[name]
    return options


def answers(verdict: Verdict, one: Manipulation) -> bool:
    """Whether the verdict is the one that the table gives."""
    if one.answer in (NO_FINDING, OUTSIDE):
        return verdict.passed and not problems(verdict)
    found = [f for f in verdict.findings if f.level == one.answer]
    named = any(one.text in text for f in found for text in (f.expected, f.found))
    return named and verdict.passed is (one.answer != ERROR)


@pytest.mark.parametrize(
    "one", MANIPULATIONS, ids=[f"{one.part}: {one.what}" for one in MANIPULATIONS]
)
def test_manipulation(
    one: Manipulation, original: AuditedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if one.what == "a study of another user" and os.geteuid() != 0:
        pytest.skip("only root may give files away")
    if "signers" in one.options and shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in one.options.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    study = original.copy(tmp_path / "study", clone=one.part in (CODE, ENVIRONMENT))
    one.apply(study)
    verdict = study.audit(**options_of(one, original, study))
    assert answers(verdict, one), verdict.as_text()
    text = verdict.as_text()
    text.encode()
    assert "\x1b" not in text and "\r" not in text


def test_rows_are_distinct() -> None:
    assert len(MANIPULATIONS) >= 77
    names = [(one.part, one.what, bool(one.options)) for one in MANIPULATIONS]
    assert len(set(names)) >= len(names) - 1  # one is tried with and without a noted digest


def test_documentation_has_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python tests/provenance/manipulations.py"
    )
