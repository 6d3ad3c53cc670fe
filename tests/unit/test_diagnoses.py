"""Patients and controls are found by a study's own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ldae.data.diagnoses import Diagnoses
from ldae.evaluation.probes.fitting import fit_probes, probe_tasks
from ldae.statistics.measures import AD_VS_CN
from ldae.workflow.config import complete_config
from ldae.workflow.plan import plan_study, summarise_cohort

WORDS = Diagnoses("dementia", "healthy")


def test_other_diagnoses_stand_for_no_group() -> None:
    known = pd.Series(["dementia", "healthy", "MCI", ""])
    np.testing.assert_array_equal(WORDS.target(known), [1, 0, np.nan, np.nan])
    assert WORDS.missing(known) == [] and WORDS.missing(known[:1]) == ["healthy"]


def test_probes_read_the_studys_words() -> None:
    rng = np.random.default_rng(0)
    sick = np.arange(40) % 2 == 1
    index = pd.DataFrame(
        {
            "subject": [f"sub-{i}" for i in range(40)],
            "scan": [f"scan-{i}" for i in range(40)],
            "diagnosis": np.where(sick, "dementia", "healthy"),
            "age": 70.0,
            "sex": "F",
            "split": np.where(np.arange(40) < 30, "train", "test"),
        }
    )
    codes = rng.normal(size=(40, 3)) + 3 * sick[:, None]
    grids = {"c_grid": [1.0], "alpha_grid": [1.0], "n_folds": 3, "outer_folds": None, "seed": 0}
    probes, predictions = fit_probes(codes, index, WORDS, **grids)
    assert list(probes) == [AD_VS_CN]
    assert (predictions["label"] == np.where(sick, "dementia", "healthy")).all()
    assert probe_tasks(index, Diagnoses("AD", "CN")) == []


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """BIDS folder of patients called Dementia and controls called NL."""
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for i in range(12):
        name = f"sub-{i:02d}"
        image = tmp_path / name / "anat" / f"{name}_T1w.nii.gz"
        image.parent.mkdir(parents=True)
        image.write_bytes(name.encode())
        rows.append(f"{name}\t{60 + i}\t{'FM'[i % 2]}\t{('Dementia', 'NL')[i % 2]}")
    (tmp_path / "participants.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_plan_finds_the_groups_by_a_map_and_says_which_words_there_are(
    cohort: Path,
) -> None:
    given = {"cohort": {"source": "bids"}, "bids_folder": str(cohort), "final": True}
    given["pathvars"] = {"results": str(cohort.parent / "results")}
    config = complete_config(given)
    plan = plan_study(config, summarise_cohort(config))
    assert plan.tasks == ("age",)
    reason = str(plan.left_out["task ad_vs_cn"])
    assert "diagnosed AD or CN; its tables have, with numbers of scans, Dementia 6, NL 6" in reason
    proposal = yaml.safe_load(reason.rpartition("in the settings: ")[2])
    words = {"values": {"diagnosis": {"Dementia": "AD", "NL": "CN"}}}
    assert proposal == {"cohort": words}
    config = complete_config({**given, "cohort": {"source": "bids", **words}})
    assert plan_study(config, summarise_cohort(config)).tasks == (AD_VS_CN, "age")
