"""Rule entry point: paired differences between the model and every other method."""

from pathlib import Path

from ldae.conclusions.comparison import compare_methods
from ldae.methods import Methods
from ldae.statistics.predictions import read_predictions
from ldae.statistics.scores import read_scores
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    scores = [Path(path) for path in snakemake.input.scores]
    table = compare_methods(
        read_predictions([Path(path) for path in snakemake.input.predictions]),
        {
            name: read_scores([path for path in scores if path.parent.name == name], name)
            for name in snakemake.params.compared
        },
        Methods.from_params(snakemake.params.methods),
        cohort=snakemake.params.study,
        seed=run.seed,
        n_bootstrap=snakemake.params.n_bootstrap,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
