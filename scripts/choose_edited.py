"""Rule entry point: choose the scans that are edited, once for all that reads them."""

from pathlib import Path

from ldae.data.volumes import read_index
from ldae.evaluation.selection import choose_rows, write_selection
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    index = read_index(Path(snakemake.input.index))
    rows = choose_rows(index, snakemake.params.scored, snakemake.params.n_scans, run.seed)
    write_selection(index, rows, Path(snakemake.output.edited))
