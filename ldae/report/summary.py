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

from ldae.conclusions.attribution import describe_part
from ldae.conclusions.criteria import Criteria
from ldae.conclusions.verdicts import (
    CODE,
    FAILS,
    HOLDS,
    INTERPOLATION,
    MANIPULATION,
    OPEN,
    RECONSTRUCTION,
    SPEED,
    STATEMENTS,
    UNKNOWN,
    Statement,
)
from ldae.evaluation.probes.fitting import CROSS_VALIDATED
from ldae.figures.theme import TASK_LABELS
from ldae.methods import Methods, Role
from ldae.report.cohort import Cohort
from ldae.statistics.measures import AD_VS_CN, AGE
from ldae.subsets import TEST, VALIDATION
from ldae.wording import counted

SUBJECT = (
    "A latent diffusion autoencoder (LDAE) encodes a brain MRI as a short semantic code, to "
    "reconstruct, edit and interpolate scans and to predict age and disease."
)

SIMULATED = "These numbers show that the workflow works; they are no findings about the brain."

MOST_MODELS = 3
"""So many models are named under a claim; the table of verdicts has all."""

SHOWN_COMPARATOR = "voxel_pca"
"""The simplest code is what a reader asks about; without it, the first comparator is shown."""

SPLIT_SENTENCES = {
    TEST: "Nothing was fitted to the test participants.",
    VALIDATION: "Nothing was fitted to the validation participants, but settings may have been "
    "chosen on them.",
    CROSS_VALIDATED: "Cross-validated numbers predict each participant by probes of the other "
    "folds.",
}

RULE_OF_VERDICTS = (
    "Brackets: 95 % intervals over participants (speed: range over runs). A statement holds if its "
    "whole interval is on the claimed side of the bound, fails if on the other side, and is open "
    "otherwise."
)

WHOLE_PERCENT = 10
"""From here on, percentages have no decimals."""

EDITS = {AD_VS_CN: "towards Alzheimer's disease", AGE: "towards older age"}
"""Where edits of an attribute lead."""

JUDGES = {
    "code": "the re-encoded code", "voxels": "principal components of voxels",
    "volumes": "regional volumes",
}  # fmt: skip
"""What a judge of edits predicts the attribute from."""


SLOPE, SIZE = "response_slope", "ventricle_change_ml"
"""Metrics of table ``manipulation``: mean response of a judge per unit of an edit's amount, and
change of the ventricles' volume."""


@dataclass(frozen=True)
class Finding:
    """One number of a claim: its verdict (``holds``, ``open`` or ``fails``) and the sentence."""

    verdict: str
    text: str
    owed: str = ""
    """Which part of the model is responsible for what holds, as a sentence."""


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

    @property
    def statements(self) -> str:
        """How many statements hold, are open and fail; empty for a single one."""
        parts = count_verdicts(self.tally)
        total = counted(sum(self.tally.values()), "statement")
        if len(parts) == 1:
            (_, words), number = parts[0], f"{sum(self.tally.values()):,}"
            words = f"{total}{words.removeprefix(number)}"
            return "" if number == "1" else words
        return f"{total}: {', '.join(words for _, words in parts)}" if parts else ""


