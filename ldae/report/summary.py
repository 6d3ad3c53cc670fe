"""The report's first screen: what was studied and what was found, in sentences.

Every sentence is written from the study's own tables: the verdicts, their numbers, intervals and
numbers of subjects. Nothing is judged here a second time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from ldae.conclusions.criteria import Criteria
from ldae.conclusions.verdicts import (
    CODE,
    FAILS,
    HOLDS,
    INTERPOLATION,
    MANIPULATION,
    OPEN,
    SPEED,
    STATEMENTS,
    Statement,
)
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.figures.theme import TASK_LABELS
from ldae.methods import Methods, Role
from ldae.report.cohort import Cohort
from ldae.statistics.measures import AD_VS_CN
from ldae.subsets import TEST, VALIDATION

SIMULATED = "These numbers show that the workflow works; they are no findings about the brain."

MOST_MODELS = 3
"""So many models are named under a claim; the table of verdicts has all."""

SHOWN_COMPARATOR = "voxel_pca"
"""The simplest code is what a reader asks about; without it, the first comparator is shown."""

SPLIT_WORDS = {
    TEST: "the test split, on which nothing was fitted",
    VALIDATION: "the validation split, on which nothing was fitted but settings may be chosen",
    CROSS_VALIDATED: "cross-validation: each subject is predicted by probes of the other folds",
}


@dataclass(frozen=True)
class Finding:
    """One number of a claim: its verdict (``holds``, ``open`` or ``fails``) and the sentence."""

    verdict: str
    text: str


@dataclass(frozen=True)
class ModelAnswer:
    """What a claim's numbers say of one model.

    Attributes
    ----------
    label
        Name of the model for readers.
    findings
        The claim's main numbers.
    tally
        Number of the claim's statements about this model by verdict.
    """

    label: str
    findings: tuple[Finding, ...]
    tally: Mapping[str, int]


@dataclass(frozen=True)
class Answer:
    """The answer to one of the paper's claims, asked as a question."""

    question: str
    models: tuple[ModelAnswer, ...]
    more: int
    """Models that are not named."""


@dataclass(frozen=True)
class Summary:
    """The first screen.

    Attributes
    ----------
    cohort
        Sentences about the cohort.
    simulated
        Whether the cohort is simulated.
    answers
        One for each claim of the paper.
    tally
        Number of all statements by verdict.
    basis
        Which participants the numbers are of.
    """

    cohort: tuple[str, ...]
    simulated: bool
    answers: tuple[Answer, ...]
    tally: Mapping[str, int]
    basis: str


def _value(row: pd.Series, digits: str, unit: str = "", *, flip: bool = False) -> str:
    """A row's number and interval; `flip` turns the sign of a gain."""
    sign = -1.0 if flip else 1.0
    limits = sorted(sign * float(row[c]) for c in ("ci_low", "ci_high"))
    text = _number(sign * row["value"], digits) + unit
    if any(math.isnan(limit) for limit in limits):
        return f"{text} (no interval)"
    return f"{text} [{_number(limits[0], digits)}, {_number(limits[1], digits)}]"


def _number(value: float, digits: str) -> str:
    text = format(value, digits)
    return text.replace("-", "−") if float(text) else format(0.0, digits)


def _gain(what: str, unit: str, digits: str, better: str, worse: str) -> _Wording:
    """Sentence about a gain over another method: positive is `better`."""

    def words(row: pd.Series, methods: Methods) -> str:
        # An error gains by falling: the sentence gives the difference in the direction it names.
        number = _value(row, digits, unit, flip=row["value"] < 0)
        direction = better if row["value"] >= 0 else worse
        return f"{what} is {number} {direction} than with {methods.label(str(row['against']))}"

    return words


def _growth(row: pd.Series, methods: Methods) -> str:
    name = "disease" if row["task"] == AD_VS_CN else _task(row["task"])
    verb = "enlarge" if row["value"] > 0 else "shrink"
    return f"edits of {name} {verb} the ventricles: Spearman {_value(row, '.2f')}"


def _side_effect(row: pd.Series, methods: Methods) -> str:
    times = _value(row, ".2f", " times")
    return f"they move {_task(row['attribute'])} {times} as much, judged by {row['judge']}"


def _skill(row: pd.Series, methods: Methods) -> str:
    direction = "below" if row["value"] >= 0 else "above"
    return (
        f"error {abs(100 * row['value']):.0f} % {direction} the best trivial answer's: "
        f"skill {_value(row, '.2f')}"
    )


def _ratio(row: pd.Series, methods: Methods) -> str:
    return f"{row['operation']}s {_value(row, '.1f', ' times')} as fast as the voxel DAE"


def _task(name: object) -> str:
    return TASK_LABELS.get(str(name), str(name))


_Wording = Callable[[pd.Series, Methods], str]


@dataclass(frozen=True)
class _Headline:
    """A number that a claim is summarised by: its statement, the row among several, the words."""

    metric: str
    words: _Wording
    where: Mapping[str, object]

    def statement(self) -> Statement:
        return next(s for s in STATEMENTS if s.metric == self.metric)


