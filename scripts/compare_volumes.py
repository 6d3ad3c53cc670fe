"""Rule entry point: compare measured volumes with true or, in a real cohort, reference volumes."""

from pathlib import Path

import pandas as pd

from ldae.evaluation.agreement import compare_volumes, pair_volumes
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    reference = Path(snakemake.input.reference)
    if reference.is_dir():  # the truth of a simulated cohort
        reference = reference / "volumes.tsv"
    measured = pd.read_csv(snakemake.input.measured, sep="\t", dtype={"scan": str, "subject": str})
    pairs = pair_volumes(measured, reference, run.places.hide)
    pairs.to_csv(snakemake.output.pairs, sep="\t", index=False, float_format="%.4f")
    table = compare_volumes(
        pairs,
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
