"""A setting's type, range and meaning in words, from its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

NAMES = {
    "integer": ("whole number", "whole numbers"),
    "number": ("number", "numbers"),
    "boolean": ("true or false", "true or false"),
    "string": ("text", "texts"),
    "object": ("section", "sections"),
    "null": ("null", "null"),
}
"""JSON type to its name for one value and for several."""


def resolve(schema: Schema, root: Schema) -> Schema:
    """`schema`, or the definition in `root` that it refers to."""
    reference = schema.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


def schema_at(path: Sequence[str | int], root: Schema) -> Schema:
    """Schema of the setting at `path`; empty where the schema leaves it free."""
    schema: Any = root
    for key in path:
        schema = resolve(schema, root)
        if isinstance(key, int):
            schema = _alternatives(schema)[0].get("items", {})
        else:
            others = [*schema.get("patternProperties", {}).values()]
            others.append(schema.get("additionalProperties") or {})
            schema = schema.get("properties", {}).get(key, others[0])
    return resolve(schema, root) if isinstance(schema, Mapping) else {}


def summary(schema: Schema) -> str:
    """First sentence of a description, without its full stop."""
    return meaning(schema).partition(". ")[0].rstrip(".")


def meaning(schema: Schema) -> str:
    """Whole description on one line."""
    return " ".join(str(schema.get("description", "")).split())


def type_in_words(schema: Schema, several: bool = False) -> str:
    """Type of a setting, such as ``list of 3 whole numbers`` or ``number or null``."""
    if "anyOf" in schema:
        return " or ".join(type_in_words(part, several) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return "choice"
    if schema.get("type") == "array":
        low, high = schema.get("minItems"), schema.get("maxItems")
        number = f"{low} " if low is not None and low == high else ""
        return f"list of {number}{type_in_words(schema['items'], several=True)}"
    return NAMES[schema["type"]][several] if "type" in schema else "any value"


def range_in_words(schema: Schema) -> str:
    """Range of a setting, such as ``0 to 1``, ``at least 1`` or the choices; empty if it is free.

    Of a list, the range of each entry, and how many there must be.
    """
    ranges = []
    for part in _alternatives(schema):
        if part.get("type") == "array":
            each = range_in_words(part["items"])
            least = part.get("minItems", 0)
            ranges.append(f"each {each}" if each else "")
            if least and least != part.get("maxItems"):
                ranges.append(f"{least} or more entries")
            ranges.append("all different" if part.get("uniqueItems") else "")
        else:
            ranges.append(_own_range(part))
    return ", ".join(text for text in ranges if text)


def expectation(schema: Schema) -> str:
    """What a value must be, in words."""
    kind, limits = type_in_words(schema), range_in_words(schema)
    if kind == "choice":
        return f"one of {limits}"
    article = "" if kind.startswith(("true", "any", "text", "null")) else "a "
    unit = f" ({schema['unit']})" if "unit" in schema else ""
    return f"{article}{kind}{unit}{': ' if limits else ''}{limits}"


def default_in_words(schema: Schema) -> str:
    """Default as YAML has it, on one line."""
    return in_yaml(schema["default"]) if "default" in schema else ""


def in_yaml(value: Any) -> str:
    """A value as it can stand in a file of settings.

    Examples
    --------
    >>> in_yaml([True, None, 1e-8])
    '[true, null, 1.0e-08]'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(in_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {in_yaml(item)}' for key, item in value.items())}}}"
    if isinstance(value, float):
        # YAML reads a number with an exponent only if it has a point as well
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    return value if isinstance(value, str) else json.dumps(value)


def _alternatives(schema: Schema) -> list[Schema]:
    return [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]


def _own_range(schema: Schema) -> str:
    """Range of what is no list."""
    if "enum" in schema:
        return ", ".join(map(in_yaml, schema["enum"]))
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        words = [f"{low:g} to {high:g}" if high < 1e6 else f"{low:g} to {high}"]
    else:
        limits = ((low, "at least"), (above, "above"), (high, "at most"), (below, "below"))
        words = [" and ".join(f"{word} {limit:g}" for limit, word in limits if limit is not None)]
    words.append("not empty" if {"minProperties", "minLength"} & set(schema) else "")
    words.append(f"a multiple of {schema['multipleOf']}" if "multipleOf" in schema else "")
    words.append(f"matching {schema['pattern']}" if "pattern" in schema else "")
    return ", ".join(word for word in words if word)
