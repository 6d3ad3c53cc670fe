"""The whole study in miniature on volumes that are no brains, by settings alone.

It runs with an umask of 077, as the micro study does with one of 002.
"""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import MICRO, commit_workflow, copy_workflow, micro_settings, run_snakemake
from fruits import MONTHS, N_FRUITS, SETTINGS, write_fruits

pytestmark = pytest.mark.workflow

NOT_NEEDED = ("variants", "ablations", "cohort", "preprocessing")
UMASK = 0o077


@pytest.fixture(scope="module")
def fruits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the study."""
    folder = tmp_path_factory.mktemp("fruits")
    micro = yaml.safe_load(micro_settings())
    settings = {name: micro[name] for name in micro if name not in NOT_NEEDED} | SETTINGS
    settings["quality"] = micro["quality"] | SETTINGS["quality"]
    settings["bids_folder"] = str(folder / "fruits")
    write_fruits(folder / "fruits", settings["grid"])
    workflow = copy_workflow(folder / "workflow")
    (workflow / "fruits.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    commit_workflow(workflow)
    study = ["fruits.yaml" if word == "micro.yaml" else word for word in MICRO]
    done = run_snakemake(workflow, *study, umask=UMASK, prepared=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return workflow / "results/fruits"


def test_every_fruit_takes_part(fruits: Path) -> None:
    scans = pd.read_csv(fruits / "manifest/scans.tsv", sep="\t")
    assert len(scans) == N_FRUITS * len(MONTHS)
    assert scans["diagnosis"].value_counts().to_dict() == {"ripe": 24, "rotten": 24}
    qc = pd.read_csv(fruits / "qc/qc.tsv", sep="\t", keep_default_na=False)
    assert set(qc["status"]) == {"pass"}, qc["reason"].unique()


def test_all_tables_and_figures_are_there(fruits: Path) -> None:
    made = {path.stem for path in (fruits / "tables").glob("*.tsv")}
    assert {"probes", "reconstruction", "interpolation", "manipulation", "verdicts"} <= made
    probes = pd.read_csv(fruits / "tables/probes.tsv", sep="\t")
    assert {"age", "ad_vs_cn"} <= set(probes["task"])
    triples = pd.read_csv(fruits / "tables/interpolation.tsv", sep="\t")
    assert triples["value"].notna().any()
    assert {"roc", "age", "manipulation_age"} <= {p.stem for p in (fruits / "figures").glob("*")}


def test_masks_are_those_of_the_fruits(fruits: Path) -> None:
    masks = np.load(fruits / "volumes/masks.npy", mmap_mode="r")
    assert len(masks) == N_FRUITS * len(MONTHS) and 0.1 < float(np.mean(masks)) < 0.5


def test_the_audit_passes(fruits: Path) -> None:
    page = (fruits / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<b>PASSED: 0 errors, [^<]*</b>", page)
    records = [json.loads(path.read_text()) for path in (fruits / "records").rglob("*.json")]
    assert {one["rule"] for one in records} >= {"preprocess_scan", "train_network", "build_report"}


def test_what_is_written_is_for_its_owner_alone(fruits: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in fruits.rglob("*")}
    assert {path: oct(mode) for path, mode in modes.items() if mode & UMASK} == {}
