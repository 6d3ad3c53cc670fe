"""One clear message for each mistake in the settings."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ldae.errors import InputError
from ldae.workflow.settings.files import COMMAND_LINE, Key, source_of, spell, value_at
from ldae.workflow.settings.study import StudySettings
from ldae.workflow.settings.wording import (
    Schema,
    expectation,
    in_yaml,
    resolve,
    schema_at,
    summary,
)

REFERENCE = "docs/reference/settings.md"
"""Page that describes every setting."""

SHOWN = 60
"""Characters of a value that a message shows."""


def explain(
    error: ValidationError,
    model: type[StudySettings],
    given: Mapping[str, Any],
    files: Sequence[Path],
) -> InputError:
    """The error that a user sees: what is wrong, in which file and line, and what to write.

    Parameters
    ----------
    error
        Of the settings as a whole; of its mistakes, the first is explained, and unknown keys come
        before it: a misspelt key explains the value that is then missing.
    model
        The settings.
    given, files
        As for :func:`ldae.workflow.settings.files.source_of`.
    """
    details = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    path: list[Key] = [key for key in details["loc"] if key != "[key]"]
    if _is_key(details):
        path[-1] = in_yaml(_key(details, given))
    source = source_of(path, given, files)
    schema = model.model_json_schema()
    if details["type"] == "extra_forbidden":
        return _unknown_key(path, source, schema)
    problem, remedy = _problem(details, path, schema, source)
    return InputError(source, problem, remedy)


def _unknown_key(path: Sequence[Key], source: str, root: Schema) -> InputError:
    parent = resolve(schema_at(path[:-1], root), root)
    names = list(parent["properties"])
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    where = spell(path[:-1]) or "the settings"
    remedy = f"Did you mean {near[0]}?" if near else f"Keys of {where}: {', '.join(names)}"
    return InputError(source, f"unknown key {spell(path)}", remedy)


def _problem(
    details: ErrorDetails, path: Sequence[Key], root: Schema, source: str
) -> tuple[str, str]:
    """Problem and remedy of a value that is there, or of one that must be."""
    name, value, schema = spell(path), details["input"], schema_at(path, root)
    if details["type"] == "mistake":
        return f"{name}: {details['ctx']['problem']}", str(details["ctx"]["remedy"])
    if details["type"] == "missing":
        return f"{name} is missing", f"Add it: {summary(schema)}"
    if _is_key(details):
        return f"{name}: this name cannot be used", _name_remedy(path[-1])
    problem = f"{name} is {_shown(value)} and must be {expectation(schema)}"
    number = _number(value)
    if number is not None and details["type"] in ("int_type", "float_type"):
        problem = f"{name}: {value!r} is text, and must be {expectation(schema)}"
        if source == COMMAND_LINE and len(path) > 1:
            return problem, "Nested values of --config are text: use a file and --configfile"
        return problem, f"Write {number}, without quotes"
    if details["type"] == "int_type" and isinstance(value, float) and value.is_integer():
        return problem, f"Write {value:.0f}"
    choices = [in_yaml(choice) for choice in schema.get("enum", ())]
    near = difflib.get_close_matches(str(value), choices, n=1)
    if near:
        return problem, f"Did you mean {near[0]}?"
    while path and isinstance(path[-1], int):
        path = path[:-1]
    meaning = summary(schema_at(path, root))
    return problem, f"Its meaning: {meaning}" if meaning else f"See {REFERENCE}"


def _number(value: object) -> str | None:
    """The number that a text spells, as YAML reads it; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return in_yaml(int(number) if number.is_integer() and abs(number) < 1e15 else number)


def _is_key(details: ErrorDetails) -> bool:
    """Whether a mistake is a key and not its value."""
    return details["type"] == "invalid_key" or details["loc"][-1] == "[key]"


def _key(details: ErrorDetails, given: Mapping[str, Any]) -> object:
    """The key at fault; of a section's the mistake gives the value alone."""
    if details["type"] != "invalid_key":
        return details["input"]
    section = value_at(given, details["loc"][:-1])
    return next(key for key in section if not isinstance(key, str))


def _name_remedy(name: Key) -> str:
    """What to do about a key that is no name, such as the key ``no`` that YAML reads as false."""
    if name in ("true", "false", "null") or str(name).isdigit():
        return f"Put it in quotes: YAML reads it as {name}"
    return "Begin with a letter and use lower-case letters, digits and underscores"


def _shown(value: object) -> str:
    text = " ".join((repr(value) if isinstance(value, str) else in_yaml(value)).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
