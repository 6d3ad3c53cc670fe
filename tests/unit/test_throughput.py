"""Throughput counts evaluations and times every operation of every model."""

from __future__ import annotations

import pytest
import torch
from evaluation_toy import ToyModel, make_store

from ldae.diffusion.sampler import MULTISTEP
from ldae.evaluation.throughput import PeakMemory, measure_throughput
from ldae.methods import METHODS, Methods
from ldae.statistics.tables import table_columns

STUDY = Methods(METHODS)


def test_counts_and_ratios(tmp_path: object) -> None:
    store = make_store(tmp_path, n_subjects=10)  # type: ignore[arg-type]
    joint = ToyModel()
    voxel = ToyModel()
    joint.sampler = voxel.sampler = MULTISTEP
    table = measure_throughput(
        store,
        {
            "ldae": ToyModel(),
            "ldae_joint": joint,
            "voxel_dae": ToyModel(),
            "voxel_dae_multistep": voxel,
        },
        STUDY,
        steps={"default": 6, "multistep": 2},
        n_scans=3,
        n_repeats=2,
        seed=0,
        cohort="toy",
    )
    assert list(table.columns) == table_columns("throughput")
    counts = table[table["metric"] == "network_evaluations"].set_index(["method", "operation"])
    expected = {"encode_semantic": 0, "encode": 6, "reconstruct": 12, "interpolate": 18}
    for (method, operation), row in counts.iterrows():
        fewer = 3 if method in ("ldae_joint", "voxel_dae_multistep") else 1
        assert row["value"] == expected[operation] / fewer
        assert operation == "encode_semantic" or row["steps"] == 6 / fewer
    seconds = table[table["metric"] == "seconds_per_scan"]
    assert (seconds["value"] > 0).all() and (seconds["ci_low"] <= seconds["ci_high"]).all()
    ratio = table[table["metric"] == "speed_ratio"]
    assert set(ratio["method"]) == {"ldae", "ldae_joint", "voxel_dae_multistep"}
    same = table[table["metric"] == "speed_ratio_same_sampler"]
    assert set(same["method"]) == {"ldae", "ldae_joint"}
    median = seconds.set_index(["method", "operation"])["value"]
    for _, row in same.iterrows():
        twin = "voxel_dae" if row["method"] == "ldae" else "voxel_dae_multistep"
        wanted = median[twin, row["operation"]] / median[row["method"], row["operation"]]
        assert row["value"] == pytest.approx(wanted)


def test_peak_memory_sees_an_allocation() -> None:
    with PeakMemory(torch.device("cpu")) as peak:
        block = torch.ones(25_000_000)  # 100 MB
    assert 80 < peak.megabytes < 200
    assert block.sum() == pytest.approx(25e6)
