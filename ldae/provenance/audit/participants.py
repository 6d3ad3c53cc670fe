"""Check for participants in more than one split, and for fits that used test participants."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path

from ldae.data.manifest import BETWEEN, RIVALS, RIVALS_SHA256
from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.places import RESULTS
from ldae.provenance.reading import open_regular
from ldae.subsets import SPLITS

NAME = "participants"
SPLIT = f"{RESULTS}/split/split.tsv"
SCANS = f"{RESULTS}/manifest/scans.tsv"
TEST = "test"
# Rules with these prefixes fit something and must record on which participants.
FITTING = ("train_", "fit_", "measure_latent_scale")
# The rule that reads raw scans and notes what they hold.
READING = "preprocess_scan"
# Checksum that all empty files have in common; they are no copies.
EMPTY = hashlib.sha256(b"").hexdigest()

Split = dict[str, str]


def check_participants(study: Study) -> Check:
    """Check that tables and fits agree with the split of the participants."""
    split, findings = _read_split(study)
    if not split:
        return Check(NAME, "no split", tuple(findings))
    findings += _check_scans(study, split)
    findings += _check_tables(study, split)
    n_fits = 0
    silent = []
    for job in study.chain:
        fits = job.record.get("fitted_on", {})
        n_fits += len(fits)
        for statistic, subjects in fits.items():
            findings += _check_fit(study, job, statistic, subjects, split)
        if not fits and job.rule.startswith(FITTING):
            silent.append(job)
    if silent:
        expected = "a record of the participants of the fit"
        findings.append(study.finding(Level.UNCHECKED, silent, expected, "none"))
    return Check(NAME, f"{len(split):,} participants, {n_fits} fits", tuple(findings))


def _read_split(study: Study) -> tuple[Split, list[Finding]]:
    """The split, and findings about participants that occur in it more than once."""
    rows = _rows(study, SPLIT, "subject", "split")
    if not rows:
        return {}, [Finding(Level.ERROR, SPLIT, "the split by subject", "no such table")]
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["subject"]].append(row["split"])
    affected = study.history.descendants(SPLIT)
    findings = [
        Finding(
            Level.ERROR, SPLIT, f"{subject} once", f"{subject} in {' and '.join(splits)}", affected
        )
        for subject, splits in sorted(found.items())
        if len(splits) > 1
    ]
    # a participant in several splits counts as test participant if one of them is the test split
    return {s: TEST if TEST in all_ else all_[0] for s, all_ in found.items()}, findings


def _check_scans(study: Study, split: Split) -> Iterator[Finding]:
    """Check that every scanned participant is in the split, and no scan belongs to two of them."""
    rows = _rows(study, SCANS, "scan", "subject", "path", "sha256")
    scanned = {row["subject"] for row in rows}
    affected = study.history.descendants(SCANS)
    for subject in sorted(scanned - set(split)):
        yield Finding(Level.ERROR, SCANS, f"{subject} in the split", "not in it", affected)
    yield from _check_copies(study, rows, split)
    states = {f.path: f.sha256 for job in study.chain for f in (*job.outputs, *job.inputs)}
    raw = {
        path.partition("bids>/")[2] or path.partition("cohort/bids/")[2]: sha256
        for path, sha256 in states.items()
    }
    for listed, sha256 in (file for row in rows for file in _files(row)):
        path = study.places.hide(listed)
        if raw.get(path, sha256) != sha256:
            yield Finding(
                Level.ERROR,
                path,
                f"sha256 {sha256}, as listed in {SCANS}",
                f"sha256 {raw[path]} when it was read",
                affected,
            )


def _files(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Files of a scan and their checksums: the one of its path, and those that compete with it."""
    yield row["path"], row["sha256"]
    if row.get(RIVALS):
        lists = (row[name].split(BETWEEN) for name in (RIVALS, RIVALS_SHA256))
        yield from zip(*lists, strict=False)


