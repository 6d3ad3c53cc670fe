"""Packages that one stage's environment has and the environment that all rules share has not."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ldae.errors import InputError

NEEDS_ANTS = {"registration": "syn", "bias_correction": "ants"}
"""Settings of the section `preprocessing` that need ANTs, and the value that does."""


def needs_ants(settings: Mapping[str, Any]) -> str | None:
    """The setting of the preprocessing that needs ANTs, with its value; None if there is none."""
    return next((f"{k}: {v}" for k, v in NEEDS_ANTS.items() if settings[k] == v), None)


def check_ants(settings: Mapping[str, Any]) -> None:
    """Check that ANTs can be imported where a setting of the preprocessing needs it.

    Raises
    ------
    InputError
        If it cannot.
    """
    setting = needs_ants(settings)
    if setting is not None and find_spec("ants") is None:
        raise InputError(
            f"preprocessing.{setting}",
            "it needs ANTs (antspyx), which is in the environment of the preprocessing alone",
            "Run the study with an environment for each stage: --software-deployment-method "
            "conda, or apptainer after `make containers` (docs/how-to/slurm.md). A trained model "
            "also takes scans that were preprocessed in such a study",
        )
