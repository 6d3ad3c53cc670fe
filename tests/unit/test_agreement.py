"""Measured volumes are held to the right scans of the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.errors import InputError
from ldae.evaluation.agreement import compare_volumes, pair_volumes


def measured(visits: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        for visit in range(visits):
            ventricles = 20 + 3 * i + 2 * visit * (i % 3)
            rows.append(
                {"scan": f"p{i}_{visit}", "subject": f"p{i}", "ventricles_ml": ventricles,
                 "hippocampi_ml": 7 + 0.1 * rng.normal(), "grey_ml": 600.0, "white_ml": 500.0,
                 "brain_ml": 1100.0, "head_ml": 1400.0}
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_scans_meet_by_name_and_agreement_is_exact(tmp_path: Path) -> None:
    table = measured()
    truth = table[["scan"]].assign(ventricles_ml=table["ventricles_ml"] - 5, site="x")
    truth.iloc[::-1].to_csv(tmp_path / "volumes.tsv", sep="\t", index=False)
    result = compare_volumes(
        pair_volumes(table, tmp_path / "volumes.tsv"), cohort="toy", seed=0, n_bootstrap=50
    )
    value = result.set_index(["structure", "metric"])["value"]
    assert set(result["structure"]) == {"ventricles"}
    assert value["ventricles", "correlation"] == pytest.approx(1)
    assert value["ventricles", "change_correlation"] == pytest.approx(1)
    assert value["ventricles", "error_ml"] == value["ventricles", "bias_ml"] == pytest.approx(5)
    counts = result.set_index("metric")["n_scans"]
    assert counts["correlation"] == 24 and counts["change_correlation"] == 12


def test_changes_can_disagree_where_levels_agree(tmp_path: Path) -> None:
    table = measured()
    level = table.groupby("subject")["ventricles_ml"].transform("first")
    truth = table[["scan"]].assign(ventricles_ml=2 * level - table["ventricles_ml"])
    truth.to_csv(tmp_path / "volumes.tsv", sep="\t", index=False)
    result = compare_volumes(
        pair_volumes(table, tmp_path / "volumes.tsv"), cohort="toy", seed=0, n_bootstrap=50
    )
    value = result.set_index("metric")["value"]
    assert value["correlation"] > 0.9 and value["change_correlation"] == pytest.approx(-1)


def test_participants_with_one_scan_are_known_by_their_label(tmp_path: Path) -> None:
    table = measured(visits=1)
    reference = pd.DataFrame({"participant_id": table["subject"], "gm_ml": 610.0, "icv_ml": 1400.0})
    reference.iloc[3:].to_csv(tmp_path / "reference.tsv", sep="\t", index=False)
    pairs = pair_volumes(table, tmp_path / "reference.tsv")
    assert set(pairs["structure"]) == {"grey", "head"} and pairs["scan"].nunique() == 9
    with pytest.raises(InputError, match="one row per subject"):
        pair_volumes(measured(), tmp_path / "reference.tsv")


def test_a_reference_without_names_volumes_or_known_scans_stops(tmp_path: Path) -> None:
    path = tmp_path / "reference.tsv"
    path.write_text("id\tgm_ml\nx\t1\n")
    with pytest.raises(InputError, match="scan or participant_id"):
        pair_volumes(measured(), path)
    path.write_text("scan\tgm_ml\nx\t1\n")
    with pytest.raises(InputError, match="names no scan"):
        pair_volumes(measured(), path)


def test_scans_without_a_reference_volume_are_left_out(tmp_path: Path) -> None:
    table = measured()
    truth = table[["scan", "ventricles_ml"]].astype({"ventricles_ml": float})
    truth.loc[[3, 7], "ventricles_ml"] = np.nan
    truth.to_csv(tmp_path / "volumes.tsv", sep="\t", index=False, na_rep="n/a")
    pairs = pair_volumes(table, tmp_path / "volumes.tsv")
    assert len(pairs) == len(table) - 2
    result = compare_volumes(pairs, cohort="toy", seed=0, n_bootstrap=50)
    assert result.set_index("metric")["value"]["correlation"] == pytest.approx(1)
