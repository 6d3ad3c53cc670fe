"""Fail at the first attempt, by an error that another attempt may not meet."""

import json
from pathlib import Path

from ldae.workflow.entry import rule_entry

with rule_entry(snakemake):
    attempt = snakemake.resources.attempt
    if attempt == 1:
        raise OSError("It fails at first")
    facts = {"attempt": attempt, "mem_mb": snakemake.resources.mem_mb}
    Path(snakemake.output.facts).write_text(json.dumps(facts))
