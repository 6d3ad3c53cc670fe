"""Numbers that decide what is judged, and how: section ``verdicts`` of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Criteria = Mapping[str, Any]
"""Section ``verdicts`` of the settings."""


@dataclass(frozen=True)
class Criterion:
    """A number of the criteria, by its keys.

    Attributes
    ----------
    keys
        From the top of the section.
    factor
        What the number is multiplied by: -1 where a loss is held to a gain.
    """

    keys: tuple[str, ...]
    factor: int = 1

    def value(self, criteria: Criteria) -> float:
        """The number that these criteria give."""
        found: Any = criteria
        for key in self.keys:
            found = found[key]
        return float(found * self.factor)


def conditions(where: Mapping[str, object], criteria: Criteria) -> dict[str, object]:
    """Conditions of rows, with the criteria's numbers in their places."""
    return {
        column: wanted.value(criteria) if isinstance(wanted, Criterion) else wanted
        for column, wanted in where.items()
    }


def bound(name: str, factor: int = 1) -> Criterion:
    """A bound of the criteria by its name."""
    return Criterion(("bounds", name), factor)


N_STEPS = Criterion(("n_steps",))
"""Sampler steps at which reconstructions are compared."""

SSIM_WINDOW = Criterion(("ssim_window",))
"""Window of SSIM in the workflow's protocol."""
