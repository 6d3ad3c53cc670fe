"""Fail at the first attempt."""

import json
from pathlib import Path

from ldae.workflow.entry import rule_entry

with rule_entry(snakemake):
    attempt = snakemake.resources.attempt
    if attempt == 1:
        raise ValueError("It fails at first")
    facts = {"attempt": attempt, "mem_mb": snakemake.resources.mem_mb}
    Path(snakemake.output.facts).write_text(json.dumps(facts))