@dataclass(frozen=True)
class Answer:
    """The answer to one of the paper's claims.

    Attributes
    ----------
    claim, question
        What the claim is about, and the claim asked as a question.
    models
        What its numbers say of each model, the paper's first.
    more
        Number of models that are not named.
    """

    claim: str
    question: str
    models: tuple[ModelAnswer, ...]
    more: int

    @property
    def lead(self) -> ModelAnswer | None:
        """The first model with a finding: the paper's where it was evaluated."""
        return next((model for model in self.models if model.findings), None)

    def briefly(self, recommended: str) -> list[ModelAnswer]:
        """What the first screen shows: the first model, and the one of this label."""
        return [m for m in self.models if m is self.lead or (m.label == recommended and m.findings)]


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
    recommended
        Label of the recommended model, and number of its statements by verdict; None where the
        study has none beside the paper's.
    """

    cohort: tuple[str, ...]
    simulated: bool
    answers: tuple[Answer, ...]
    tally: Mapping[str, int]
    basis: str
    recommended: tuple[str, Mapping[str, int]] | None = None


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


def _difference(value: float, number: str, rounded: str, more: str, less: str, than: str) -> str:
    """A difference in the direction in which it goes; none where it is rounded to zero."""
    if not float(rounded):
        return f"differs by {number} from that {than}"
    return f"is {number} {more if value > 0 else less} than {than}"


def _gain(
    what: str, unit: str, digits: str, better: str, worse: str, than: str = "with {}"
) -> _Wording:
    """Sentence about a gain over another method: positive is `better`."""

    def words(row: pd.Series, methods: Methods) -> str:
        # An error gains by falling: the sentence gives the difference in the direction it names.
        number = _value(row, digits, unit, flip=row["value"] < 0)
        other = than.format(methods.label(str(row["against"])))
        rounded = format(row["value"], digits)
        return f"{what} {_difference(row['value'], number, rounded, better, worse, other)}"

    return words


def _growth(row: pd.Series, methods: Methods) -> str:
    edit = EDITS.get(row["task"], f"of {_task(row['task'])}")
    verb = "grow" if row["value"] > 0 else "shrink"
    rho = _value(row, ".2f")
    return f"the ventricles {verb} with the amount of an edit {edit}: Spearman's ρ is {rho}"


def _side_effect(row: pd.Series, methods: Methods) -> str:
    edited, other = _task(row["task"]), _task(row["attribute"])
    times = _value(row, ".2f", " times")
    judge = JUDGES.get(row["judge"], row["judge"])
    return (
        f"edits of {edited} move predicted {other} {times} as far (in SD) as predicted {edited}, "
        f"both judged from {judge}"
    )


def _measured(row: pd.Series, edits: pd.DataFrame, metric: str, *columns: str) -> pd.DataFrame:
    """Rows of a metric of the edits that a verdict is about, alike in these further columns."""
    same = edits["metric"] == metric
    for column in ("method", "split", "task", *columns):
        same &= edits[column] == row[column]
    return edits[same]


def _size(row: pd.Series, edits: pd.DataFrame) -> str:
    """By how much the largest edit changes the ventricles: a rank says nothing about size."""
    rows = _measured(row, edits, SIZE).dropna(subset=["amount", "value"])
    if rows.empty:
        return ""
    largest = rows.sort_values("amount").iloc[-1]
    return f"At the amount {largest['amount']:g} they change by {_value(largest, '.1f', ' ml')}."


def _slopes(row: pd.Series, edits: pd.DataFrame) -> str:
    """Both slopes of a side effect of which there is no ratio; empty if they were not measured."""
    slopes = _measured(row, edits, SLOPE, "judge").drop_duplicates("attribute")
    slopes = slopes.set_index("attribute")
    if not {row["task"], row["attribute"]} <= set(slopes.index):
        return ""
    edited, other = (_value(slopes.loc[row[name]], ".3f", " SD") for name in ("task", "attribute"))
    task, judge = _task(row["task"]), JUDGES.get(row["judge"], row["judge"])
    n = counted(int(row["n_subjects"]), "participant")
    return (
        f"Per unit of their amount, edits of {task} move predicted {task} by {edited} and "
        f"predicted {_task(row['attribute'])} by {other}, both judged from {judge} ({n}). No "
        "verdict: a side effect counts as a share of the former, whose interval is not above zero."
    )


def _skill(row: pd.Series, methods: Methods) -> str:
    # skill is 1 − error / error of the best baseline
    percent = -100 * row[["value", "ci_low", "ci_high"]].astype(float)
    value = percent["value"]
    digits = ".0f" if abs(value) >= WHOLE_PERCENT else ".1f"
    number = _value(percent, digits, " %", flip=value < 0)
    rounded, than = format(value, digits), "with the best baseline"
    said = _difference(value, number, rounded, "larger", "smaller", than)
    return f"the mean squared error of the predicted visit {said}"


def _ratio(row: pd.Series, methods: Methods) -> str:
    return f"reconstruction is {_value(row, '.1f', ' times')} as fast as with the voxel DAE"


def _task(name: object) -> str:
    return TASK_LABELS.get(str(name), str(name))


_Wording = Callable[[pd.Series, Methods], str]


@dataclass(frozen=True)
class _Headline:
    """A number that a claim is summarised by.

    Attributes
    ----------
    metric
        Its statement is the first one of this metric.
    topic
        What it is about, where it could not be judged.
    words
        Its sentence.
    where
        Which row among several.
    required
        The bound in words, where it is not that of no difference.
    unjudged
        What to say of a row without a number, from table ``manipulation``.
    more
        What to add to a row with one, from the same table.
    """

    metric: str
    topic: str
    words: _Wording
    where: Mapping[str, object]
    required: str = ""
    unjudged: Callable[[pd.Series, pd.DataFrame], str] | None = None
    more: Callable[[pd.Series, pd.DataFrame], str] | None = None

    def statement(self) -> Statement:
        return next(s for s in STATEMENTS if s.metric == self.metric)

    def facts(self, row: pd.Series, criteria: Criteria) -> str:
        """Number of participants, and the bound; speed is measured on scans, whosever they are."""
        if self.metric.startswith("speed"):
            return f"({counted(int(row['n_scans']), 'scan')} at a time)"
        bound = f"{abs(self.statement().limit(criteria)):g}"
        required = f"; required: {self.required.format(bound=bound)}" if self.required else ""
        return f"({counted(int(row['n_subjects']), 'participant')}{required})"


_CLAIMS: tuple[tuple[str, str, str, tuple[_Headline, ...]], ...] = (
    (
        "Representation", "Are age and disease predicted better than from voxel PCA?", CODE,
        (
            _Headline(
                "mae_gain", "Prediction of age",
                _gain("the mean absolute error of age", " years", ".2f", "smaller", "larger"), {},
            ),
            _Headline(
                "roc_auc_gain", "Prediction of Alzheimer's disease",
                _gain("the AUC for Alzheimer's disease", "", ".3f", "higher", "lower"), {},
            ),
        ),
    ),
    (
        "Reconstruction", "Is a scan restored as well as the autoencoder allows?", RECONSTRUCTION,
        (
            _Headline(
                "ssim_gain", "Reconstruction",
                _gain(
                    "the SSIM inside the brain", "", ".4f", "higher", "lower", "with the {}"
                ),
                {"region": "mask"}, required="at most {bound} lower",
            ),
        ),
    ),
    (
        "Manipulation", "Does an edit change its attribute, and only that?", MANIPULATION,
        (
            _Headline(
                "ventricle_change_spearman", "Edits of Alzheimer's disease", _growth,
                {"task": AD_VS_CN}, required="at least {bound}", more=_size,
            ),
            _Headline(
                "off_target_ratio", "Side effects of edits", _side_effect,
                {"task": AD_VS_CN, "judge": "volumes"}, required="less than {bound}",
                unjudged=_slopes,
            ),
        ),
    ),
    (
        "Interpolation",
        "Is a missing visit predicted better than by copying or averaging visits?",
        INTERPOLATION,
        (_Headline("skill", "Prediction of a visit", _skill, {"gap_months": None}),),
    ),
    (
        "Speed", "Is it faster than a diffusion autoencoder of voxels (voxel DAE)?", SPEED,
        (_Headline("speed_ratio", "Speed", _ratio, {"operation": "reconstruct"}),),
    ),
)  # fmt: skip


def summarise(
    verdicts: pd.DataFrame | None,
    methods: Methods,
    criteria: Criteria,
    cohort: Cohort,
    left_out: Mapping[str, str],
    edits: pd.DataFrame | None = None,
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
    edits
        Table ``manipulation``, which says how large the effect of edits is, and what was measured
        where there is no verdict on them.
    """
    if verdicts is None:
        reason = left_out.get("table verdicts", "the study has no table of verdicts")
        basis = f"No claim was judged: {reason}."
        return Summary(cohort.sentences(), cohort.simulated, (), {}, basis)
    answers = tuple(
        Answer(name, question, *_answer(claim, headlines, verdicts, methods, criteria, edits))
        for name, question, claim, headlines in _CLAIMS
    )
    recommended = None
    own = verdicts[verdicts["method"] == methods.recommended.name]
    if len(own) and methods.recommended != methods.main:
        recommended = methods.recommended.look.label, _tally(own)
    return Summary(
        cohort.sentences(),
        cohort.simulated,
        answers,
        _tally(verdicts),
        _basis(verdicts),
        recommended,
    )


