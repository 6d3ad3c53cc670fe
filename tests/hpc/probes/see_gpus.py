"""Report which GPUs each process of a job can see."""

import json
import os
from pathlib import Path

from ldae import slurm
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake):
    facts = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "place": os.environ["SLURM_LOCALID"]}
    output = Path(snakemake.output.facts)
    output.with_stem(f"{output.stem}-{slurm.process_rank()}").write_text(json.dumps(facts))
    if slurm.process_rank() == 0:
        output.write_text("{}")