def _check_copies(study: Study, rows: list[Mapping[str, str]], split: Split) -> Iterator[Finding]:
    """Check that no two scans have the same bytes, or the same values in other files."""
    affected = study.history.descendants(SCANS)
    bytes_of = {row["scan"]: row["sha256"] for row in rows if row["sha256"] != EMPTY}
    values_of: dict[str, str] = {}
    unknown = []
    for job in study.chain:
        if job.rule == READING and "voxels" not in job.record:
            unknown.append(job)
        values_of |= job.record.get("voxels", {})
    subject_of = {row["scan"]: row["subject"] for row in rows}
    reported: set[frozenset[str]] = set()
    for what, digests in (("bytes", bytes_of), ("values of voxels", values_of)):
        copies: dict[str, set[str]] = defaultdict(set)
        for scan, digest in digests.items():
            copies[digest].add(scan)
        for digest, scans in sorted(copies.items()):
            if len(scans) < 2 or frozenset(scans) in reported:
                continue
            reported.add(frozenset(scans))
            subjects = {subject_of.get(scan, scan) for scan in scans}
            apart = len({split.get(subject) for subject in subjects}) > 1
            yield Finding(
                Level.ERROR if apart else Level.WARNING,
                SCANS,
                f"one scan with {what} {digest}",
                f"the same {what} in {' and '.join(sorted(scans))}, "
                f"{'in different splits' if apart else 'in one split'}",
                affected,
            )
    if unknown:
        found = "none: recorded before contents were noted"
        yield study.finding(Level.UNCHECKED, unknown, "digests of the scans' values", found)


def _check_tables(study: Study, split: Split) -> Iterator[Finding]:
    """Check that every table with subjects and splits agrees with the split."""
    for job in study.chain:
        for file in job.outputs:
            if not file.path.endswith(".tsv") or file.path == SPLIT:
                continue
            for subject, given in sorted(_splits_in(study, file.path)):
                if given in SPLITS and split.get(subject, given) != given:
                    yield Finding(
                        Level.ERROR,
                        file.path,
                        f"{subject} in {split[subject]}",
                        f"{subject} in {given}",
                        study.history.descendants(file.path),
                    )


def _check_fit(
    study: Study, job: Job, statistic: str, subjects: list[str], split: Split
) -> Iterator[Finding]:
    """Check the participants of one fit."""
    name = f"{statistic}, fitted by {job.case} {job.id}"
    affected = study.history.targets_of([job])
    seen = [subject for subject in subjects if split.get(subject) == TEST]
    unknown = [subject for subject in subjects if subject not in split]
    if seen:
        yield Finding(
            Level.ERROR,
            name,
            "no participants of the test split",
            f"{len(seen)} of {len(subjects)}: {', '.join(seen[:5])}",
            affected,
        )
    if unknown:
        expected = "participants of the split only"
        yield Finding(Level.ERROR, name, expected, f"also {', '.join(unknown[:5])}", affected)
    if not subjects:
        yield Finding(Level.ERROR, name, "at least one participant", "none", affected)


def _splits_in(study: Study, name: str) -> set[tuple[str, str]]:
    """Pairs of subject and split in a table; empty if it lacks one of these columns."""
    path = study.places.find(name)
    if path is None or not path.is_file():
        return set()
    with _open_table(path) as file:
        reader = csv.DictReader(file, delimiter="\t")
        if not {"subject", "split"} <= set(reader.fieldnames or ()):
            return set()
        return {(row["subject"], row["split"]) for row in reader}


def _rows(study: Study, name: str, *columns: str) -> list[Mapping[str, str]]:
    """Rows of a table of the study; none if it is missing.

    Raises
    ------
    ValueError
        If the table lacks one of the columns.
    """
    path = study.places.find(name) or Path()
    if not path.is_file():
        return []
    with _open_table(path) as file:
        reader = csv.DictReader(file, delimiter="\t")
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{name} has no column {', '.join(sorted(missing))}")
        return list(reader)


def _open_table(path: Path) -> TextIOWrapper:
    """A table as text, with bytes that are no UTF-8 kept.

    That a file has changed is a finding of :mod:`.files`; the rest of the table is still checked.
    """
    return TextIOWrapper(open_regular(path), "utf-8", errors="surrogateescape", newline="")
