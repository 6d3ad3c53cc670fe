"""The study's report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from ldae.errors import InputError
from ldae.figures.theme import TASK_LABELS
from ldae.figures.verdicts import FACES
from ldae.methods import Methods
from ldae.provenance.audit import Level, Verdict
from ldae.provenance.ledger import Scoring, describe_scorings, ledger_table
from ldae.report.effort import SHOWN_PROBLEMS, Effort, Problem, RuleEffort
from ldae.report.links import media_type
from ldae.report.scans import ScanCard
from ldae.report.summary import (
    RULE_OF_VERDICTS,
    SIMULATED,
    SUBJECT,
    Summary,
    count_verdicts,
    with_labels,
)
from ldae.report.writeup import MethodsText
from ldae.statistics.tables import blocks, caption_facts, notes_of, read_table, readable
from ldae.wording import counted

TEMPLATE, STYLE, SCRIPT = "report.html.j2", "report.css", "report.js"


class Section(NamedTuple):
    """A section of the report; the registered figures and tables name theirs by its anchor."""

    anchor: str
    title: str
    text: str


class Picture(NamedTuple):
    """A figure: its picture, the anchor of its section, its caption, and where it comes from.

    ``files`` are paths beside the page, by what they are called there
    (:func:`ldae.report.links.links_of`), and ``code`` is what drew it. ``scene`` of the viewer
    shows the same volumes, if there is one.
    """

    path: Path
    section: str
    caption: str
    origin: str
    files: Mapping[str, str]
    code: str
    scene: str = ""


class TableFile(NamedTuple):
    """A table (:mod:`ldae.statistics.tables`): its file, the anchor of its section, its title.

    ``files`` are paths beside the page, by what they are called there.
    """

    path: Path
    section: str
    title: str
    files: Mapping[str, str]


SECTIONS = (
    Section(
        "claims",
        "The paper's claims",
        "Statements that the study's numbers can refute come first, each with its verdict. Then "
        "follows each claim by two protocols: the paper's own, and the workflow's, which scores "
        "inside the brain and against the original scans, with patients as the positive class. "
        "The last tables give the gain of each model over every other method on the same "
        "participants.",
    ),
    Section(
        "cohort",
        "Cohort and quality control",
        "Who was scanned, and what preprocessing made of the scans. The excluded scans and the "
        "reasons are in qc/qc.tsv.",
    ),
    Section(
        "training",
        "Training",
        "The losses of the networks by step, and how long each training took.",
    ),
    Section(
        "reconstruction",
        "Reconstruction",
        "From its semantic and stochastic codes together, a scan should be restored up to what "
        "the autoencoder loses. Decoding the semantic code alone shows what that code holds.",
    ),
    Section(
        "probes",
        "What the code encodes",
        "Linear probes of the semantic code, against simpler codes and, where the truth is known, "
        "against the true volumes. Standardisation and regularisation come from training "
        "participants only.",
    ),
    Section(
        "manipulation",
        "Manipulation",
        "Moving the code along the direction of disease or age should change the anatomy that "
        "disease or age changes, in proportion to the amount, and leave other attributes and the "
        "participant's identity unchanged. The paper's edits go along the weights of a probe, "
        "those of the recommended model along an attribute's effect on the code, and move anatomy.",
    ),
    Section(
        "interpolation",
        "Interpolation",
        "A visit between two other visits of the same participant is predicted by each model and "
        "compared with the original scan of that visit. The baselines, called trivial answers "
        "in figures and tables, copy the nearer visit or average the two.",
    ),
    Section(
        "throughput",
        "Throughput",
        "Time and memory per scan, in latent space and in voxel space.",
    ),
)
"""Sections of the report in order."""

NAMED_METHODS = ("method", "against", "network")
"""Columns that hold methods."""

NAMED_CONDITIONS = ("task", "attribute", "judge", "operation")
"""Columns that hold names of other things."""

EARNED_BY = "earned_by"
"""Column of parts of models; one names a method in brackets."""

SPELLED = {
    "auc": "AUC", "cm2": "(cm²)", "cn": "CN", "dice": "Dice", "f1": "F1", "lpips": "LPIPS",
    "mae": "MAE", "mb": "(MB)", "mcc": "MCC", "ml": "(ml)", "mse": "MSE", "ms": "MS",
    "psnr": "PSNR", "r2": "R²", "rmse": "RMSE", "roc": "ROC", "ssim": "SSIM", "std": "SD",
}  # fmt: skip
"""Words of column names that are spelled otherwise."""

HEADINGS = {
    "earned_by": "due to", "mae": "MAE (years)", "mae_gain": "MAE gain (years)",
    "psnr": "PSNR (dB)", "rmse": "RMSE (years)",
}  # fmt: skip
"""Columns that are called otherwise, or whose unit is not in their name: years are those of age."""

HYPHEN_FOR_MINUS = re.compile(r"(?<![\w.])-(?=\d)")

OPEN_TABLE_ROWS = 20
"""Tables up to this length are shown unfolded."""

SHOWN_FINDINGS = 20
"""So many findings of the audit are shown."""


@dataclass(frozen=True)
class Contents:
    """What the report says of a study.

    Attributes
    ----------
    summary
        The first screen.
    figures, tables
        What is shown, by name; in a section in this order.
    methods
        The study's methods, for their names.
    text
        The methods section for a paper.
    scans, measures
        Scans to look at, and their measures of quality control.
    effort
        What the study took.
    left_out
        What the plan left out, and why.
    notices
        What was left out or decided when the cohort was read: kind, subject, session, notice.
    config
        The resolved configuration; its ``title`` heads the report.
    provenance
        Facts about the run as text (commit, dirty flag, versions, time, …); keys are shown as they
        are.
    audit
        Audit of everything before the report.
    scorings
        Every time that the test participants were scored.
    """

    summary: Summary
    figures: Mapping[str, Picture]
    tables: Mapping[str, TableFile]
    methods: Methods
    text: MethodsText
    scans: Sequence[ScanCard]
    measures: pd.DataFrame
    effort: Effort
    left_out: Mapping[str, str]
    notices: pd.DataFrame
    config: Mapping[str, Any]
    provenance: Mapping[str, str]
    audit: Verdict
    scorings: Sequence[Scoring]


def build_report(contents: Contents, out: Path) -> None:
    """Write the report; sections without figures and tables are omitted.

    Parameters
    ----------
    contents
        What it says.
    out
        HTML file to write.

    Raises
    ------
    InputError
        If a figure or table names no section of the report, or cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["linked"] = _linker(card.scan for card in contents.scans)
    config, shown = contents.config, ("study", "commit", "made")
    page = environment.get_template(TEMPLATE).render(
        title=str(config.get("title") or "Latent diffusion autoencoder study"),
        headline={k: contents.provenance[k] for k in shown if k in contents.provenance},
        style=STYLE,
        script=SCRIPT,
        subject=SUBJECT,
        warning=SIMULATED,
        rule=RULE_OF_VERDICTS,
        counted=counted,
        counts=count_verdicts,
        colors=FACES,
        summary=contents.summary,
        text=contents.text,
        effort=contents.effort,
        effort_rows=[_effort_row(rule) for rule in contents.effort.rules],
        problems=[_problem_row(one) for one in contents.effort.problems[:SHOWN_PROBLEMS]],
        scans=[_scan(card) for card in contents.scans],
        measures=contents.measures.rename(columns=_heading),
        sections=_sections(contents.figures, contents.tables, contents.methods),
        left_out=dict(contents.left_out),
        notices=contents.notices[["kind", "notice"]].to_numpy().tolist(),
        provenance=dict(contents.provenance),
        audit=_audit(contents.audit),
        final=bool(config["final"]),
        scored=describe_scorings(contents.scorings, final=bool(config["final"])),
        ledger=ledger_table(contents.scorings).rename(columns=_heading),
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )
    Path(out).write_text(page, encoding="utf-8")


