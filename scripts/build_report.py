"""Rule entry point: audit what was computed, and put every figure and table on one page."""

from pathlib import Path

import pandas as pd
import yaml

from ldae.conclusions.sources import call
from ldae.data.intake.notices import read_notices
from ldae.data.volumes import read_index
from ldae.methods import Look, Methods
from ldae.provenance.audit import audit_study
from ldae.provenance.history import load_history
from ldae.provenance.ledger import read_scorings, write_ledger
from ldae.provenance.origin import describe_origin, require_recorded
from ldae.provenance.record import describe_run, now
from ldae.provenance.seal import PLACEHOLDER, seal_page, seal_records
from ldae.report.cohort import describe_cohort
from ldae.report.effort import describe_effort
from ldae.report.links import code_of, lightest, links_of
from ldae.report.page import Contents, Picture, TableFile, build_report
from ldae.report.scans import choose_scans, show_scans, tabulate_measures
from ldae.report.summary import summarise
from ldae.report.writeup import software_of, trained_networks, write_methods
from ldae.statistics.tables import read_table
from ldae.viewer.strips import draw_strips
from ldae.viewer.study import (
    SHOWN_BY,
    build_study_page,
    find_examples,
    first_scans,
    preprocessed_scans,
    scan_file,
    scan_volume,
    scenes_of_scans,
    study_scenes,
)
from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    results = run.places.results
    seal_records(results)
    history = load_history(results)
    scorings = read_scorings(history)
    config = yaml.safe_load(Path(snakemake.input.config).read_text(encoding="utf-8"))
    methods = Methods.from_params(snakemake.params.methods)
    networks = {name: Look(**look) for name, look in snakemake.params.networks.items()}
    pictures, data, tables = (
        {Path(path).stem: Path(path) for path in paths}
        for paths in (snakemake.input.pictures, snakemake.input.data, snakemake.input.tables)
    )
    notices, scans, quality, index = map(Path, snakemake.input.cohort)
    shown = {name: lightest(path) for name, path in pictures.items()}
    run.add_inputs(shown.values())
    require_recorded(history, [*shown.values(), *data.values(), *tables.values()])
    numbers = {name: pd.read_csv(path, sep="\t") for name, path in data.items()}
    known = {"methods": methods, "networks": networks}
    kept = find_examples(map(Path, snakemake.input.examples))
    require_recorded(history, list(kept.values()))
    measures = pd.read_csv(quality, sep="\t")
    cohort = describe_cohort(
        pd.read_csv(scans, sep="\t"),
        read_index(index, scans),
        name=config["study"],
        simulated=config["cohort"]["source"] == "simulated",
    )
    labelled, chosen = read_index(index, scans), choose_scans(measures, config["seed"])
    viewed = first_scans(preprocessed_scans(results, chosen), config["grid"]["shape"])
    scenes = scenes_of_scans(kept, viewed)
    affine = scan_volume(results, next(iter(viewed))).affine
    made = study_scenes(config, methods, kept, affine, labelled)
    strips = draw_strips(made, kept, history)
    cards = show_scans(chosen, measures, labelled, history, scenes, strips)
    run.add_inputs(card.preview for card in cards)
    run.add_inputs(scan_file(results, scan) for scan in viewed)
    viewer = build_study_page(results, config, methods, kept, viewed, labelled)
    text = write_methods(
        config, cohort, methods, trained_networks(history), tables, software_of(history), now()
    )
    verdicts, edits = (
        read_table(tables[name]) if name in tables else None
        for name in ("verdicts", "manipulation")
    )
    build_report(
        Contents(
            summary=summarise(
                verdicts, methods, config["verdicts"], cohort, snakemake.params.left_out, edits
            ),
            figures={
                name: Picture(
                    path=shown[name],
                    section=section,
                    caption=call(
                        snakemake.params.captions[name],
                        {},
                        data=numbers.get(name),
                        **known,
                        **snakemake.params.arguments[name],
                    ),
                    origin=describe_origin(history, pictures[name]),
                    files=links_of(history, pictures[name]),
                    code=code_of(history, pictures[name]),
                    scene=SHOWN_BY.get(name, ""),
                )
                for name, section in snakemake.params.figures.items()
            },
            tables={
                name: TableFile(tables[name], section, title, links_of(history, tables[name]))
                for name, (section, title) in snakemake.params.tables.items()
            },
            methods=methods,
            text=text,
            scans=cards,
            measures=tabulate_measures(cards, measures),
            effort=describe_effort(history),
            left_out=snakemake.params.left_out,
            notices=read_notices(notices),
            config=config,
            provenance={
                **describe_run(config["study"]),
                "seal": f"sha256 {PLACEHOLDER}",
            },
            audit=audit_study(results, run.places.bids, without=[snakemake.rule]),
            scorings=scorings,
        ),
        Path(snakemake.output.page),
    )
    # after the audit, which would find files without a record
    text.write(*map(Path, snakemake.output.methods))
    write_ledger(scorings, Path(snakemake.output.ledger))
    Path(snakemake.output.viewer).write_text(viewer, encoding="utf-8")
    seal_page(results, Path(snakemake.output.page))
