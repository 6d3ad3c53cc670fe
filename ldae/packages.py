"""Packages and programs that some settings need and the environment of all rules lacks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ldae.errors import InputError

NEEDS_ANTS = {"registration": "syn", "bias_correction": "ants"}
"""Settings of the section `preprocessing` that need ANTs, and the value that does."""

PROGRAMS = {"synthstrip": "mri_synthstrip", "hdbet": "hd-bet"}
"""Commands that find the brain, by the value of `preprocessing.brain_extraction`."""

SOURCES = {"synthstrip": "FreeSurfer 7.3 or later", "hdbet": "HD-BET 2 (pip install hd-bet)"}
"""Where these commands come from."""


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


def check_program(brain_extraction: str) -> None:
    """Check that the command of a brain extraction is on the PATH, if it is an external program.

    Raises
    ------
    InputError
        If it is not.
    """
    command = PROGRAMS.get(brain_extraction)
    if command is not None and shutil.which(command) is None:
        raise InputError(
            f"preprocessing.brain_extraction: {brain_extraction}",
            f"the command {command} is not on the PATH",
            f"Install {SOURCES[brain_extraction]}, run in containers with the image of "
            "`make containers PROGRAMS=1` (docs/how-to/bids-cohort.md), or choose another brain "
            "extraction, such as deepbet",
        )