_CLAIMS: tuple[tuple[str, str, tuple[_Headline, ...]], ...] = (
    (
        "Does the code predict age and disease better than PCA?", CODE,
        (
            _Headline("mae_gain", _gain("age error", " years", ".2f", "smaller", "larger"), {}),
            _Headline(
                "roc_auc_gain",
                _gain("AUC for Alzheimer's disease", "", ".3f", "higher", "lower"), {},
            ),
        ),
    ),
    (
        "Does an edit change what it should, and only that?", MANIPULATION,
        (
            _Headline("ventricle_change_spearman", _growth, {"task": AD_VS_CN}),
            _Headline("off_target_ratio", _side_effect, {"task": AD_VS_CN, "judge": "volumes"}),
        ),
    ),
    (
        "Is a missing visit filled in better than trivially?", INTERPOLATION,
        (_Headline("skill", _skill, {"gap_months": None}),),
    ),
    (
        "Is it faster than a diffusion autoencoder of voxels?", SPEED,
        (
            _Headline("speed_ratio", _ratio, {"operation": "encode"}),
            _Headline("speed_ratio", _ratio, {"operation": "reconstruct"}),
        ),
    ),
)  # fmt: skip


def summarise(
    verdicts: pd.DataFrame | None,
    methods: Methods,
    criteria: Criteria,
    cohort: Cohort,
    left_out: Mapping[str, str],
) -> Summary:
    """The first screen of a study.

    Parameters
    ----------
    verdicts
        Table ``verdicts``; None if the study has none.
    methods
        The study's methods.
    criteria
        Section ``verdicts`` of the settings, which the statements' words depend on.
    cohort
        Who was studied.
    left_out
        What the plan left out, and why.
    """
    if verdicts is None:
        reason = left_out.get("table verdicts", "the study has no table of verdicts")
        basis = f"No claim was judged: {reason}."
        return Summary(cohort.sentences(), cohort.simulated, (), {}, basis)
    answers = tuple(
        _answer(question, claim, headlines, verdicts, methods, criteria)
        for question, claim, headlines in _CLAIMS
    )
    return Summary(
        cohort.sentences(), cohort.simulated, answers, _tally(verdicts), _basis(verdicts)
    )


def _tally(rows: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((rows["verdict"] == verdict).sum()) for verdict in (HOLDS, OPEN, FAILS)}


def _basis(verdicts: pd.DataFrame) -> str:
    splits = [s for s in verdicts.loc[verdicts["value"].notna(), "split"].unique() if s]
    if not splits:
        return "No number could be judged."
    words = " and ".join(SPLIT_WORDS.get(split, f"split {split}") for split in splits)
    return (
        f"All numbers here are from {words}. Brackets hold 95 % intervals over subjects; those of "
        "speed go from the least to the largest run."
    )


def _answer(
    question: str,
    claim: str,
    headlines: tuple[_Headline, ...],
    verdicts: pd.DataFrame,
    methods: Methods,
    criteria: Criteria,
) -> Answer:
    rows = verdicts[verdicts["claim"] == claim]
    judged = set(rows["method"])
    models = [m for m in methods.select(Role.MODEL).values() if m.name in judged]
    shown = [m for m in models if m.ablation_of is None][:MOST_MODELS] or models[:MOST_MODELS]
    answers = tuple(
        ModelAnswer(
            model.look.label,
            tuple(_findings(headlines, rows[rows["method"] == model.name], methods, criteria)),
            _tally(rows[rows["method"] == model.name]),
        )
        for model in shown
    )
    if not answers:
        note = next((str(n) for n in rows["note"] if n), "no model of this study was judged")
        answers = (ModelAnswer("", (Finding(OPEN, f"not judged: {note}"),), _tally(rows)),)
    return Answer(question, answers, len(models) - len(shown))


def _findings(
    headlines: tuple[_Headline, ...], rows: pd.DataFrame, methods: Methods, criteria: Criteria
) -> Iterator[Finding]:
    """A sentence for each of a claim's main numbers of one model."""
    unjudged: list[str] = []
    for headline in headlines:
        words = headline.statement().words(criteria)
        row = _row(rows[rows["statement"] == words], headline.where)
        if row is None:
            continue
        if pd.isna(row["value"]):
            note = str(row["note"]) or "the number could not be computed"
            if note not in unjudged:
                unjudged.append(note)
                text = f"{words[:1].upper()}{words[1:]}: not judged, because {note}."
                yield Finding(OPEN, text)
            continue
        subjects = "subject" if row["n_subjects"] == 1 else "subjects"
        text = f"{headline.words(row, methods)} ({int(row['n_subjects'])} {subjects})"
        earned = "" if pd.isna(row["earned_by"]) else _with_labels(str(row["earned_by"]), methods)
        owed = f" Earned by: {earned}." if earned else ""
        yield Finding(str(row["verdict"]), f"{text[:1].upper()}{text[1:]}.{owed}")


def _with_labels(text: str, methods: Methods) -> str:
    """`text` of a table with the labels of methods in place of their names in brackets."""
    return re.sub(
        r"\((\w+)\)",
        lambda found: f"({methods.label(found[1])})" if found[1] in methods else found[0],
        text,
    )


def _row(rows: pd.DataFrame, where: Mapping[str, object]) -> pd.Series | None:
    """The row that is shown: held out before cross-validated, the simplest comparator."""
    if rows.empty:
        return None
    for column, wanted in where.items():
        mask = rows[column].isna() if wanted is None else rows[column] == wanted
        # What a study lacks (a judge, an attribute) is no reason to show nothing.
        rows = rows[mask] if mask.any() else rows
    crossed = rows["split"] == CROSS_VALIDATED
    order = crossed.astype(int) * 2 + (rows["against"] != SHOWN_COMPARATOR)
    return next(row for _, row in rows.loc[order.sort_values(kind="stable").index].iterrows())
