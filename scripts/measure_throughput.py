"""Rule entry point: measure time and memory per scan for each model."""

from pathlib import Path

from ldae.data.volumes import VolumeStore
from ldae.evaluation.throughput import measure_throughput
from ldae.methods import Methods
from ldae.models.loading import load_models
from ldae.statistics.tables import write_table
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    methods = Methods.from_params(snakemake.params.methods)
    models = load_models(
        methods=methods.models("throughput"),
        loaders=snakemake.params.loaders,
        files=dict(snakemake.input.items()),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=run.torch_device(),
    )
    table = measure_throughput(
        store=store,
        models=models,
        methods=methods,
        seed=run.seed,
        cohort=snakemake.params.study,
        split=snakemake.params.scored,
        **snakemake.params.settings,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
