"""First look at a cohort: what is there, what a study of it computes, and what it leaves out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ldae.data.bids import read_cohort
from ldae.data.intake.cells import count_words, propose, read_number
from ldae.data.intake.layouts import Recognised
from ldae.data.intake.notices import Findings, summarise_notices
from ldae.data.intake.settings import Intake
from ldae.data.manifest import REPEATS, VISITS_FOR_INTERPOLATION, CohortSummary, summarise_scans
from ldae.errors import CohortError, InputError
from ldae.subsets import SPLITS
from ldae.workflow.config import Config, complete_config, defaults, merged
from ldae.workflow.plan import StudyPlan, plan_split, plan_study

LABEL_WIDTH = 13
MAX_TIMES_SHOWN = 8
EVALUATIONS = ("reconstruction", "stochastic", "throughput", "interpolation", "volumes")


@dataclass
class FirstLook:
    """What was found in a cohort.

    Attributes
    ----------
    recognised
        Its layout.
    settings
        Settings of the study that differ from the defaults.
    guesses
        Settings of the section ``cohort`` that messages propose, and that must be looked up.
    findings
        Faults and notices of reading it.
    problems
        Why it cannot be used; empty if it can.
    scans
        Table of scans with the cohort's own labels; None if it could not be read.
    split
        Number of participants of each split; empty if there is none.
    plan
        What the study computes; None if it cannot be planned.
    """

    recognised: Recognised
    settings: Config
    guesses: dict[str, Any] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    problems: list[InputError] = field(default_factory=list)
    scans: pd.DataFrame | None = None
    split: dict[str, int] = field(default_factory=dict)
    plan: StudyPlan | None = None

    @property
    def cohort(self) -> dict[str, Any]:
        """Its section ``cohort``."""
        section: dict[str, Any] = self.settings["cohort"]
        return section


def look_at(recognised: Recognised, name: str, table: Path | None) -> FirstLook:
    """Read a cohort and plan a study of it.

    Parameters
    ----------
    recognised
        Its layout.
    name
        Name of the study.
    table
        File with `recognised.rows`, if there are any.
    """
    cohort = {"source": "bids", "public": recognised.public, **recognised.cohort}
    if table is not None:
        cohort["table"] = str(table)
    settings: Config = {
        "study": name,
        "title": f"Latent diffusion autoencoder of {recognised.name}",
        "bids_folder": str(recognised.folder),
        "pathvars": {"results": f"results/{name}"},
        "cohort": cohort,
    }
    look = FirstLook(recognised, settings)
    try:
        summary = _read(look)
        if words := _known_words(summary, look):
            # converters are counted by what the words mean
            cohort.setdefault("values", {})["diagnosis"] = words
            summary = _read(look)
        config = _complete(settings)
        splits = Counter(plan_split(config, summary)["split"])
        look.split = {name: splits[name] for name in SPLITS}
        look.plan = plan_study(config, summary)
    except InputError as error:
        look.problems = list(error.errors) if isinstance(error, CohortError) else [error]
    look.guesses = _guesses(look)
    return look


def _complete(settings: Config) -> Config:
    """Settings over the defaults, as Snakemake merges files of settings."""
    return complete_config(merged(defaults(), settings))


def _read(look: FirstLook) -> CohortSummary:
    """Read the cohort with its own labels, whatever the study will show of them."""
    look.findings = Findings()
    intake = Intake.from_settings(_complete(look.settings)["cohort"])
    look.scans = read_cohort(look.recognised.folder, True, intake, look.findings).scans
    return summarise_scans(look.scans)


def _known_words(summary: CohortSummary, look: FirstLook) -> dict[str, str]:
    """Words for diagnoses that are known to mean those of the study, beside these themselves."""
    groups = _complete(look.settings)["cohort"]["diagnoses"]
    words = [word for word in summary.words if read_number(word) is None]
    meanings = propose(sorted(words), groups["patient"], groups["control"])
    return {word: meaning for word, meaning in meanings.items() if meaning != word}


def _guesses(look: FirstLook) -> dict[str, Any]:
    """What messages propose for the section ``cohort``, but for what is set already."""
    found: dict[str, Any] = {}
    texts = [*map(str, look.problems), *(notice.text for notice in look.findings.notices)]
    for proposal in proposals(" ".join(texts)):
        found = merged(found, proposal)
    # names of files and columns are not known to the messages either
    unknown = ("public", "table", "tables", "columns")
    return {key: value for key, value in found.items() if key not in unknown}


def proposals(text: str) -> Iterator[dict[str, Any]]:
    """All settings that a text has been given by `ldae.data.intake.notices.paste`.

    Examples
    --------
    >>> list(proposals("Set cohort: {ignore_leading_zeros: true}; or correct the labels"))
    [{'ignore_leading_zeros': True}]
    """
    for match in re.finditer(r"cohort: \{", text):
        for end in (i + 1 for i in range(match.end(), len(text)) if text[i] == "}"):
            try:
                settings = yaml.safe_load(text[match.start() : end])["cohort"]
            except yaml.YAMLError:  # a brace within
                continue
            if isinstance(settings, dict):
                yield settings
            break


def describe(look: FirstLook) -> Iterator[str]:
    """What was found, as lines for a terminal."""
    yield f"{look.recognised.layout} {look.recognised.folder}"
    facts = [f"{label:<{LABEL_WIDTH}} {text}" for label, text in _facts(look)]
    yield from ["", *facts] if facts else []
    if look.plan is not None:
        yield ""
        computed = [name for name in EVALUATIONS if name in look.plan.parts]
        yield f"{'Computed':<{LABEL_WIDTH}} " + ", ".join(
            [*(f"task {task}" for task in look.plan.tasks), *computed]
        )
        reasons = look.plan.left_out.items()
        yield from _listed("Left out", (f"{what}: {why}" for what, why in reasons))
    yield from _listed("Noticed", summarise_notices(look.findings.notices, where=""))
    yield from _listed("Not usable", map(str, look.problems[: CohortError.SHOWN]))
    if len(look.problems) > CohortError.SHOWN:
        yield f"  and {len(look.problems) - CohortError.SHOWN} more"


def _listed(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = [f"  {line}" for line in lines]
    yield from ["", title, *shown] if shown else []


def _facts(look: FirstLook) -> Iterator[tuple[str, str]]:
    """What is known of participants and scans."""
    scans = look.scans
    if scans is None:
        return
    visits = scans.groupby("subject").size()
    n_many = int((visits >= VISITS_FOR_INTERPOLATION).sum())
    yield "participants", f"{len(visits)} with scans"
    yield "scans", f"{len(scans)}; {n_many} participants have three or more"
    if n_repeated := int((scans[REPEATS] != "").sum()):
        yield "repeats", f"{n_repeated} scans are chosen from several (cohort.repeats)"
    months = scans["months"].round().astype(int).value_counts().sort_index()
    times = ", ".join(f"{month} ({n})" for month, n in months.head(MAX_TIMES_SHOWN).items())
    more = f" to {months.index[-1]}" if len(months) > MAX_TIMES_SHOWN else ""
    yield "months", f"{times}{' …' if more else ''}{more}"
    ages = scans["age"].dropna()
    span = f"{ages.min():.1f} to {ages.max():.1f} years, " if len(ages) else ""
    yield "age", f"{span}known of {len(ages)} scans"
    for column in ("sex", "diagnosis", "site"):
        words = Counter(scans[column])
        unknown = words.pop("", 0)
        found = count_words(words) if words else ""
        yield column, ", ".join(filter(None, [found, f"not known {unknown}" if unknown else ""]))
    if look.split:
        numbers = ", ".join(f"{name} {n}" for name, n in look.split.items())
        yield "split", f"{numbers} participants"
