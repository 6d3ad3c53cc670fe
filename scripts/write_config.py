"""Rule entry point: write down the settings as used, with every default."""

from pathlib import Path

import yaml

from ldae.workflow.entry import rule_entry

with rule_entry(snakemake) as run:
    config = run.places.plain(snakemake.params.config)
    given = Path(snakemake.params.config["pathvars"]["results"])
    elsewhere = given.is_absolute() or ".." in given.parts
    config["pathvars"] = {"results": given.name if elsewhere else given.as_posix()}
    text = yaml.safe_dump(config, sort_keys=False)
    Path(snakemake.output.config).write_text(text, encoding="utf-8")