def _tally(rows: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((rows["verdict"] == verdict).sum()) for verdict in (HOLDS, OPEN, FAILS)}


def count_verdicts(tally: Mapping[str, int]) -> list[tuple[str, str]]:
    """Verdicts and how many statements have each, as words that agree; those of none are omitted.

    >>> count_verdicts({"holds": 1, "open": 2, "fails": 0})
    [('holds', '1 holds'), ('open', '2 are open')]
    """
    one = {HOLDS: "holds", OPEN: "is open", FAILS: "fails"}
    several = {HOLDS: "hold", OPEN: "are open", FAILS: "fail"}
    return [
        (verdict, f"{n:,} {(one if n == 1 else several)[verdict]}")
        for verdict, n in tally.items()
        if n
    ]


def _basis(verdicts: pd.DataFrame) -> str:
    splits = [s for s in verdicts.loc[verdicts["value"].notna(), "split"].unique() if s]
    if not splits:
        return "No number could be judged."
    return " ".join(SPLIT_SENTENCES[split] for split in splits if split in SPLIT_SENTENCES)


def _answer(
    claim: str,
    headlines: tuple[_Headline, ...],
    verdicts: pd.DataFrame,
    methods: Methods,
    criteria: Criteria,
    edits: pd.DataFrame | None,
) -> tuple[tuple[ModelAnswer, ...], int]:
    """What a claim's numbers say of each model, and the number of models that are not named."""
    rows = verdicts[verdicts["claim"] == claim]
    judged = set(rows["method"])
    models = [m for m in methods.select(Role.MODEL).values() if m.name in judged]
    shown = [m for m in models if m.ablation_of is None][:MOST_MODELS] or models[:MOST_MODELS]
    answers = tuple(
        ModelAnswer(
            model.look.label,
            tuple(_findings(headlines, of_model, methods, criteria, edits)),
            _tally(of_model),
        )
        for model in shown
        for of_model in [rows[rows["method"] == model.name]]
    )
    if not answers:
        note = next((str(n) for n in rows["note"] if n), "no model was evaluated")
        finding = Finding(OPEN, f"Not judged: {note}.")
        answers = (ModelAnswer("", (finding,), _tally(rows)),)
    return answers, len(models) - len(shown)


