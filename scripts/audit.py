"""Rule entry point: check that every file, record and link of the study is as it was left."""

import json
import logging
from pathlib import Path

from ldae.errors import InputError
from ldae.provenance.audit import audit_study
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    results, verdict_path = run.places.results, Path(snakemake.log.verdict)
    verdict = audit_study(results, run.places.bids, n_threads=run.threads, without=[snakemake.rule])
    verdict_path.write_text(json.dumps(verdict.as_json(), indent=1) + "\n", encoding="utf-8")
    logging.getLogger("ldae.provenance.audit").info("%s", verdict.as_text())
    if not verdict.passed:
        raise InputError(results, verdict.summary, f"The findings are above and in {verdict_path}.")
