"""A methods section for a paper, written from the settings and records of a study."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ldae import __version__
from ldae.methods import Methods, Role
from ldae.paths import WORKFLOW
from ldae.provenance.history import History
from ldae.report.cohort import Cohort
from ldae.report.literature import (
    Work,
    as_bibtex,
    as_csl,
    full_citation,
    read_literature,
    short_citation,
)

TEMPLATE = "methods.md.j2"
PLAIN_FROM = 1e-4
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

TRAININGS = ("train_network", "train_followed")
"""Rules that train a network."""

SECOND_ORDER = ":MULTISTEP"
"""End of the reference of the second-order sampler; the whole would tie its code to the report."""

SELF = "ldae_workflow"
"""Key of the workflow itself among the works."""

CITED_SOFTWARE = {
    "snakemake": "molder2021", "torch": "paszke2019", "monai": "cardoso2022",
    "scikit-learn": "pedregosa2011", "simpleitk": "lowekamp2013", "numpy": "harris2020",
    "scipy": "virtanen2020", "deepbet": "fisch2024",
}  # fmt: skip
"""Packages whose authors ask to be cited, and their works."""

SOFTWARE_NAMES = {
    "python": "Python", "snakemake": "Snakemake", "torch": "PyTorch", "monai": "MONAI",
    "numpy": "NumPy", "scipy": "SciPy", "scikit-learn": "scikit-learn", "simpleitk": "SimpleITK",
    "pandas": "pandas", "nibabel": "NiBabel", "nilearn": "Nilearn", "deepbet": "deepbet",
    "matplotlib": "Matplotlib",
}  # fmt: skip
"""Packages that a methods section names, as they spell themselves."""


@dataclass(frozen=True)
class Heading:
    """A heading of the methods text, as HTML."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of the methods text, as HTML."""

    html: str


@dataclass(frozen=True)
class MethodsText:
    """The methods section of a study.

    Attributes
    ----------
    markdown
        As Markdown with citations for Pandoc, ``[@ho2020]``.
    blocks
        The same for a page, in order.
    works
        Works that it cites, in the order of their first citation.
    software
        Version of every package that a job has used.
    """

    markdown: str
    blocks: tuple[Heading | Paragraph, ...]
    works: tuple[Work, ...]
    software: Mapping[str, str]

    @property
    def references(self) -> list[tuple[str, str, str]]:
        """Key, line and DOI (or nothing) of each work, by the first author's name."""
        lines = [(str(w["id"]), full_citation(w), str(w.get("DOI", ""))) for w in self.works]
        return sorted(lines, key=lambda line: line[1].casefold())

    @property
    def how_to_cite(self) -> list[str]:
        """The workflow and the paper whose method it computes."""
        by_key = {work["id"]: work for work in self.works}
        return [full_citation(by_key[key]) for key in (SELF, "lozupone2026")]

    def write(self, markdown: Path, bibtex: Path, csl: Path) -> None:
        """Write the text and its works."""
        markdown.write_text(self.markdown, encoding="utf-8")
        bibtex.write_text(as_bibtex(self.works), encoding="utf-8")
        csl.write_text(as_csl(self.works), encoding="utf-8")


def software_of(history: History) -> dict[str, str]:
    """Version of each package that any current job has used; several are listed."""
    found: dict[str, set[str]] = {}
    for job in history.current:
        for name, version in (job.record.get("software") or {}).items():
            found.setdefault(name, set()).add(version)
    return {name: " and ".join(sorted(versions)) for name, versions in sorted(found.items())}


def trained_networks(history: History) -> set[str]:
    """Names of the networks whose training has completed, by the records."""
    trainings = (job for job in history.current if job.rule in TRAININGS)
    return {job.wildcards["network"] for job in trainings}