def _findings(
    headlines: tuple[_Headline, ...],
    rows: pd.DataFrame,
    methods: Methods,
    criteria: Criteria,
    edits: pd.DataFrame | None,
) -> Iterator[Finding]:
    """A sentence for each of a claim's main numbers of one model."""
    unjudged: list[str] = []
    for headline in headlines:
        words = headline.statement().words(criteria)
        row = _row(rows[rows["statement"] == words], headline.where)
        if row is None:
            continue
        if pd.isna(row["value"]):
            note, measured = str(row["note"]) or UNKNOWN, ""
            if edits is not None and headline.unjudged:
                measured = headline.unjudged(row, edits)
            if measured or note not in unjudged:
                unjudged.append(note)
                yield Finding(OPEN, measured or f"{headline.topic}: not judged, because {note}.")
            continue
        text = f"{headline.words(row, methods)} {headline.facts(row, criteria)}."
        if edits is not None and headline.more:
            text = f"{text} {headline.more(row, edits)}".rstrip()
        part = "" if pd.isna(row["earned_by"]) else str(row["earned_by"])
        owed = with_labels(describe_part(part), methods) if part else ""
        yield Finding(str(row["verdict"]), f"{text[:1].upper()}{text[1:]}", owed)


def with_labels(text: str, methods: Methods) -> str:
    """`text` of a table with the labels of methods in place of their names.

    Names that are words, such as ``prior``, are taken for names in brackets only.
    """

    def label(found: re.Match[str]) -> str:
        name = found[0].strip("()")
        return found[0].replace(name, methods.label(name)) if name in methods else found[0]

    return re.sub(r"\(\w+\)|\b\w+_\w+\b", label, text)


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
