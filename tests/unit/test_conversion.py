"""Participants who become patients, against those who stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import write_scans
from ldae.evaluation.probes.fitting import fit_probes, with_conversion
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.statistics.measures import CONVERSION
from ldae.workflow.split_cohort import SplitCohort

DIAGNOSES = Diagnoses("AD", "CN")
C, S, N = 1.0, 0.0, np.nan


@pytest.mark.parametrize(
    ("visits", "target"),
    [
        ({0: "MCI", 12: "MCI", 24: "AD"}, [C, N, N]),
        ({0: "MCI", 36: "AD"}, [C, N]),
        ({0: "MCI", 38: "AD"}, [C, N]),  # a visit of month 36 that took place late
        ({0: "MCI", 48: "AD"}, [S, N]),  # after the time
        ({0: "MCI", 12: "MCI", 36: "MCI"}, [S, N, N]),
        ({0: "MCI", 34: "MCI"}, [S, N]),
        ({0: "MCI", 24: "MCI"}, [N, N]),  # left too early to know
        ({0: "MCI"}, [N]),
        ({0: "MCI", 12: "CN", 36: "MCI"}, [N, N, N]),  # recovered
        ({0: "MCI", 12: "", 24: "AD"}, [C, N, N]),
        ({0: "CN", 12: "MCI", 36: "AD"}, [N, C, N]),  # from the first such visit on
        ({0: "AD", 12: "AD"}, [N, N]),
        ({0: "CN", 36: "AD"}, [N, N]),
        ({24: "AD", 0: "MCI"}, [N, C]),  # rows in any order
    ],
)
def test_who_converts(visits: dict[int, str], target: list[float]) -> None:
    scans = pd.DataFrame({"months": list(visits), "diagnosis": list(visits.values())})
    scans = scans.assign(subject="sub-1").astype({"months": float})
    np.testing.assert_array_equal(DIAGNOSES.conversion(scans), target)


def test_words_and_time_are_settings() -> None:
    scans = pd.DataFrame({"months": [0.0, 18.0], "diagnosis": ["mild", "demented"], "subject": "a"})
    words = Diagnoses("demented", "healthy", "mild", 24)
    np.testing.assert_array_equal(words.conversion(scans), [1, np.nan])
    np.testing.assert_array_equal(
        Diagnoses("demented", "healthy", "mild", 12).conversion(scans), [0, np.nan]
    )


def followed(n_converters: int, n_stable: int) -> pd.DataFrame:
    """Scans of participants who are prodromal at month 0, with a split."""
    rows = []
    for i in range(n_converters + n_stable):
        last = "AD" if i < n_converters else "MCI"
        split = ("train", "train", "train", "val", "test")[i % 5]
        for months, diagnosis in ((0.0, "MCI"), (36.0, last)):
            rows.append({"subject": f"sub-{i}", "months": months, "diagnosis": diagnosis})
            rows[-1] |= {"scan": f"sub-{i}_{months:g}", "session": f"ses-{months:g}"}
            rows[-1] |= {"age": 70.0, "sex": "F", "site": "", "path": "", "sha256": ""}
            rows[-1] |= {"split": split}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("n_converters", "n_stable", "reason"),
    [
        (15, 15, ""),
        (9, 20, "it takes 10 participants converting within"),
        (20, 9, "it takes 10 participants stable within"),
        (0, 0, ""),  # nothing to name where nobody converts
    ],
)
def test_it_takes_ten_of_each(n_converters: int, n_stable: int, reason: str) -> None:
    scans = followed(n_converters, n_stable) if n_converters else followed(0, 1)
    split = scans[["subject", "split"]].drop_duplicates()
    found = SplitCohort(scans.drop(columns="split"), split, "test").why_no_conversion(DIAGNOSES)
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_the_probe_is_in_the_table(tmp_path: Any) -> None:
    """Visits whose scans are not used count too: only first visits have passed here."""
    scans = followed(25, 25)
    write_scans(scans, tmp_path / "scans.tsv")
    index = scans[scans["months"] == 0].reset_index(drop=True)
    converts = np.arange(len(index)) < 25
    codes = np.random.default_rng(0).normal(size=(50, 3)) + 3 * converts[:, None]
    index = with_conversion(index, tmp_path / "scans.tsv", DIAGNOSES)
    np.testing.assert_array_equal(index["converts"], converts)
    probes, predictions = fit_probes(
        codes, index, DIAGNOSES,
        c_grid=[0.1], alpha_grid=[1.0], n_folds=3, outer_folds=None, seed=0,
    )  # fmt: skip
    assert list(probes) == [CONVERSION]
    assert set(predictions["label"]) == {"stable", "converts"}
    table = tabulate_probes({"ldae": predictions}, cohort="toy", seed=0, n_bootstrap=20)
    found = table[table["split"] == "test"].set_index("metric")["value"]
    assert found["roc_auc"] > 0.9 and found["sensitivity"] > 0.7
