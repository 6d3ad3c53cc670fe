"""Where a setting stands: the file and line that give it its value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ldae.errors import InputError
from ldae.workflow.settings.wording import Schema, schema_at, type_in_words

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""LibYAML's loader where it is built in: it is ten times faster and reads the same."""

COMMAND_LINE = "command line"
ABSENT = object()
"""Value of a key that is not there."""

TRUTH_VALUES = {"true": True, "false": False}
EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
"""A number with an exponent, of which YAML 1.1 reads only some as a number."""

Key = str | int
KeyPath = Sequence[Key]
"""Keys of a setting from the top, and places in lists."""


def spell(path: Sequence[Key]) -> str:
    """A path as messages have it, such as ``grid.shape[1]``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def read_nodes(file: Path) -> yaml.Node | None:
    """Syntax tree of a YAML file, whose nodes know their lines; None if the file is empty.

    Raises
    ------
    InputError
        If the file cannot be read, is not YAML, or names a key twice, of which YAML keeps the last.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = f"it is not YAML: {error.problem or error.context}"
        raise InputError(f"{file}{line}", problem, "Correct the line or those above it") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(file, f"it cannot be read ({error})", "Correct the file") from error
    for key in _repeated(root):
        place = f"{file}, line {key.start_mark.line + 1}"
        raise InputError(place, f"{key.value} is there twice", "Keep one of the two")
    return root


def _repeated(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Keys that stand in one mapping before."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _repeated(value)


def value_at(node: Any, path: KeyPath) -> Any:
    """Value at `path` of nested mappings and lists, or ``ABSENT``."""
    for key in path:
        if isinstance(node, Mapping) and key in node:
            node = node[key]
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return ABSENT
    return node


def line_at(node: yaml.Node | None, path: KeyPath) -> int | None:
    """Line, counted from 1, on which the last key of `path` that is there stands."""
    line = None
    for key in path:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
            found = (node.value[key], node.value[key]) if key < len(node.value) else None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def source_of(path: KeyPath, config: Mapping[str, Any], files: Sequence[Path]) -> str:
    """File and line that give `path` its present value, or the command line.

    Parameters
    ----------
    path
        Keys from the top.
    config
        Merged settings as they were given.
    files
        Files that they were read from, in that order.
    """
    while path and value_at(config, path) is ABSENT:
        path = path[:-1]
    value = value_at(config, path)
    found = [(f, value_at(yaml.safe_load(f.read_text(encoding="utf-8")), path)) for f in files]
    setting = [(file, theirs) for file, theirs in reversed(found) if theirs is not ABSENT]
    same = [file for file, theirs in setting if theirs == value]
    if not same and isinstance(value, Mapping):
        # a section is merged from several files, and none of them has it as it is
        same = [file for file, _ in setting]
    if not same:
        return COMMAND_LINE if path and files else "settings"
    line = line_at(read_nodes(same[0]), path)
    return str(same[0]) if line is None else f"{same[0]}, line {line}"


def read_texts(value: Any, root: Schema, path: tuple[Key, ...] = ()) -> Any:
    """`value` with texts such as ``1e-4`` and ``true`` read as what must stand there.

    YAML 1.1 reads ``1e-4`` as text, and ``1.0e-4`` as a number; Snakemake's command line reads
    ``true`` as text, and ``True`` as true. Whoever writes the first means the second. Other texts,
    such as a number in quotes, stay texts.

    Parameters
    ----------
    value
        A setting, or sections of settings.
    root
        JSON schema of the settings.
    path
        Keys of `value` from the top.
    """
    if isinstance(value, Mapping):
        # what an ablation changes has the types of the settings that it changes
        if len(path) == 3 and path[0] == "ablations" and path[2] == "change":
            path = ()
        return {k: read_texts(v, root, (*path, str(k))) for k, v in value.items()}
    if isinstance(value, list):
        return [read_texts(item, root, (*path, i)) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    kinds = type_in_words(schema_at(path, root))
    if value in TRUTH_VALUES and kinds == "true or false":
        return TRUTH_VALUES[value]
    if not EXPONENT.fullmatch(value):
        return value
    number = float(value)
    if "whole number" in kinds:
        return int(number) if number.is_integer() else number
    return number if "number" in kinds else value