def write_methods(
    config: Mapping[str, Any],
    cohort: Cohort,
    methods: Methods,
    networks: Collection[str],
    evaluations: Collection[str],
    software: Mapping[str, str],
    made: datetime,
) -> MethodsText:
    """Write a study's methods section.

    Parameters
    ----------
    config
        The resolved settings.
    cohort
        Who was studied.
    methods
        The study's methods.
    networks
        Names of the trained networks.
    evaluations
        Names of the tables that the study has: they show what was evaluated.
    software
        Version of each package.
    made
        When, for the year of the workflow's own entry.
    """
    library = {**read_literature(), SELF: _workflow(made)}
    cited: dict[str, Work] = {}

    def markdown(*keys: str) -> str:
        cited.update({key: library[key] for key in keys})
        return "[" + "; ".join(f"@{key}" for key in keys) + "]"

    def page(*keys: str) -> str:
        links = (f'<a href="#ref-{k}">{escape(short_citation(library[k]))}</a>' for k in keys)
        return f"({'; '.join(links)})"

    facts = {
        "c": config,
        "cohort": cohort,
        **_facts_of(methods),
        "power": _power,
        "starts": _starts(config),
        "networks": set(networks),
        "evaluations": set(evaluations),
        "software": [
            (label, software[name], CITED_SOFTWARE.get(name, ""))
            for name, label in SOFTWARE_NAMES.items()
            if name in software
        ],
        "version": __version__,
    }
    text = _render(facts, markdown)
    blocks = [b.strip() for b in _render(facts, page, autoescape=True).split("\n\n") if b.strip()]
    return MethodsText(
        markdown=text,
        blocks=tuple(
            Heading(b.removeprefix("## ")) if b.startswith("## ") else Paragraph(b) for b in blocks
        ),
        works=tuple(cited.values()),
        software=software,
    )


def _facts_of(methods: Methods) -> dict[str, Any]:
    """What the template says of the study's methods, by their labels."""
    interpolating = methods.select(evaluation="interpolation").values()
    return {
        "methods": methods,
        "models": list(methods.select(Role.MODEL).values()),
        "multistep": [
            m.look.label
            for m in methods.values()
            if m.sampler and m.sampler.endswith(SECOND_ORDER) and m.part_of is None
        ],
        "fills_in": [m.look.label for m in interpolating if m.fills_in],
        "baselines": [m.look.label for m in methods.select(Role.BASELINE).coded().values()],
        "harmonised": {m.name.rpartition("_")[2] for m in methods.select(Role.HARMONISED).values()},
    }


def _starts(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sections of networks by what became of the weights of another study's model.

    Empty for a study that starts from no model.
    """
    if not config.get("pretrained"):
        return {}
    starts = {
        name: section["start"]
        for name, section in config.items()
        if isinstance(section, Mapping) and "start" in section
    }
    hows = ("pretrained", "frozen", "scratch")
    return {how: [name for name, start in starts.items() if start == how] for how in hows}


def _power(value: float) -> str:
    """A positive setting as text; a small one as a power of ten.

    >>> _power(0.002), _power(1e-8), _power(2.5e-6)
    ('0.002', '10⁻⁸', '2.5 × 10⁻⁶')
    """
    if value == 0 or value >= PLAIN_FROM:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    ten = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return ten if float(mantissa) == 1 else f"{float(mantissa):g} × {ten}"


class _Html(str):
    """HTML that a template takes as it is."""

    def __html__(self) -> str:
        return self


def _render(facts: Mapping[str, Any], cite: Callable[..., str], *, autoescape: bool = False) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,  # noqa: S701  the page is escaped, Markdown is not
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(TEMPLATE)

    def marked(*keys: str) -> _Html:
        return _Html(cite(*keys))

    paragraphs = template.render(**facts, cite=marked).split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip()) + "\n"


def _workflow(made: datetime) -> Work:
    """The workflow itself as a work, from its ``CITATION.cff``."""
    facts = yaml.safe_load((WORKFLOW / "CITATION.cff").read_text(encoding="utf-8"))
    authors = [
        {"literal": a["name"]}
        if "name" in a
        else {"family": a["family-names"], "given": a["given-names"]}
        for a in facts["authors"]
    ]
    url = {"URL": facts["repository-code"]} if "repository-code" in facts else {}
    return {
        "id": SELF,
        "type": "software",
        "author": authors,
        "issued": {"date-parts": [[made.year]]},
        "title": facts["title"],
        "version": facts["version"],
        **url,
    }
