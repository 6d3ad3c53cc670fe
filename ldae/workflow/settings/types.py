"""Building blocks of the settings: a closed section, and types with their limits."""

from __future__ import annotations

import os
import string
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

MASK_FIELDS = ("subject", "session", "scan")
"""What a path of masks may hold in braces."""

LARGEST_SEED = 2**32 - 1
"""Of NumPy's global generator, which some libraries draw from."""


class Section(BaseModel):
    """A section of the settings: unknown keys and values of another type are mistakes.

    Types are strict, because YAML has types of its own: a text is never read as a number, nor
    ``true`` as 1. A whole number may stand where any number may.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, allow_inf_nan=False
    )


def setting(default: Any, description: str, *, unit: str | None = None, **limits: Any) -> Any:
    """A setting with its default.

    Parameters
    ----------
    default
        Value where no file gives one.
    description
        What it decides. The first sentence is the comment in ``config.yaml``, so it is short.
    unit
        Of the number.
    limits
        Constraints of :func:`pydantic.Field`.
    """
    extra: JsonDict = {} if unit is None else {"unit": unit}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def mistake(problem: str, remedy: str) -> PydanticCustomError:
    """Error of a value that its type and limits allow.

    Parameters
    ----------
    problem
        What is wrong with it, as the end of the sentence that begins with the setting's name.
    remedy
        What the user can do, as an instruction.
    """
    return PydanticCustomError("mistake", "{problem}", {"problem": problem, "remedy": remedy})


def _rising(limits: list[float]) -> list[float]:
    low, high = limits
    if low >= high:
        raise mistake(
            f"the lower limit {low:g} is not below the upper limit {high:g}",
            f"Write [{min(limits):g}, {max(limits):g}], or correct the limits",
        )
    return limits


def _distinct(values: list[int]) -> list[int]:
    twice = next((v for v in values if values.count(v) > 1), None)
    if twice is not None:
        raise mistake(f"{twice} stands there twice", "Give every value once")
    return values


def _known_fields(pattern: str) -> str:
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise mistake(f"its braces do not match ({error})", "Write for example {scan}") from error
    unknown = [name for name in fields if name not in MASK_FIELDS]
    if unknown:
        raise mistake(f"there is no field {{{unknown[0]}}}", f"Use {_in_braces(MASK_FIELDS)}")
    if not {"subject", "scan"} & set(fields):
        raise mistake("it names the same file for every scan", f"Use {_in_braces(MASK_FIELDS)}")
    return pattern


def _as_text(value: Any) -> Any:
    """A number as text: folders and cells of tables may be called by one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_braces(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


Count = Annotated[int, Field(ge=1)]
"""Whole number from 1."""

Whole = Annotated[int, Field(ge=0)]
"""Whole number from 0."""

Positive = Annotated[float, Field(gt=0)]
"""Number above 0."""

Share = Annotated[float, Field(ge=0, le=1)]
"""Number from 0 to 1."""

Words = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""

Cell = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
"""What a cell of a table has: text, or a number that is read as text."""

Place = Annotated[Words, BeforeValidator(_as_text), AfterValidator(os.path.expanduser)]
"""Path of a file or folder; ``~`` stands for the user's own."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
"""Seed of a random generator."""

Limits = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_rising)]
"""Lower and upper limit."""

Distinct = Annotated[
    list[Count], Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]  # fmt: skip
"""Whole numbers from 1, each once."""

Seeds = Annotated[
    list[Seed], Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]  # fmt: skip
"""Seeds, each once."""

Windows = Annotated[
    list[Annotated[int, Field(ge=2)]],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
"""Windows of SSIM, each once."""

MaskPattern = Annotated[Words, AfterValidator(_known_fields)]
"""Path of a scan's mask, with fields in braces."""
