"""Names of the splits of a cohort's participants, and which of them is scored."""

from __future__ import annotations

SPLITS: tuple[str, ...] = ("train", "val", "test")
TRAIN, VALIDATION, TEST = SPLITS

WORDS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
"""What the participants of a split are called."""


def scored_split(*, final: bool) -> str:
    """Split of the participants whose numbers a study computes.

    Parameters
    ----------
    final
        Setting ``final``: whether test participants are scored.
    """
    return TEST if final else VALIDATION