def _sections(
    figures: Mapping[str, Picture], tables: Mapping[str, TableFile], methods: Methods
) -> list[dict[str, Any]]:
    """What the template needs of every section that shows something.

    Raises
    ------
    InputError
        If a figure or table names no section of the report.
    """
    anchors = {section.anchor for section in SECTIONS}
    named = {name: figure.section for name, figure in figures.items()}
    for name, anchor in (named | {name: table.section for name, table in tables.items()}).items():
        if anchor not in anchors:
            raise InputError(name, f"there is no section {anchor}", "Add it to SECTIONS")
    figure_numbers, table_numbers = count(1), count(1)
    sections = []
    for section in SECTIONS:
        pictures = [
            {"name": name, "number": next(figure_numbers), "source": _embedded(one.path)}
            | {key: getattr(one, key) for key in ("caption", "origin", "files", "code", "scene")}
            | {"brief": one.caption.partition(". ")[0].rstrip(".")}
            for name, one in figures.items()
            if one.section == section.anchor
        ]
        parts = [
            part | {"number": next(table_numbers), "files": one.files}
            for one in tables.values()
            if one.section == section.anchor
            for part in _tables(one, methods)
        ]
        if pictures or parts:
            sections.append({**section._asdict(), "figures": pictures, "tables": parts})
    return sections


