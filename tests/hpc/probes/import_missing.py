"""Import a package that the host has and the image does not have."""

import json
from pathlib import Path

from ldae.workflow.entry import rule_entry

with rule_entry(snakemake):
    import pytest

    Path(snakemake.output.facts).write_text(json.dumps({"found": bool(pytest.__version__)}))
