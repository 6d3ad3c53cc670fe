"""What a GPU node is like, seen from inside a job and its container."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ldae import __version__
from ldae.provenance.record import git_state, now
from ldae.workflow import gpu
from ldae.workflow.doctor.device import device_checks
from ldae.workflow.doctor.findings import Sections, run_checks
from ldae.workflow.doctor.machine import machine_checks
from ldae.workflow.doctor.trials import describe_trials


def title() -> str:
    """Version, commit and day."""
    state = git_state()
    commit = state["commit"][:10] if state["commit"] else "not in a clone"
    changed = ", changed" if state["dirty"] else ""
    return f"ldae {__version__} ({commit}{changed}), {now():%Y-%m-%d}"


def examine_node(
    resources: Mapping[str, Any], trials: Mapping[str, Any], results: Path
) -> Sections:
    """What a job finds on its node.

    Parameters
    ----------
    resources
        Of the job.
    trials
        Arguments of :func:`ldae.workflow.doctor.trials.try_trainings`; empty to try none.
    results
        Folder of the results.
    """
    needed = bool(gpu.given_gpu(resources))
    found = {
        "This node": run_checks(machine_checks(results, lambda: None, submits=True)),
        "Device": run_checks(device_checks(needed)),
    }
    if trials:
        steps = {"steps": lambda: describe_trials(**trials)}
        found["Steps of every network"] = run_checks(steps)
    return found
