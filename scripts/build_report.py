"""Rule entry point: audit what was computed, and put every figure and table on one page."""

from pathlib import Path

import pandas as pd
import yaml

from ldae.figures.captions import caption
from ldae.provenance.audit import audit_study
from ldae.provenance.history import load_history
from ldae.provenance.origin import describe_origin, require_recorded
from ldae.provenance.record import describe_run
from ldae.provenance.seal import seal_records
from ldae.report.page import build_report
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    results = run.places.results
    seal = seal_records(results)
    history = load_history(results)
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    names = snakemake.params.figures
    figures = {n: Path(p) for n, p in zip(names, snakemake.input.figures, strict=True)}
    data = {n: Path(p) for n, p in zip(names, snakemake.input.data, strict=True)}
    tables = {
        n: Path(p) for n, p in zip(snakemake.params.tables, snakemake.input.tables, strict=True)
    }
    quality = Path(snakemake.input.quality)
    pictures = {**figures, "qc": quality}
    require_recorded(history, [*pictures.values(), *data.values(), *tables.values()])
    build_report(
        figures=figures,
        tables=tables,
        captions={n: caption(n, pd.read_csv(path, sep="\t")) for n, path in data.items()},
        origins={n: describe_origin(history, path) for n, path in pictures.items()},
        qc_png=quality,
        left_out=snakemake.params.left_out,
        config=config,
        provenance={
            **describe_run(config["study"]),
            "records": f"seal {seal.number}, sha256 {seal.digest}",
        },
        audit=audit_study(results, run.places.bids, without=[snakemake.rule]),
        out=Path(snakemake.output.page),
    )
