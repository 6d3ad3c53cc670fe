"""What is made from the settings' models: schema, comments of config.yaml, and reference page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from ldae.errors import InputError
from ldae.workflow.settings.completion import completed
from ldae.workflow.settings.files import LOADER, read_nodes, spell
from ldae.workflow.settings.study import StudySettings
from ldae.workflow.settings.wording import (
    Schema,
    default_in_words,
    in_yaml,
    meaning,
    range_in_words,
    resolve,
    schema_at,
    summary,
    type_in_words,
)

CONFIG = Path("config.yaml")
SCHEMA = Path("schemas/config.schema.yaml")
PAGE = Path("docs/reference/settings.md")

MADE_BY = "Made by `make settings` from ldae/workflow/settings; change it there."

COMMENT_COLUMN = 32
"""Column of comments in config.yaml; those of longer lines follow two spaces later."""

LINE_WIDTH = 120
"""Widest line of config.yaml."""


def make_documents(folder: Path) -> dict[Path, str]:
    """Texts of the files that are made from the models, by path below the repository.

    Parameters
    ----------
    folder
        The repository. Order, spacing and spelling of the values in its ``config.yaml`` are kept.

    Raises
    ------
    InputError
        If ``config.yaml`` has an unknown setting, or one that has not its default.
    """
    return {SCHEMA: schema_text(), CONFIG: commented(folder / CONFIG), PAGE: reference_page()}


def json_schema() -> Schema:
    """JSON schema of the settings, for editors; no setting is required."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return cast(Schema, _without_titles(schema | StudySettings.model_json_schema()))


def _without_titles(node: Any) -> Any:
    """A schema without the titles that repeat the names of its keys."""
    if isinstance(node, dict):
        kept = {k: v for k, v in node.items() if k != "title" or not isinstance(v, str)}
        return {key: _without_titles(value) for key, value in kept.items()}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node


def schema_text() -> str:
    """The JSON schema as YAML."""
    text = yaml.safe_dump(json_schema(), sort_keys=False, allow_unicode=True, width=LINE_WIDTH)
    return (
        f"# {MADE_BY}\n# Editors check settings by it: see the first line of config.yaml.\n{text}"
    )


class _Line(NamedTuple):
    """A line of config.yaml that gets a comment."""

    number: int
    """Counted from 0."""
    column: int
    """Where its setting ends."""
    comment: str


def commented(path: Path) -> str:
    """``config.yaml`` with the settings that it lacks, and with all comments made again.

    Lines that are nothing but a comment are kept.

    Raises
    ------
    InputError
        If the file is not YAML, a setting is unknown or has not its default, the first setting of a
        section is missing, or a comment is too long.
    """
    read_nodes(path)
    defaults = StudySettings().model_dump()
    text = completed(path.read_text(encoding="utf-8"), defaults)
    _check_values(path, yaml.safe_load(text), defaults, ())
    root = yaml.compose(text, LOADER)
    lines = text.splitlines()
    for line in _commented_lines(root, json_schema(), ()):
        setting = lines[line.number][: line.column]
        new = f"{setting:<{COMMENT_COLUMN - 2}}  # {line.comment}"
        if len(new) > LINE_WIDTH:
            source = f"{path}, line {line.number + 1}"
            raise InputError(source, "the comment is too long", "Shorten the first sentence")
        lines[line.number] = new
    return "\n".join(lines) + "\n"


def _check_values(path: Path, given: Any, default: Any, keys: tuple[str, ...]) -> None:
    """Stop where config.yaml has not the settings of the models with their defaults."""
    if not isinstance(default, dict) or not isinstance(given, dict):
        if given != default:
            problem = f"{spell(keys)} is {in_yaml(given)}, and the default is {in_yaml(default)}"
            raise InputError(path, problem, "Change one of them")
        return
    for key in default:
        if key not in given:
            problem = f"{spell((*keys, key))} is missing"
            raise InputError(path, problem, f"Add the line {key}: {in_yaml(default[key])}")
    for key, value in given.items():
        if key not in default:
            raise InputError(path, f"unknown key {spell((*keys, key))}", "Take it out")
        _check_values(path, value, default[key], (*keys, key))


def _commented_lines(
    node: yaml.Node | None, root: Schema, keys: tuple[str, ...]
) -> Iterator[_Line]:
    """Lines of the settings of a section; a section in braces gets one comment."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        path = (*keys, key.value)
        comment = comment_of(schema_at(path, root))
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield _Line(key.end_mark.line, key.end_mark.column + 1, comment)
            yield from _commented_lines(value, root, path)
        else:
            yield _Line(value.end_mark.line, value.end_mark.column, comment)


def comment_of(schema: Schema) -> str:
    """Comment behind a setting: what it is, its unit and its choices."""
    text = summary(schema)
    text += f", {schema['unit']}" if "unit" in schema else ""
    return text + (f": {' | '.join(map(in_yaml, schema['enum']))}" if "enum" in schema else "")


def reference_page() -> str:
    """Markdown page with a table of each section."""
    root = json_schema()
    lines = [
        f"<!-- {MADE_BY} -->",
        "# Settings",
        "",
        "Every setting with its default in `config.yaml`. How to change them:",
        "[Change settings](../how-to/change-settings.md).",
        "",
        "A number may have an exponent, `1e-4` or `1.0e-4`.",
    ]
    for path, section in _sections(root, root, ()):
        title = f"`{spell(path)}`" if path else "At the top"
        lines += ["", f"## {title}", "", *_described(section, path), *_table(section, root)]
    return "\n".join(lines) + "\n"


def _described(section: Schema, path: Sequence[str]) -> list[str]:
    return [meaning(section), ""] if path else []


def _sections(
    schema: Schema, root: Schema, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Sections with their paths, each followed by those inside it."""
    yield path, schema
    for name, part in schema["properties"].items():
        part = resolve(part, root)
        if "properties" in part:
            yield from _sections(part, root, (*path, name))
        for entry in part.get("patternProperties", {}).values():
            yield from _sections(resolve(entry, root), root, (*path, name, "<name>"))


def _table(section: Schema, root: Schema) -> list[str]:
    """Lines of a section's table; sections inside it have tables of their own."""
    rows = ["| key | type | range | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, part in section["properties"].items():
        part = resolve(part, root)
        if "properties" in part:
            continue
        unit = f", {part['unit']}" if "unit" in part else ""
        default = default_in_words(part)
        cells = (
            f"`{name}`",
            type_in_words(part) + unit,
            range_in_words(part),
            f"`{default}`" if default else "required",
            meaning(part),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows
