"""Rule entry point: preprocess one batch of scans; a broken scan fails alone."""

from pathlib import Path

from ldae.data.manifest import read_scans
from ldae.preprocessing import preprocess_batch
from ldae.preprocessing.brain import mask_paths
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    scans = read_scans(Path(snakemake.input.scans))
    batch = scans.iloc[int(snakemake.wildcards.batch) :: snakemake.params.n_batches]
    bids_dir = Path(snakemake.params.bids_dir)
    run.add_inputs(bids_dir / path for path in batch["path"])
    run.add_inputs(mask_paths(snakemake.params.settings["mask_pattern"], batch, bids_dir))
    preprocess_batch(
        scans=batch,
        bids_dir=bids_dir,
        out_dir=Path(snakemake.output.batch),
        settings=snakemake.params.settings,
        grid=snakemake.params.grid,
        n_workers=run.threads,
    )
