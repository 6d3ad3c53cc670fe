"""The works that a methods text cites, as CSL-JSON (``literature.json``) and as BibTeX."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

Work = Mapping[str, Any]
"""An item of CSL-JSON."""

OTHERS = "others"
"""Last author of a work whose authors are not all listed, as BibTeX has it."""

ENTRY_TYPES = {
    "article-journal": "article", "paper-conference": "inproceedings", "article": "misc",
    "book": "book", "software": "software",
}  # fmt: skip
"""Types of CSL, and those of BibTeX."""

FIELDS = {
    "volume": "volume", "issue": "number", "page": "pages", "publisher": "publisher",
    "DOI": "doi", "version": "version", "URL": "url",
}  # fmt: skip
"""Variables of CSL, and fields of BibTeX."""

SPECIAL = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_"}


def read_literature() -> dict[str, Work]:
    """Every work by its key."""
    text = (files(__package__) / "literature.json").read_text(encoding="utf-8")
    return {work["id"]: work for work in json.loads(text)}


def year_of(work: Work) -> int:
    """Year of publication."""
    return int(work["issued"]["date-parts"][0][0])


def short_citation(work: Work) -> str:
    """Authors and year as they stand in a text, ``Ho et al., 2020``."""
    names = [a.get("family") or a["literal"] for a in work["author"]]
    if len(names) > 2 or OTHERS in names:
        return f"{names[0]} et al., {year_of(work)}"
    return f"{' & '.join(names)}, {year_of(work)}"


def full_citation(work: Work) -> str:
    """An entry of a list of references, as one line of text."""
    names = [
        "et al." if a.get("literal") == OTHERS else a.get("literal") or _initials(a)
        for a in work["author"]
    ]
    parts = ("container-title", "publisher", "volume", "number")
    place = " ".join(str(work[part]) for part in parts if part in work)
    pages = f": {work['page'].replace('-', '–')}" if "page" in work else ""
    version = f" Version {work['version']}." if "version" in work else ""
    source = f" {place}{pages}." if place else ""
    return f"{', '.join(names).rstrip('.')}. {year_of(work)}. {work['title']}.{source}{version}"


def _initials(author: Mapping[str, str]) -> str:
    initials = "".join(part[0] for part in author["given"].replace("-", " ").split())
    return f"{author['family']} {initials}"


def as_csl(works: Iterable[Work]) -> str:
    """The works as CSL-JSON, for reference managers and Pandoc."""
    plain = [
        {**work, "author": [a for a in work["author"] if a.get("literal") != OTHERS]}
        for work in works
    ]
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def as_bibtex(works: Iterable[Work]) -> str:
    """The works as BibTeX; for ``software`` BibLaTeX is needed, BibTeX takes it for ``misc``."""
    return "\n".join(_entry(work) for work in works)


def _entry(work: Work) -> str:
    authors = " and ".join(
        OTHERS
        if a.get("literal") == OTHERS
        else f"{{{a['literal']}}}"
        if "literal" in a
        else f"{a['family']}, {a['given']}"
        for a in work["author"]
    )
    kind = ENTRY_TYPES[work["type"]]
    fields = {"author": authors, "title": f"{{{work['title']}}}", "year": str(year_of(work))}
    if "container-title" in work:
        place = {"article": "journal", "inproceedings": "booktitle"}.get(kind, "howpublished")
        number = f" {work['number']}" if "number" in work else ""
        fields[place] = f"{work['container-title']}{number}"
    for variable, name in FIELDS.items():
        if variable in work:
            fields[name] = str(work[variable])
    fields = {k: v if k in ("doi", "url") else _escaped(v) for k, v in fields.items()}
    if "page" in work:
        fields["pages"] = fields["pages"].replace("-", "--")
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@{kind}{{{work['id']},\n{lines}\n}}\n"


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
