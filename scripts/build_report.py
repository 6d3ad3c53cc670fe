"""Rule entry point: audit what was computed, and put every figure and table on one page."""

from pathlib import Path

import pandas as pd
import yaml

from ldae.data.intake.notices import read_notices
from ldae.data.volumes import read_index
from ldae.methods import Look, Methods
from ldae.provenance.audit import audit_study
from ldae.provenance.history import load_history
from ldae.provenance.ledger import read_scorings, write_ledger
from ldae.provenance.origin import require_recorded
from ldae.provenance.record import describe_run, now
from ldae.provenance.seal import PLACEHOLDER, seal_page, seal_records
from ldae.report.cohort import describe_cohort
from ldae.report.effort import describe_effort
from ldae.report.page import Contents, build_report
from ldae.report.products import describe_figures, describe_tables
from ldae.report.summary import summarise
from ldae.report.writeup import software_of, trained_networks, write_methods
from ldae.statistics.tables import read_table
from ldae.viewer.report_scans import show_study_scans
from ldae.viewer.study import SHOWN_BY, find_examples
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    results = run.places.results
    seal_records(results)
    history = load_history(results)
    scorings = read_scorings(history)
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    methods = Methods.from_params(snakemake.params.methods)
    pictures, data, tables = (
        {Path(path).stem: Path(path) for path in paths}
        for paths in (snakemake.input.pictures, snakemake.input.data, snakemake.input.tables)
    )
    notices, scans, quality, index = map(Path, snakemake.input.cohort)
    figures = describe_figures(
        history,
        snakemake.params.figures,
        pictures,
        data,
        snakemake.params.captions,
        snakemake.params.arguments,
        SHOWN_BY,
        methods=methods,
        networks={name: Look(**look) for name, look in snakemake.params.networks.items()},
    )
    kept = find_examples(map(Path, snakemake.input.examples))
    shown = [figure.path for figure in figures.values()]
    require_recorded(history, [*shown, *data.values(), *tables.values(), *kept.values()])
    labelled = read_index(index, scans)
    cohort = describe_cohort(
        pd.read_csv(scans, sep="\t"),
        labelled,
        name=config["study"],
        simulated=config["cohort"]["source"] == "simulated",
    )
    of_scans = show_study_scans(
        results, config, methods, kept, pd.read_csv(quality, sep="\t"), labelled, history
    )
    run.add_inputs([*shown, *of_scans.files])
    text = write_methods(
        config, cohort, methods, trained_networks(history), tables, software_of(history), now()
    )
    verdicts, edits = (
        read_table(tables[name]) if name in tables else None
        for name in ("verdicts", "manipulation")
    )
    contents = Contents(
        summary=summarise(
            verdicts, methods, config["verdicts"], cohort, snakemake.params.left_out, edits
        ),
        figures=figures,
        tables=describe_tables(history, tables, snakemake.params.tables),
        methods=methods,
        text=text,
        scans=of_scans.cards,
        measures=of_scans.measures,
        effort=describe_effort(history, snakemake.rule),
        left_out=snakemake.params.left_out,
        notices=read_notices(notices),
        config=config,
        provenance=describe_run(config["study"]) | {"seal": f"sha256 {PLACEHOLDER}"},
        audit=audit_study(results, run.places.bids, without=[snakemake.rule]),
        scorings=scorings,
    )
    build_report(contents, Path(snakemake.output.page))
    # after the audit, which would find files without a record
    text.write(*map(Path, snakemake.output.methods))
    write_ledger(scorings, Path(snakemake.output.ledger))
    Path(snakemake.output.viewer).write_text(of_scans.viewer, encoding="utf-8")
    seal_page(results, Path(snakemake.output.page))
