"""Audit: checks that a finished study is still exactly what was computed.

Each check is a function in a module of its own, from a :class:`~.study.Study` to a
:class:`~.findings.Check`. No check changes the study.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldae.data.intake.participants import TABLE
from ldae.errors import InputError
from ldae.paths import WORKFLOW
from ldae.provenance.audit.chain import check_attempts, check_chain
from ldae.provenance.audit.code import check_code
from ldae.provenance.audit.environment import check_environment
from ldae.provenance.audit.files import NOT_COVERED, check_files
from ldae.provenance.audit.findings import Check, Finding, Level, Verdict
from ldae.provenance.audit.participants import check_participants
from ldae.provenance.audit.records import check_records
from ldae.provenance.audit.snakemake_metadata import NAME as METADATA_CHECK
from ldae.provenance.audit.snakemake_metadata import Metadata, check_metadata, read_metadata
from ldae.provenance.audit.study import Study
from ldae.provenance.hashing import DigestCache, cache_path
from ldae.provenance.history import History, load_history
from ldae.provenance.places import EXTERNAL, Places
from ldae.provenance.record import now
from ldae.provenance.seal import plain_digest, read_seals

__all__ = ["Check", "Finding", "Level", "Verdict", "audit_study"]

logger = logging.getLogger(__name__)


def audit_study(
    results: Path,
    bids: Path | None = None,
    *,
    full: bool = False,
    n_threads: int | None = None,
    seal: str | None = None,
    signers: Path | None = None,
    repository: Path = WORKFLOW,
    working: Path | None = None,
    without: Sequence[str] = (),
) -> Verdict:
    """Check a study: files, chain, records, code, environment, participants, Snakemake's metadata.

    Parameters
    ----------
    results
        Results folder.
    bids
        Folder with the raw scans of a real cohort; if None, they are not checked.
    full
        Hash every file, including those whose times have not changed since the last audit.
    n_threads
        Number of files to hash at a time; by default the number of cores.
    seal
        Digest of a seal that was noted at the end of a run, perhaps shortened.
    signers
        List of those who may have signed a seal (:mod:`ldae.provenance.signature`).
    repository
        Clone of the code.
    working
        Folder in which the workflow ran; by default the current one.
    without
        Rules whose jobs are ignored: the rule of the audit itself, which is still running.

    Raises
    ------
    InputError
        If the folder contains no records.
    """
    clock = time.monotonic()
    history = load_history(results).without(*without)
    if signers is not None and not signers.is_file():
        raise InputError(signers, "the list of signers is missing", "Name it with --signers.")
    if seal:
        plain_digest(seal)  # a mistyped digest is no finding about the study
    if not history.jobs and not history.unreadable:
        raise InputError(
            results,
            "the folder contains no records of jobs",
            "Name the results folder with --results.",
        )
    study = Study(history, study_places(history, bids), repository, working or Path.cwd())
    metadata, unread = _read_metadata(study)
    cached = None if full else cache_path(results)
    cache = DigestCache(cached) if cached else None
    n_threads = n_threads or os.cpu_count() or 1
    checks = (
        _run("files", lambda: check_files(study, metadata, n_threads, cache)),
        _run("chain", lambda: check_chain(study)),
        _run("records", lambda: check_records(study, seal, without, signers)),
        _run("attempts", lambda: check_attempts(study)),
        _run("code", lambda: check_code(study)),
        _run("environment", lambda: check_environment(study)),
        _run("participants", lambda: check_participants(study)),
        unread or _run(METADATA_CHECK, lambda: check_metadata(study, metadata)),
    )
    return Verdict(checks, _facts(study), time.monotonic() - clock)


def _run(name: str, check: Callable[[], Check]) -> Check:
    """Run one check; if it fails, that is its finding, and the others still run.

    Whatever a check stumbles over lies in the study, which may come from elsewhere, and a study
    that cannot be checked must not pass.
    """
    try:
        return check()
    except Exception as error:
        logger.debug("The check of %s failed", name, exc_info=True)
        found = repr(error)
        finding = Finding(Level.ERROR, name, "a check that can be completed", found)
        return Check(name, "not completed", (finding,))


def _read_metadata(study: Study) -> tuple[Metadata, Check | None]:
    """Snakemake's metadata, or none and the check that failed because of them."""
    read: list[Metadata] = []

    def collect() -> Check:
        read.append(read_metadata(study))
        return Check(METADATA_CHECK, "read")

    failed = _run(METADATA_CHECK, collect)
    return (read[0], None) if read else (Metadata(), failed)


def study_places(history: History, bids: Path | None) -> Places:
    """Locations of the folders of a recorded study.

    Raises
    ------
    InputError
        If `bids` is not the folder of a cohort.
    """
    readers = [job for job in history.current if job.rule == "read_bids"]
    intake = readers[-1].record["params"].get("intake") if readers else None
    intake = intake if isinstance(intake, dict) else {}
    if bids is not None and (missing := _missing_of(bids, intake)):
        remedy = "Name the folder of the cohort with --bids."
        raise InputError(bids, f"the folder {missing}", remedy)
    restricted = bool(readers) and not readers[-1].record["params"].get("public", True)
    return Places(history.results, bids, restricted)


def _missing_of(bids: Path, intake: Mapping[str, Any]) -> str:
    """What a cohort's folder should have and does not; its tables may lie elsewhere."""
    if not bids.is_dir():
        return "does not exist"
    if intake.get("tables"):
        return ""
    table = str(intake.get("table") or TABLE)
    found = (bids / table).is_file() or (table != TABLE and Path(table).is_file())
    return "" if found or table.startswith(EXTERNAL) else f"contains no {table}"


def _facts(study: Study) -> dict[str, str]:
    """Summary of the audited study for the report."""
    history = study.history
    try:
        seals = read_seals(study.results)
    except InputError:
        seals = []
    commits = sorted({str(job.record["commit"]) for job in study.chain})
    facts = {
        "audited": f"{now():%Y-%m-%d %H:%M} UTC",
        "computed": _period(history),
        "commit": ", ".join(commits) or "none",
        "seal": f"{seals[-1].number}, sha256 {seals[-1].digest}" if seals else "none",
        "not covered": ", ".join(sorted(n for n in NOT_COVERED if (study.results / n).exists())),
    }
    return facts


def _period(history: History) -> str:
    if not history.jobs:
        return "unknown"
    first, last = history.jobs[0].start, max(job.end or job.start for job in history.jobs)
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
