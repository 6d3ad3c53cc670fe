"""Memory that the jobs of finished studies asked for and held, rule by rule.

    .venv/bin/python -m benchmarks.memory_asked results results/ixi results/simulated > memory.md

From the jobs' records: what a rule asks for (``mem_mb``) grows with scans and grid by the formulas
in ``rules/``, what a job held is the largest resident memory of its process and of its workers.
The largest job of each rule counts. A study's column is headed by its scans and grid.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ldae.provenance.record import COMPLETED

MB_PER_MIB = 1.048576


def finished_jobs(results: Path) -> Iterator[dict[str, Any]]:
    """Records of the jobs that succeeded."""
    for path in sorted((results / "records").rglob("*.json")):
        if not path.name.endswith(".started.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["status"] == COMPLETED and record["peak_memory"]:
                yield record


def memory_of(results: Path) -> pd.Series:
    """``held / asked`` in MB of each rule's largest job; the name says which study it is."""
    largest: dict[str, tuple[float, float]] = {}
    for record in finished_jobs(results):
        peak = record["peak_memory"]
        held = MB_PER_MIB * sum(peak[name] or 0 for name in ("process_mib", "child_mib"))
        largest[record["rule"]] = max(
            largest.get(record["rule"], (0.0, 0.0)), (held, float(record["resources"]["mem_mb"]))
        )
    config = yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8"))
    scans = len(pd.read_csv(results / "volumes" / "index.tsv", sep="\t"))
    shape = "×".join(str(n) for n in config["grid"]["shape"])
    cells = {rule: f"{held:,.0f} / {asked:,.0f}" for rule, (held, asked) in largest.items()}
    return pd.Series(cells, name=f"{scans} scans of {shape}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", help="results folders of studies")
    columns = [memory_of(path) for path in parser.parse_args().results]
    table = pd.concat(columns, axis=1).fillna("").sort_index()
    sys.stdout.write(f"{table.to_markdown()}\n")


if __name__ == "__main__":
    main()
