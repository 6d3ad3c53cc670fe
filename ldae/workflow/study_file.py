"""A study's own file of settings, made from a first look at its cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ldae.data.intake.notices import in_flow
from ldae.workflow.config import merged
from ldae.workflow.first_look import FirstLook

# With fewer test participants, predicting everybody once says more (docs/reference/settings.md).
FEW_TEST_PARTICIPANTS = 50
OUTER_FOLDS = 5
# studies/ixi.yaml is for about a hundred scans; the default study has 660.
FEW_SCANS = 250
MOST_SITES_BALANCED = 10

PURPOSE = {
    "public": "true shows participants under their own labels; else they have pseudonyms",
    "table": "a row for each scan",
    "tables": "folder of participants.tsv and the tables of sessions",
    "columns": "columns whose names are not known beforehand",
    "values": "what words of the tables mean",
    "required": "scans without it are left out",
    "session_months": "months since the first visit",
    "ignore_leading_zeros": "whether sub-1 of the table is the folder sub-0001",
}
"""Why a key of the section ``cohort`` is there."""


def study_file_text(look: FirstLook, file: str) -> str:
    """Text of the file of settings.

    Parameters
    ----------
    look
        What was found.
    file
        Name of the file, for its own instructions.
    """
    settings = look.settings
    lines = [
        f"# Written by ldae init from the {look.recognised.layout} {look.recognised.folder}.",
        "# Merged over config.yaml; docs/reference/settings.md describes every setting.",
        "#",
        f"#   ldae run --study {file} -n        what would be computed",
        f"#   ldae run --study {file}           compute it",
        f"#   ldae run --study adni {file}      with the paper's sizes of networks (GPUs)",
        "",
        f"study: {in_flow(settings['study'])}",
        f"title: {in_flow(settings['title'])}",
        f"bids_folder: {in_flow(settings['bids_folder'])}",
        "pathvars:",
        f"  results: {in_flow(settings['pathvars']['results'])}",
        "",
        "cohort:",
        *(_line(key, value) for key, value in look.cohort.items()),
        *_guesses(look),
        "",
        *_advice(look, file),
    ]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    """A line of the section ``cohort``."""
    comment = f"  # {PURPOSE[key]}" if key in PURPOSE else ""
    return f"  {key}: {in_flow(value)}{comment}"


def _guesses(look: FirstLook) -> Iterator[str]:
    """What messages propose, as comments: it must be looked up first."""
    if look.guesses:
        yield "  # Proposed by what was noticed, and not looked up. To take one, correct it, remove"
        yield "  # its #, and remove the line of the same name above if there is one."
    for key, guess in look.guesses.items():
        yield f"  # {key}: {in_flow(merged({key: look.cohort.get(key)}, {key: guess})[key])}"


def _advice(look: FirstLook, file: str) -> Iterator[str]:
    """Settings that depend on the size of the cohort."""
    if look.scans is not None and len(look.scans):
        n_sites = look.scans["site"].replace("", None).nunique()
        if 1 < n_sites <= MOST_SITES_BALANCED:
            yield f"# split: {{strata: [visits, site]}}   # balance the {n_sites} sites too"
    if 0 < look.split.get("test", 0) < FEW_TEST_PARTICIPANTS:
        yield f"probes:  # {look.split['test']} test participants are few: predict all once"
        yield f"  outer_folds: {OUTER_FOLDS}"
    if look.scans is not None and 0 < len(look.scans) < FEW_SCANS:
        yield "# studies/ixi.yaml has shorter trainings, for so few scans; to use it too:"
        yield f"#   ldae run --study ixi {file}"
