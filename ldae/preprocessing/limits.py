"""Limits of the quality control, and which of them a scan's measures exceed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Which limit applies to which measure, and how an excess is put in words.
_LOWER = {
    "min_mask_dice": "mask_dice_to_template",
    "min_correlation": "correlation_to_template",
    "min_tissue_contrast": "tissue_contrast",
    "min_signal_to_noise": "signal_to_noise",
}
_UPPER = {
    "max_cropped_fraction": "cropped_fraction",
    "max_cut_area_cm2": "cut_area_cm2",
    "max_bright_outside": "bright_outside",
    "max_rotation_degrees": "rotation_degrees",
}
_RANGE = {"brain_volume_ml": "brain_volume_ml", "scale": "scale"}


def exceeded_limits(measures: Mapping[str, float | None], limits: Mapping[str, Any]) -> list[str]:
    """Each limit that a scan's measures exceed, in words; a missing measure exceeds its limit."""
    found = []

    def value(measure: str) -> float:
        number = measures.get(measure)
        return math.nan if number is None else number

    # A value that could not be computed must not pass, so each test is written to fail on NaN.
    for key, measure in _LOWER.items():
        # Without any noise the ratio has no value; that is no fault.
        missing_is_good = measure == "signal_to_noise" and measures.get(measure) is None
        if not value(measure) >= limits[key] and not missing_is_good:
            found.append(f"{measure} {value(measure):.3g} below {limits[key]:g}")
    for key, measure in _UPPER.items():
        if not value(measure) <= limits[key]:
            found.append(f"{measure} {value(measure):.3g} above {limits[key]:g}")
    for key, measure in _RANGE.items():
        low, high = limits[key]
        if not low <= value(measure) <= high:
            found.append(f"{measure} {value(measure):.4g} outside {low:g} to {high:g}")
    return found
