"""Settings that ``config.yaml`` lacks, written into it with their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from ldae.workflow.settings.files import LOADER
from ldae.workflow.settings.wording import in_yaml


class _Missing(NamedTuple):
    """A setting that is missing behind another one of its section."""

    section: yaml.MappingNode
    before: yaml.Node
    """Value of the setting before it."""
    key: str


def completed(text: str, defaults: Mapping[str, Any]) -> str:
    """Text of ``config.yaml`` with every setting, each behind the one before it in `defaults`.

    Other lines are kept as they are. A section's first setting is not added: where it is missing,
    nothing says how the section is laid out.

    Parameters
    ----------
    text
        YAML whose top is a mapping.
    defaults
        All settings by name, sections as mappings.
    """
    while True:
        root = yaml.compose(text, LOADER)
        found = next(_missing(root, defaults), None)
        if found is None:
            return text
        missing, default = found
        text = (_in_braces if missing.section.flow_style else _as_lines)(text, missing, default)


def _missing(node: yaml.Node | None, defaults: Any) -> Iterator[tuple[_Missing, Any]]:
    """Settings that are missing, with their defaults."""
    if not isinstance(node, yaml.MappingNode) or not isinstance(defaults, Mapping):
        return
    values = {key.value: value for key, value in node.value}
    for before, key in pairwise(defaults):
        if before in values and key not in values:
            yield _Missing(node, values[before], key), defaults[key]
    for key, value in values.items():
        yield from _missing(value, defaults.get(key))


def _in_braces(text: str, missing: _Missing, default: Any) -> str:
    end = missing.before.end_mark.index
    return f"{text[:end]}, {missing.key}: {in_yaml(default)}{text[end:]}"


def _as_lines(text: str, missing: _Missing, default: Any) -> str:
    lines = text.splitlines()
    indent = missing.section.value[0][0].start_mark.column
    new = list(_lines(missing.key, default, " " * indent))
    # sections at the top are set apart by an empty line
    new = ["", *new] if indent == 0 and isinstance(default, Mapping) else new
    place = _last_line(missing.before) + 1
    return "\n".join([*lines[:place], *new, *lines[place:]]) + "\n"


def _lines(key: str, value: Any, indent: str) -> Iterator[str]:
    """Lines of a setting; a section without settings is a pair of braces."""
    if isinstance(value, Mapping) and value:
        yield f"{indent}{key}:"
        for name, inner in value.items():
            yield from _lines(name, inner, indent + "  ")
    else:
        yield f"{indent}{key}: {in_yaml(value)}"


def _last_line(node: yaml.Node) -> int:
    """Line on which a value ends, without the comments and empty lines behind it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return _last_line(node.value[-1])
    return int(node.end_mark.line)
