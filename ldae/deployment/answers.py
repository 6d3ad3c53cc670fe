"""What a trained model answers, and what must be said with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nibabel as nib

NO_DIAGNOSIS = (
    "This is not a diagnosis. The values are outputs of a research model, which was not validated "
    "for clinical use."
)

SIMULATED = (
    "The model was trained on simulated participants: its values say nothing about real ones."
)

ASSUMED_GAP_MONTHS = 12.0
"""Time between two visits where nobody says it: the usual one between scans of such cohorts."""

GAP_ASSUMED = f"The months of the visits are not given; {ASSUMED_GAP_MONTHS:g} are assumed."


@dataclass(frozen=True)
class Decoded:
    """What a model has made of a scan.

    Attributes
    ----------
    own
        In the scan's own space and grid, with its header. A reconstruction is the brain alone, in
        the scan's intensities. An edit or interpolation is the scan as it was given, with what the
        model changes added inside the brain.
    template
        The decoded brain on the model's grid in template space, intensities in [0, 1].
    change
        In template space: what the edit or interpolation changes between two decoded brains. None
        of a reconstruction.
    details
        How it was made, for a JSON file.
    warnings
        What the user should know, one sentence each.
    """

    own: nib.Nifti1Image
    template: nib.Nifti1Image
    change: nib.Nifti1Image | None
    details: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """A value that is read from a scan's code.

    Attributes
    ----------
    attribute
        ``age`` or ``diagnosis``.
    value, low, high
        Years, or a score between 0 (as the controls) and 1 (as the patients), and its interval of
        90 %: of an age, for participants like those of the study; of a score, over models fitted on
        resampled training participants.
    held_out
        How far off the model is on participants whom it has not seen.
    warnings
        That it is no diagnosis.
    """

    attribute: str
    value: float
    low: float
    high: float
    held_out: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = field(default=(NO_DIAGNOSIS,), repr=False)
