"""The settings of the simulated cohort, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ldae.errors import InputError
from ldae.simulation.rates import DIAGNOSES

SECTION = "cohort.simulated"
MAX_MONTHS = 120
SPACING_RANGE_MM = (1.0, 8.0)
AGE_RANGE = (40.0, 95.0)


@dataclass(frozen=True)
class SimulationSettings:
    """Settings of the simulated cohort.

    Parameters
    ----------
    n_subjects
        People in the cohort, at least 6.
    months
        Planned visits in months since the first one; ascending, starting with 0.
    follow_up_share
        Chance that a person was asked back after the first visit, in [0, 1].
    missing_visit_rate
        Chance that a visit of a person asked back did not take place, in [0, 1).
    shares
        Share of each diagnosis (CN, MCI, AD); they sum to 1.
    age_years
        Lowest and highest age at the first visit, years, within [40, 95].
    n_sites
        Scanners, at least 1.
    spacing_mm
        Voxel size of the raw heads in mm, within [1, 8].
    """

    n_subjects: int
    months: tuple[int, ...]
    follow_up_share: float
    missing_visit_rate: float
    shares: dict[str, float]
    age_years: tuple[float, float]
    n_sites: int
    spacing_mm: float

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> SimulationSettings:
        """Check the configuration's section ``cohort.simulated`` and return it typed.

        Raises
        ------
        InputError
            If a key is missing, unknown or out of its range; the error names the key.
        """
        expected = set(cls.__dataclass_fields__)
        for key in sorted(expected - set(settings)):
            raise _fault(key, "the setting is missing", "Add it to the configuration")
        for key in sorted(set(settings) - expected):
            raise _fault(key, "there is no such setting", f"Use one of {', '.join(expected)}")

        n_subjects = _whole(settings, "n_subjects", 6)
        months = settings["months"]
        if (
            not isinstance(months, list | tuple)
            or not months
            or any(isinstance(m, bool) or not isinstance(m, int) for m in months)
            or months[0] != 0
            or list(months) != sorted(set(months))
            or months[-1] > MAX_MONTHS
        ):
            raise _fault(
                "months",
                f"{months!r} is not an ascending list of whole months that starts with 0",
                f"Give for example [0, 6, 12, 24], at most {MAX_MONTHS}",
            )
        follow_up = _number(settings, "follow_up_share")
        if not 0 <= follow_up <= 1:
            raise _fault("follow_up_share", f"{follow_up} is not in [0, 1]", "Give e.g. 1.0")
        missing = _number(settings, "missing_visit_rate")
        if not 0 <= missing < 1:
            raise _fault("missing_visit_rate", f"{missing} is not in [0, 1)", "Give e.g. 0.25")
        shares = settings["shares"]
        if not isinstance(shares, Mapping) or not shares or set(shares) - set(DIAGNOSES):
            raise _fault(
                "shares", f"{shares!r} does not name diagnoses", f"Use {', '.join(DIAGNOSES)}"
            )
        weights = {d: _number(shares, d, "shares.") if d in shares else 0.0 for d in DIAGNOSES}
        if min(weights.values()) < 0 or not math.isclose(sum(weights.values()), 1, abs_tol=1e-6):
            raise _fault(
                "shares", f"{dict(shares)} are not shares that sum to 1", "Correct the shares"
            )
        ages = settings["age_years"]
        if (
            not isinstance(ages, list | tuple)
            or len(ages) != 2
            or any(isinstance(a, bool) or not isinstance(a, int | float) for a in ages)
            or not AGE_RANGE[0] <= ages[0] < ages[1] <= AGE_RANGE[1]
        ):
            raise _fault(
                "age_years",
                f"{ages!r} is not a range [lowest, highest] of ages",
                f"Give two ascending ages within {list(AGE_RANGE)}",
            )
        n_sites = _whole(settings, "n_sites", 1)
        spacing = _number(settings, "spacing_mm")
        if not SPACING_RANGE_MM[0] <= spacing <= SPACING_RANGE_MM[1]:
            raise _fault(
                "spacing_mm", f"{spacing} is out of range", f"Stay within {list(SPACING_RANGE_MM)}"
            )
        return cls(
            n_subjects=n_subjects,
            months=tuple(months),
            follow_up_share=follow_up,
            missing_visit_rate=missing,
            shares=weights,
            age_years=(float(ages[0]), float(ages[1])),
            n_sites=n_sites,
            spacing_mm=spacing,
        )


def _fault(key: str, problem: str, remedy: str) -> InputError:
    return InputError(f"{SECTION}.{key}", problem, remedy)


def _whole(settings: Mapping[str, Any], key: str, lowest: int) -> int:
    value = settings[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise _fault(key, f"{value!r} is not a whole number >= {lowest}", "Correct the number")
    return value


def _number(settings: Mapping[str, Any], key: str, prefix: str = "") -> float:
    value = settings[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _fault(prefix + key, f"{value!r} is not a number", "Give a number")
    return float(value)
