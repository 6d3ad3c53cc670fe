"""Rule entry point: measure time and memory per scan for each model."""

from pathlib import Path

from ldae.entry import rule_entry
from ldae.models import load_models
from ldae.tables import write_table
from ldae.throughput import measure_throughput
from ldae.volumes import VolumeStore

with rule_entry(snakemake) as run:
    store = VolumeStore(snakemake.input.volumes, snakemake.input.masks, snakemake.input.index)
    models = load_models(
        names=("ldae", "ldae_multistep", "ldae_joint", "voxel_dae", "voxel_dae_multistep"),
        files=dict(snakemake.input.items()),
        diffusion=snakemake.params.diffusion,
        shape=store.shape,
        device=run.torch_device(),
    )
    table = measure_throughput(
        store=store,
        models=models,
        seed=run.seed,
        cohort=snakemake.params.study,
        **snakemake.params.settings,
    )
    write_table(table, Path(snakemake.output.table), Path(snakemake.output.text))
