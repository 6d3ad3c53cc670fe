"""Rule entry point: what a node is like for a study, and a few steps of every network on it."""

from pathlib import Path

from ldae.errors import InputError
from ldae.workflow.doctor.findings import describe, problems
from ldae.workflow.doctor.node import examine_node, title
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake, needs_gpu=False) as run:
    found = examine_node(
        dict(snakemake.resources.items()),
        snakemake.params.trials,
        run.places.results,
    )
    report = Path(snakemake.log.text).with_suffix(".txt")
    report.write_text(describe(title(), found) + "\n", encoding="utf-8")
    if stopping := problems(found):
        raise InputError(report, f"{len(stopping)} problems were found", stopping[0].text)
