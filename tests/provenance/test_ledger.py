"""The ledger counts how often test participants were scored, from the records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ldae.leakage import scored_participants
from ldae.provenance.history import History, Job, Status
from ldae.provenance.ledger import (
    COLUMNS,
    Scoring,
    describe_scorings,
    read_scorings,
    write_ledger,
)
from ldae.provenance.record import settings_digest
from ldae.statistics.predictions import write_predictions
from ldae.statistics.scores import write_scores

START = datetime(2026, 11, 28, 9, tzinfo=UTC)


def history_of(*jobs: tuple[str, str, str, list[str]]) -> History:
    """Jobs an hour apart: case, commit, settings, scored."""
    found = []
    for number, (case, commit, settings, scored) in enumerate(jobs):
        start = START + timedelta(hours=number)
        record: dict[str, Any] = {"commit": commit, "dirty": False, "settings": settings}
        found.append(
            Job(
                id=str(number), rule=case, wildcards={}, case=case, status=Status.COMPLETED,
                start=start, end=start + timedelta(minutes=1),
                record=record | {"scored": scored}, inputs=(), outputs=(),
            )
        )  # fmt: skip
    return History(Path("results"), tuple(found))


ONE, BOTH, OTHER = ["sub-1"], ["sub-1", "sub-2"], ["sub-3"]


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([("train", "c", "s", [])], []),
        ([("a", "c", "s", ONE), ("train", "c", "s", []), ("b", "c", "s", BOTH)], [(2, 2, 0, 0)]),
        # other settings; other code; the same job once more; other participants
        ([("a", "c", "s", ONE), ("a", "c", "t", ONE)], [(1, 1, 0, 0), (1, 1, 1, 1)]),
        ([("a", "c", "s", ONE), ("b", "d", "s", ONE)], [(1, 1, 0, 0), (1, 1, 1, 1)]),
        ([("a", "c", "s", ONE)] * 3, [(1, 1, 0, 0), (1, 1, 1, 1), (1, 1, 2, 1)]),
        ([("a", "c", "s", ONE), ("a", "c", "t", OTHER)], [(1, 1, 0, 0), (1, 1, 0, 0)]),
    ],
)  # fmt: skip
def test_scorings_end_where_settings_code_or_jobs_come_again(
    jobs: list[tuple[str, str, str, list[str]]], expected: list[tuple[int, ...]]
) -> None:
    found = read_scorings(history_of(*jobs))
    counts = [(s.n_subjects, s.n_jobs, s.times_before, s.settings_before) for s in found]
    assert counts == expected


def test_ledger_is_a_table_also_without_lines(tmp_path: Path) -> None:
    path = tmp_path / "ledger.tsv"
    write_ledger([], path)
    assert path.read_text() == "\t".join(COLUMNS) + "\n"
    write_ledger(read_scorings(history_of(("a", "c", "s", ONE), ("a", "d", "s", BOTH))), path)
    table = pd.read_csv(path, sep="\t")
    assert table["first"].tolist() == ["2026-11-28 09:00 UTC", "2026-11-28 10:00 UTC"]
    assert table["commit"].tolist() == ["c", "d"]


@pytest.mark.parametrize(
    ("final", "n", "words"),
    [
        (False, 0, "have not been scored"),
        (False, 1, "test participants were scored once in this folder."),
        (True, 2, "participants, who were scored 2 times in this folder, with 1 set of settings."),
        (True, 0, "are of test participants."),
    ],
)
def test_the_report_says_how_often(final: bool, n: int, words: str) -> None:
    scorings = [Scoring(START, START, "c", "s", 1, 1, k, 1) for k in range(n)]
    assert words in describe_scorings(scorings, final=final)


def test_settings_that_change_no_number_change_no_digest() -> None:
    settings = {"seed": 1, "final": False, "pathvars": {"results": "a"}}
    assert settings_digest(settings) == settings_digest(
        {"pathvars": {"results": "b"}, "title": "t", "final": True, "seed": 1}
    )
    assert settings_digest(settings) != settings_digest(settings | {"seed": 2})


def test_writing_numbers_of_test_participants_is_noted(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "task": "age",
            "scan": ["a", "b"],
            "subject": ["noted-1", "val-1"],
            "split": ["test", "val"],
        }
        | {"target": 1.0, "prediction": 2.0, "label": ""}
    )
    write_predictions(rows, "ldae", 0, tmp_path / "p.tsv")
    scores = pd.DataFrame(
        {"method": "ldae", "subject": ["noted-2"], "scan": "a", "metric": "mse", "value": np.pi}
    )
    write_scores(scores, "reconstruction", 0, "test", tmp_path / "s.tsv")
    write_scores(scores.assign(subject="val-2"), "reconstruction", 0, "val", tmp_path / "v.tsv")
    assert {"noted-1", "noted-2"} <= set(scored_participants())
    assert not {"val-1", "val-2"} & set(scored_participants())
