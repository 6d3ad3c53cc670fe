"""Validated settings of the simulated cohort."""

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
LARGEST_CONTRAST_SD = 0.2  # beyond it, tissues change their order of brightness


@dataclass(frozen=True)
class SimulationSettings:
    """Settings of the simulated cohort.

    Parameters
    ----------
    n_subjects
        Number of participants, at least 6.
    months
        Planned visits in months after the first one; ascending, starting with 0.
    follow_up_share
        Probability that a participant is invited to follow-up visits, in [0, 1].
    missing_visit_rate
        Probability that a follow-up visit of an invited participant is missed, in [0, 1).
    shares
        Share of each diagnosis (CN, MCI, AD); the shares sum to 1.
    age_years
        Lowest and highest age at the first visit, years, within [40, 95].
    n_sites
        Number of sites, each with its own scanner; at least 1.
    contrast_sd
        SD of the log of each tissue's signal between sites, within [0, 0.2].
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
    contrast_sd: float
    spacing_mm: float

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> SimulationSettings:
        """Validated settings from the configuration section ``cohort.simulated``.

        Raises
        ------
        InputError
            If a key is missing, unknown or out of range; the error names the key.
        """
        expected = set(cls.__dataclass_fields__)
        for key in sorted(expected - set(settings)):
            raise _fault(key, "the setting is missing", "Add it to the configuration")
        for key in sorted(set(settings) - expected):
            raise _fault(key, "there is no such setting", f"Use one of {', '.join(expected)}")

        return cls(
            n_subjects=_whole(settings, "n_subjects", 6),
            months=_months(settings),
            follow_up_share=_follow_up_share(settings),
            missing_visit_rate=_missing_visit_rate(settings),
            shares=_shares(settings),
            age_years=_ages(settings),
            n_sites=_whole(settings, "n_sites", 1),
            contrast_sd=_contrast(settings),
            spacing_mm=_spacing(settings),
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


def _months(settings: Mapping[str, Any]) -> tuple[int, ...]:
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
    return tuple(months)


def _follow_up_share(settings: Mapping[str, Any]) -> float:
    share = _number(settings, "follow_up_share")
    if not 0 <= share <= 1:
        raise _fault("follow_up_share", f"{share} is not in [0, 1]", "Give for example 1.0")
    return share


def _missing_visit_rate(settings: Mapping[str, Any]) -> float:
    rate = _number(settings, "missing_visit_rate")
    if not 0 <= rate < 1:
        raise _fault("missing_visit_rate", f"{rate} is not in [0, 1)", "Give for example 0.25")
    return rate


def _shares(settings: Mapping[str, Any]) -> dict[str, float]:
    """Share of every diagnosis, 0 for those that the settings leave out."""
    shares = settings["shares"]
    if not isinstance(shares, Mapping) or not shares or set(shares) - set(DIAGNOSES):
        raise _fault("shares", f"{shares!r} does not name diagnoses", f"Use {', '.join(DIAGNOSES)}")
    weights = {d: _number(shares, d, "shares.") if d in shares else 0.0 for d in DIAGNOSES}
    if min(weights.values()) < 0 or not math.isclose(sum(weights.values()), 1, abs_tol=1e-6):
        raise _fault("shares", f"{dict(shares)} are not shares that sum to 1", "Correct the shares")
    return weights


def _ages(settings: Mapping[str, Any]) -> tuple[float, float]:
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
    return float(ages[0]), float(ages[1])


def _contrast(settings: Mapping[str, Any]) -> float:
    deviation = _number(settings, "contrast_sd")
    if not 0 <= deviation <= LARGEST_CONTRAST_SD:
        problem = f"{deviation} is not in [0, {LARGEST_CONTRAST_SD}]"
        raise _fault("contrast_sd", problem, "Give for example 0.015")
    return deviation


def _spacing(settings: Mapping[str, Any]) -> float:
    spacing = _number(settings, "spacing_mm")
    if not SPACING_RANGE_MM[0] <= spacing <= SPACING_RANGE_MM[1]:
        raise _fault(
            "spacing_mm", f"{spacing} is out of range", f"Stay within {list(SPACING_RANGE_MM)}"
        )
    return spacing
