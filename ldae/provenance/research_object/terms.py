"""Addresses of the vocabularies and profiles that a crate uses, and formats of values."""

from __future__ import annotations

from datetime import datetime

from ldae.provenance.record import COMPLETED, FAILED

RO_CRATE = "1.1"
RUN_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run#"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
)
BIOSCHEMAS = "https://bioschemas.org/profiles"
SCHEMA_ORG = "http://schema.org"


def action_status(completed: bool) -> str:
    """Address of the status of an action."""
    return f"{SCHEMA_ORG}/{COMPLETED if completed else FAILED}"


def time_stamp(time: datetime) -> str:
    """Time in ISO 8601, to the second."""
    return time.isoformat(timespec="seconds")
