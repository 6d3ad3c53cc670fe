"""The schema of results, their bytes, and their readable form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ldae.errors import InputError
from ldae.statistics.tables import (
    CONDITION_COLUMNS,
    blocks,
    read_table,
    readable,
    table_columns,
    tidy,
    write_table,
)


def example() -> pd.DataFrame:
    rows = [
        {"method": m, "task": t, "metric": k, "value": v, "ci_low": v - 0.1, "ci_high": v + 0.1}
        | {"n_subjects": 10, "n_scans": 20, "split": "test"}
        for m in ("ldae", "voxel_pca")
        for t, k, v in (("ad_vs_cn", "roc_auc", 0.8), ("age", "mae", 12.3456789))
    ]
    return tidy(rows, "probes", cohort="toy", seeds={"ldae": [7]})


@pytest.mark.parametrize("table", CONDITION_COLUMNS)
def test_schema_is_complete_and_ordered(table: str) -> None:
    frame = tidy([{"method": "ldae", "metric": "mse", "value": 1}], table, cohort="c", seeds={})
    assert list(frame.columns) == table_columns(table)
    assert list(frame.columns[:3]) == ["cohort", "split", "method"]


def test_unknown_columns_are_an_error() -> None:
    with pytest.raises(ValueError, match="colour"):
        tidy(
            [{"method": "a", "metric": "b", "value": 1, "colour": 2}],
            "probes",
            cohort="c",
            seeds={},
        )


def test_written_table_is_read_back_and_equal_numbers_give_equal_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tsv", "a.md", "b.tsv", "b.md")]
    write_table(example(), *paths[:2])
    write_table(example(), *paths[2:])
    assert paths[0].read_bytes() == paths[2].read_bytes()
    back = read_table(paths[0])
    np.testing.assert_allclose(back["value"], example()["value"], rtol=1e-5)
    text = paths[1].read_text()
    assert "0.800 [0.700, 0.900]" in text and "10 participants" in text
    assert "training seed 7 (shared by all trainings: voxel_pca);" in text
    assert back.loc[back["method"] == "voxel_pca", "seed"].eq("shared").all()


def test_readable_table_has_one_row_per_method_and_condition() -> None:
    wide = readable(example())
    assert list(wide.columns) == ["method", "task", "roc_auc", "mae"]
    assert len(wide) == 4


def test_metrics_with_and_without_window_are_in_one_row() -> None:
    rows = [
        {"method": "ldae", "metric": metric, "value": value, "window": window}
        for metric, value, window in (("ssim", 0.9, 3), ("ssim", 0.8, 11), ("mse", 0.1, None))
    ]
    wide = readable(tidy(rows, "reconstruction", cohort="toy", seeds={"ldae": [0]}))
    assert list(wide.columns) == ["method", "ssim (window 3)", "ssim (window 11)", "mse"]
    assert wide.to_numpy().tolist() == [["ldae", "0.900", "0.800", "0.100"]]


def test_empty_cell_and_its_note_are_shown(tmp_path: Path) -> None:
    frame = tidy(
        [{"method": "ldae", "metric": "lpips", "value": np.nan, "note": "no weights"}],
        "reconstruction",
        cohort="c",
        seeds={},
    )
    write_table(frame, tmp_path / "t.tsv", tmp_path / "t.md")
    assert (
        "–" in (tmp_path / "t.md").read_text() and "no weights" in (tmp_path / "t.md").read_text()
    )


def test_claims_are_shown_separately(tmp_path: Path) -> None:
    rows = [
        {"method": "ldae", "claim": "age", "metric": "mae", "value": 5.0},
        {"method": "ldae", "claim": "speed", "metric": "speed_ratio", "value": 9.0},
    ]
    table = tidy(rows, "claims", cohort="toy", seeds={})
    assert [name for name, _ in blocks(table)] == ["age", "speed"]
    write_table(table, tmp_path / "c.tsv", tmp_path / "c.md")
    text = (tmp_path / "c.md").read_text()
    first, second = text.split("## Speed")
    assert "## Age" in first and "mae" in first and "speed_ratio" not in first
    assert "speed_ratio" in second and "mae" not in second


def test_claims_are_shown_by_protocol_and_other_tables_by_task() -> None:
    rows = [
        {"method": "ldae", "claim": "age", "protocol": protocol, "metric": "mae", "value": 5.0}
        for protocol in ("paper", "workflow")
    ]
    claims = tidy(rows, "claims", cohort="toy", seeds={})
    by = [f"age, by the {protocol}'s protocol" for protocol in ("paper", "workflow")]
    assert [name for name, _ in blocks(claims)] == by
    assert [name for name, _ in blocks(example())] == ["ad_vs_cn", "age"]


def test_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"x\.tsv"):
        read_table(tmp_path / "x.tsv")
