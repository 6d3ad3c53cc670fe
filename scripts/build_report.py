"""Rule entry point: put every figure and table of the study on one page."""

from pathlib import Path

import pandas as pd
import yaml

from ldae.entry import rule_entry
from ldae.figures.captions import caption
from ldae.provenance.record import describe_run
from ldae.report import build_report

with rule_entry(snakemake) as run:
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    names = snakemake.params.figures
    data = zip(names, snakemake.input.data, strict=True)
    build_report(
        figures={n: Path(p) for n, p in zip(names, snakemake.input.figures, strict=True)},
        tables={
            name: Path(path)
            for name, path in zip(snakemake.params.tables, snakemake.input.tables, strict=True)
        },
        captions={name: caption(name, pd.read_csv(path, sep="\t")) for name, path in data},
        qc_png=Path(snakemake.input.quality),
        left_out=snakemake.params.left_out,
        config=config,
        provenance=describe_run(config["study"]),
        out=Path(snakemake.output.page),
    )
