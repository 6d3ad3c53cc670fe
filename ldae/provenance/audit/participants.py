"""Check for participants in more than one split, and for fits that used test participants."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ldae.data.splits import SPLITS
from ldae.provenance.audit.findings import Check, Finding, Level
from ldae.provenance.audit.study import Study
from ldae.provenance.history import Job
from ldae.provenance.places import RESULTS

NAME = "participants"
SPLIT = f"{RESULTS}/split/split.tsv"
SCANS = f"{RESULTS}/manifest/scans.tsv"
TEST = "test"
# Rules with these prefixes fit something and must record on which participants.
FITTING = ("train_", "fit_", "measure_latent_scale")
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
    rows = _rows(study, SPLIT)
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
    rows = _rows(study, SCANS)
    scanned = {row["subject"] for row in rows}
    affected = study.history.descendants(SCANS)
    for subject in sorted(scanned - set(split)):
        yield Finding(Level.ERROR, SCANS, f"{subject} in the split", "not in it", affected)
    by_content: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["sha256"] != EMPTY:
            by_content[row["sha256"]].add(row["subject"])
    for sha256, subjects in sorted(by_content.items()):
        if len({split.get(subject) for subject in subjects}) > 1:
            yield Finding(
                Level.ERROR,
                SCANS,
                f"scan {sha256} of one participant",
                f"the same bytes for {' and '.join(sorted(subjects))}, in different splits",
                affected,
            )
    states = {f.path: f.sha256 for job in study.chain for f in (*job.outputs, *job.inputs)}
    raw = {
        path.partition("bids>/")[2] or path.partition("cohort/bids/")[2]: sha256
        for path, sha256 in states.items()
    }
    for row in rows:
        path = study.places.hide(row["path"])
        if raw.get(path, row["sha256"]) != row["sha256"]:
            yield Finding(
                Level.ERROR,
                path,
                f"sha256 {row['sha256']}, as listed in {SCANS}",
                f"sha256 {raw[path]} when it was read",
                affected,
            )


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
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if not {"subject", "split"} <= set(reader.fieldnames or ()):
            return set()
        return {(row["subject"], row["split"]) for row in reader}


def _rows(study: Study, name: str) -> list[Mapping[str, str]]:
    path = study.places.find(name) or Path()
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))
