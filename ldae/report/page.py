"""The study's report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from ldae.errors import InputError
from ldae.figures.theme import TASK_LABELS, label_of
from ldae.provenance.audit import Level, Verdict
from ldae.statistics.tables import blocks, caption_facts, notes_of, read_table, readable

TEMPLATE = "report.html.j2"


class Section(NamedTuple):
    """A section of the report: which figures and tables stand in it, in order.

    Variants of a figure, with a suffix to its name, follow it.
    """

    anchor: str
    title: str
    text: str
    figures: tuple[str, ...]
    tables: tuple[str, ...]


SECTIONS = (
    Section(
        "claims",
        "The paper's claims",
        "First what holds: statements that the study's numbers can refute. Then each claim by the "
        "paper's own protocol and by the workflow's, which scores inside the brain, against real "
        "scans, with patients as the positive class; and what the model gains over every other "
        "method on the same people.",
        ("verdicts", "comparisons"),
        ("verdicts", "claims", "comparisons"),
    ),
    Section(
        "cohort",
        "Cohort and quality control",
        "Who was scanned, and what preprocessing made of it. Excluded scans are in the table of "
        "quality control.",
        ("cohort", "qc", "volumes"),
        ("volumes",),
    ),
    Section(
        "training",
        "Training",
        "How the networks learned, and how long they took.",
        ("training",),
        (),
    ),
    Section(
        "reconstruction",
        "Reconstruction",
        "A scan's semantic and stochastic codes together should bring it back up to what the "
        "autoencoder loses; the semantic code alone shows what it knows.",
        ("reconstruction", "reconstruction_steps", "stochastic"),
        ("reconstruction", "stochastic"),
    ),
    Section(
        "probes",
        "What the code knows",
        "Linear probes of the semantic code, against simpler codes and, where the truth is known, "
        "against the true volumes. Standardisation and regularisation come from training people "
        "only.",
        ("roc", "age"),
        ("probes", "ablations"),
    ),
    Section(
        "manipulation",
        "Manipulation",
        "Moving the code along a probe's direction should change the anatomy that disease or age "
        "changes, in proportion, and leave the rest and the person alone. Targeted edits of the "
        "joint variant go along an attribute's effect on people's codes and hold the probes of the "
        "other attributes.",
        ("manipulation", "dose_response", "edit_maps", "edit_fidelity"),
        ("manipulation",),
    ),
    Section(
        "interpolation",
        "Interpolation",
        "A visit between two visits of one person, by the LDAE and by a learned residual on the "
        "voxel average, against the real scan of that visit and the trivial answers: copying the "
        "nearer visit, averaging voxels, averaging latents.",
        ("interpolation_sequence", "interpolation_gap"),
        ("interpolation",),
    ),
    Section(
        "throughput",
        "Throughput",
        "What the latent space buys in seconds and memory against a diffusion autoencoder in "
        "voxels.",
        ("throughput",),
        ("throughput",),
    ),
)
TABLE_TITLES = {
    "verdicts": "What holds",
    "claims": "The paper's claims",
    "comparisons": "Paired gains of the models over every other method",
    "volumes": "Measured against reference volumes",
    "reconstruction": "Reconstruction by method and sampler steps",
    "stochastic": "Decodings of one semantic code",
    "probes": "Linear probes of every code",
    "ablations": "Ablations",
    "manipulation": "Edits of the semantic code",
    "interpolation": "Filled-in visits by method, gap and distance",
    "throughput": "Time and memory per scan",
}
"""Title of each table; a part of a table adds its own."""

NAMED_METHODS = ("method", "against", "network")
"""Columns that hold methods."""

NAMED_CONDITIONS = ("task", "attribute", "judge", "operation")
"""Columns that hold names of other things."""

SPELLED = {
    "auc": "AUC", "cn": "CN", "f1": "F1", "lpips": "LPIPS", "mae": "MAE", "mb": "(MB)",
    "mcc": "MCC", "ml": "(ml)", "mse": "MSE", "ms": "MS", "psnr": "PSNR", "r2": "R²",
    "rmse": "RMSE", "roc": "ROC", "ssim": "SSIM", "std": "deviation",
}  # fmt: skip
"""Words of column names that are spelled otherwise."""

OPEN_TABLE_ROWS = 20
"""Tables up to this length are shown unfolded."""

SHOWN_FINDINGS = 20
"""So many findings of the audit are shown."""


def build_report(
    figures: Mapping[str, Path],
    tables: Mapping[str, Path],
    captions: Mapping[str, str],
    origins: Mapping[str, str],
    qc_png: Path | None,
    left_out: Mapping[str, str],
    config: Mapping[str, Any],
    provenance: Mapping[str, str],
    audit: Verdict,
    out: Path,
) -> None:
    """Write the report; sections without figures and tables are left away.

    Parameters
    ----------
    figures
        PNG of each figure by name.
    tables
        TSV of each table by name (:mod:`ldae.statistics.tables`).
    captions
        Caption of each figure.
    origins
        What the records tell of each figure (:mod:`ldae.provenance.origin`), ``qc`` among them if
        there is an overview.
    qc_png
        Overview of quality control, None if there is none.
    left_out
        What the plan left out, and why.
    config
        The resolved configuration; its ``title`` heads the report.
    provenance
        Facts about the run as text (commit, dirty flag, versions, time, …); keys are shown as they
        are.
    audit
        Audit of everything before the report.
    out
        HTML file to write.

    Raises
    ------
    InputError
        If a figure has no caption or origin, or no section shows a figure or table.
    """
    pictures = dict(figures)
    texts = dict(captions)
    if qc_png is not None:
        pictures["qc"] = qc_png
        texts.setdefault("qc", "Quality control: preprocessed scans with their brain masks.")
    for given, kind in ((texts, "caption"), (origins, "origin")):
        without = sorted(set(pictures) - set(given))
        if without:
            raise InputError(pictures[without[0]], f"has no {kind}", "Give it one.")
    sections = _sections(pictures, tables, texts, origins)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template(TEMPLATE).render(
        title=str(config.get("title") or "Latent diffusion autoencoder study"),
        headline={k: v for k, v in provenance.items() if k in ("commit", "made", "study")},
        sections=sections,
        left_out=dict(left_out),
        provenance=dict(provenance),
        audit=_audit(audit),
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )
    Path(out).write_text(page, encoding="utf-8")


def _sections(
    pictures: Mapping[str, Path],
    tables: Mapping[str, Path],
    captions: Mapping[str, str],
    origins: Mapping[str, str],
) -> list[dict[str, Any]]:
    """What the template needs of every section that shows something.

    Raises
    ------
    InputError
        If no section shows a figure or table.
    """
    of_sections = [
        (
            section,
            _with_variants(section.figures, pictures),
            [t for t in section.tables if t in tables],
        )
        for section in SECTIONS
    ]
    shown = {name for _, figures, names in of_sections for name in (*figures, *names)}
    if forgotten := sorted((set(pictures) | set(tables)) - shown):
        raise InputError(forgotten[0], "belongs to no section", "Add it to SECTIONS in report.py.")
    figure_numbers, table_numbers = count(1), count(1)
    sections = []
    for section, figures, names in of_sections:
        in_section = [
            {
                "name": name,
                "number": next(figure_numbers),
                "caption": captions[name],
                "origin": origins[name],
                "source": _embedded(pictures[name]),
            }
            for name in figures
        ]
        in_tables = [
            part | {"number": next(table_numbers)}
            for name in names
            for part in _tables(name, Path(tables[name]))
        ]
        if in_section or in_tables:
            sections.append(
                {
                    "anchor": section.anchor,
                    "title": section.title,
                    "text": section.text,
                    "figures": in_section,
                    "tables": in_tables,
                }
            )
    return sections


def _with_variants(names: tuple[str, ...], pictures: Mapping[str, Path]) -> list[str]:
    """Names that have a picture, each followed by its variants (``manipulation_age``)."""
    of_sections = {name for section in SECTIONS for name in section.figures}
    found = []
    for name in names:
        found += [name] if name in pictures else []
        found += sorted(p for p in pictures if p.startswith(f"{name}_") and p not in of_sections)
    return found


def _embedded(picture: Path) -> str:
    """The picture as a data URI."""
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        raise InputError(picture, "cannot be read", "Run the rule that draws it.") from error
    kind = "svg+xml" if Path(picture).suffix == ".svg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _tables(name: str, path: Path) -> list[dict[str, Any]]:
    """What the template needs of a table, part by part."""
    table = read_table(path)
    return [_shown(_table_title(name, title), part) for title, part in blocks(table)]


def _table_title(name: str, part: str) -> str:
    title = TABLE_TITLES.get(name, name)
    return f"{title}: {_heading(part) if part in TASK_LABELS else part}" if part else title


def _heading(column: str) -> str:
    """Name of a column or condition for people."""
    if column in TASK_LABELS:
        return TASK_LABELS[column]
    return " ".join(SPELLED.get(word, word) for word in column.replace("_", " ").split())


def _shown(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """What the template needs of one part of a table."""
    wide = readable(table)
    for column in set(NAMED_METHODS) & set(wide.columns):
        wide[column] = wide[column].map(label_of)
    for column in set(NAMED_CONDITIONS) & set(wide.columns):
        wide[column] = wide[column].map(_heading)
    return {
        "title": name,
        "facts": caption_facts(table, label_of),
        "columns": [_heading(str(c)) for c in wide.columns],
        "rows": wide.astype(str).to_numpy().tolist(),
        "notes": notes_of(table, _heading),
        "open": len(wide) <= OPEN_TABLE_ROWS,
    }


def _audit(verdict: Verdict) -> dict[str, Any]:
    """What the template needs of an audit."""
    return {
        "summary": verdict.summary,
        "columns": ["check", "looked at", *map(str, Level)],
        "rows": [
            [check.name, check.looked_at, *(check.count(level) for level in Level)]
            for check in verdict.checks
        ],
        "findings": [
            {
                "level": str(finding.level),
                "file": finding.file,
                "text": f"expected {finding.expected}; found {finding.found}",
            }
            for finding in verdict.findings[:SHOWN_FINDINGS]
        ],
        "more": max(0, len(verdict.findings) - SHOWN_FINDINGS),
    }
