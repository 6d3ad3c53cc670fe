"""Rule entry point: audit what was computed, and put every figure and table on one page."""

from pathlib import Path

import pandas as pd
import yaml

from ldae.conclusions.sources import call
from ldae.data.intake.notices import read_notices
from ldae.methods import Look, Methods
from ldae.provenance.audit import audit_study
from ldae.provenance.history import load_history
from ldae.provenance.origin import describe_origin, require_recorded
from ldae.provenance.record import describe_run
from ldae.provenance.seal import PLACEHOLDER, seal_page, seal_records
from ldae.report.page import Picture, TableFile, build_report
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    results = run.places.results
    seal_records(results)
    history = load_history(results)
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    methods = Methods.from_params(snakemake.params.methods)
    networks = {name: Look(**look) for name, look in snakemake.params.networks.items()}
    pictures, data, tables = (
        {Path(path).stem: Path(path) for path in paths}
        for paths in (snakemake.input.pictures, snakemake.input.data, snakemake.input.tables)
    )
    require_recorded(history, [*pictures.values(), *data.values(), *tables.values()])
    numbers = {name: pd.read_csv(path, sep="\t") for name, path in data.items()}
    known = {"methods": methods, "networks": networks}
    build_report(
        figures={
            name: Picture(
                path=pictures[name],
                section=section,
                caption=call(
                    snakemake.params.captions[name],
                    {},
                    data=numbers.get(name),
                    **known,
                    **snakemake.params.arguments[name],
                ),
                origin=describe_origin(history, pictures[name]),
            )
            for name, section in snakemake.params.figures.items()
        },
        tables={
            name: TableFile(path=tables[name], section=section, title=title)
            for name, (section, title) in snakemake.params.tables.items()
        },
        methods=methods,
        left_out=snakemake.params.left_out,
        notices=read_notices(Path(snakemake.input.notices)),
        config=config,
        provenance={
            **describe_run(config["study"]),
            "seal": f"sha256 {PLACEHOLDER}",
        },
        audit=audit_study(results, run.places.bids, without=[snakemake.rule]),
        out=Path(snakemake.output.page),
    )
    seal_page(results, Path(snakemake.output.page))