def _scan(card: ScanCard) -> dict[str, Any]:
    """What the template needs of a scan."""
    strips = [
        {key: getattr(strip, key) for key in ("title", "caption", "scene", "files")}
        | {"source": _data_uri(strip.picture, "image/png")}
        for strip in card.strips
    ]
    picture = _embedded(card.preview) if card.preview else ""
    return {"card": card, "picture": picture, "strips": strips}


def _linker(scans: Iterable[str]) -> Callable[[object], Markup]:
    """Function that turns text into HTML in which the names of these scans are links."""
    names = "|".join(map(re.escape, sorted(scans, key=len, reverse=True)))
    name = re.compile(rf"(?<![\w-])({names})(?![\w-])") if names else None

    def linked(text: object) -> Markup:
        safe = str(escape(str(text)))
        found = name.sub(r'<a href="#scan-\1">\1</a>', safe) if name else safe
        return Markup(found)  # noqa: S704  escaped above

    return linked


def _embedded(picture: Path) -> str:
    """The picture as a data URI."""
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        raise InputError(picture, "cannot be read", "Run the rule that draws it.") from error
    return _data_uri(data, media_type(Path(picture)))


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _tables(one: TableFile, methods: Methods) -> list[dict[str, Any]]:
    """What the template needs of a table, part by part."""
    return [
        _shown(_table_title(one.title, title), part, methods)
        for title, part in blocks(read_table(one.path))
    ]


def _table_title(title: str, part: str) -> str:
    return f"{title}: {_heading(part) if part in TASK_LABELS else part}" if part else title


def _heading(column: str) -> str:
    """Name of a column or condition for readers."""
    known = TASK_LABELS | HEADINGS
    if column in known:
        return known[column]
    return " ".join(SPELLED.get(word, word) for word in column.replace("_", " ").split())


def _shown(name: str, table: pd.DataFrame, methods: Methods) -> dict[str, Any]:
    """What the template needs of one part of a table."""
    wide = readable(table)
    for column in set(NAMED_METHODS) & set(wide.columns):
        wide[column] = wide[column].map(methods.label)
    for column in set(NAMED_CONDITIONS) & set(wide.columns):
        wide[column] = wide[column].map(_heading)
    if EARNED_BY in wide:
        wide[EARNED_BY] = [with_labels(part, methods) for part in wide[EARNED_BY]]
    return {
        "title": name,
        "facts": caption_facts(table, methods.label),
        "columns": [_heading(str(c)) for c in wide.columns],
        "rows": [[_typeset(cell) for cell in row] for row in wide.astype(str).to_numpy()],
        "notes": [with_labels(note, methods) for note in notes_of(table, _heading)],
        "open": len(wide) <= OPEN_TABLE_ROWS,
    }


def _typeset(cell: str) -> str:
    """A cell with minus signs before its numbers.

    >>> _typeset("-0.060 [-0.068, 0.053]"), _typeset("sub-01")
    ('−0.060 [−0.068, 0.053]', 'sub-01')
    """
    return HYPHEN_FOR_MINUS.sub("−", cell)


def _effort_row(rule: RuleEffort) -> list[str]:
    """Cells of a rule in the table of run times."""
    return [
        rule.rule,
        f"{rule.jobs:,}",
        f"{rule.attempts:,}",
        f"{rule.failed:,}",
        f"{rule.seconds:,.0f}",
        f"{rule.longest:,.0f}",
        f"{rule.memory_gib:.2f}",
        f"{rule.gpu_gib:.2f}" if rule.gpu_gib else "–",
        f"{rule.gpu_hours:.2f}" if rule.gpu_hours else "–",
    ]


def _problem_row(one: Problem) -> list[str]:
    """Cells of an attempt that failed."""
    return [one.case, one.when, one.reason, "repeated" if one.repeated else "not repeated"]


def _audit(verdict: Verdict) -> dict[str, Any]:
    """What the template needs of an audit."""
    return {
        "summary": verdict.summary,
        "passed": verdict.passed,
        "columns": ["check", "looked at", *map(str, Level)],
        "rows": [
            [check.name, check.looked_at, *(check.count(level) for level in Level)]
            for check in verdict.checks
        ],
        "findings": [
            [str(one.level), one.file, f"expected {one.expected}; found {one.found}"]
            for one in verdict.findings[:SHOWN_FINDINGS]
        ],
        "more": max(0, len(verdict.findings) - SHOWN_FINDINGS),
    }
