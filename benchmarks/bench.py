"""Speed of networks, models and stages: a table, a figure, and JSON to compare with later.

    make bench                                      # in build/bench; a quarter of an hour
    make bench BASELINE=earlier/bench.json
    .venv/bin/python -m benchmarks.bench --only reconstruction growth
    .venv/bin/python -m benchmarks.bench --only preprocessing --heads ixi/sub-*/anat/*_T1w.nii.gz

Networks have random weights, which cost what trained ones do. Every number is the median of
repeated runs (torch.utils.benchmark) on otherwise idle cores. Ratios are of runs in one process.
With `--baseline`, what got slower by more than a fifth since an earlier run is listed, and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import anatomical_training, models, study_settings, trainings
from benchmarks.training_profile import PER_STEP, draw_profile, profile_trainings
from ldae.data.partition import OK
from ldae.figures.theme import PALETTE, new_figure, panel_letters, theme
from ldae.models.base import DiffusionAutoencoder
from ldae.models.inference import reconstruct
from ldae.preprocessing import preprocess_batch

logger = logging.getLogger(__name__)

Row = dict[str, Any]

SIZES = {"default": None, "medium": "studies/simulated.yaml", "paper": "studies/adni.yaml"}
"""Name and study of each size of the networks."""

SLOWER = 1.2
"""Ratio to the baseline from which a number is reported as slower."""

TIMES = ("seconds per scan", PER_STEP)
"""Metrics that are compared with the baseline."""

SECONDS = 1.0
"""Least time for which a measurement is repeated."""


def seconds(run: Callable[[], object], threads: int | None = None) -> float:
    """Median seconds of a call, after one for warming up."""
    timer = Timer(
        "run()", globals={"run": run}, num_threads=threads or torch.get_num_threads()
    )  # fmt: skip
    return float(timer.blocked_autorange(min_run_time=SECONDS).median)


def peak_operations() -> float:
    """Operations per second of a large matrix product, the most that this machine reaches."""
    a = torch.rand(2048, 2048)
    return 2 * 2048**3 / seconds(lambda: a @ a)


def networks(options: argparse.Namespace) -> Iterator[Row]:
    """Forward pass and training step of each network: time, operations, share of the peak."""
    peak = peak_operations()
    yield {"name": "matrix product", "size": "2048", "metric": "GFLOP/s", "value": peak / 1e9}
    for size in options.sizes:
        config = study_settings(SIZES[size])
        batch = 1 if size == "paper" else 4
        made = trainings(config, batch)
        if size != "paper":
            made["ldae_anatomical"] = anatomical_training(config, batch)
        for name, (network, forward) in made.items():
            yield from _passes(name, size, batch, network, forward, peak)


def _passes(
    name: str,
    size: str,
    batch: int,
    network: nn.Module,
    forward: Callable[[], torch.Tensor],
    peak: float,
) -> Iterator[Row]:
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad])

    def inference() -> None:
        with torch.inference_mode():
            forward()

    def step() -> None:
        optimizer.zero_grad()
        forward().square().mean().backward()
        optimizer.step()

    with FlopCounterMode(display=False) as counter:
        forward()
    operations = counter.get_total_flops() / batch
    for kind, run, passes in (("forward", inference, 1), ("training step", step, 3)):
        taken = seconds(run) / batch
        row = {"name": name, "size": size, "operation": kind, "batch": batch}
        yield row | {"metric": "seconds per scan", "value": taken}
        yield row | {"metric": "share of peak", "value": passes * operations / taken / peak}


def training(options: argparse.Namespace) -> Iterator[Row]:
    """What a step of every training of the default study takes, and what its time goes to."""
    for row in profile_trainings(study_settings(None)):
        yield {"size": "default"} | row


def reconstruction(options: argparse.Namespace) -> Iterator[Row]:
    """A scan to its codes and back, five steps each way: latent against voxel space."""
    for size in options.sizes:
        if size == "paper":
            continue  # a reconstruction in voxel space takes hours on a processor
        config = study_settings(SIZES[size])
        for batch in (1, 8):
            x = torch.rand(batch, 1, *config["grid"]["shape"])
            taken = {
                name: _reconstruction_seconds(model, x) for name, model in models(config).items()
            }
            for name, value in taken.items():
                row = {"name": name, "size": size, "operation": "reconstruct", "batch": batch}
                yield row | {"metric": "seconds per scan", "value": value}
                if name != "voxel_dae":
                    ratio = taken["voxel_dae"] / value
                    yield row | {"metric": "times as fast as voxel_dae", "value": ratio}


def _reconstruction_seconds(
    model: DiffusionAutoencoder, x: torch.Tensor, threads: int | None = None
) -> float:
    """Seconds per scan of a reconstruction with five steps each way."""
    return seconds(lambda: reconstruct(model, x, 5), threads) / len(x)


def growth(options: argparse.Namespace) -> Iterator[Row]:
    """Seconds of a reconstruction by the recommended model against batch, cores and grid."""
    config = study_settings(None)
    shape = config["grid"]["shape"]
    model = models(config)["ldae_anatomical"]
    for batch in (1, 2, 4, 8, 16, 32):
        yield _growth("batch", batch, _reconstruction_seconds(model, torch.rand(batch, 1, *shape)))
    x = torch.rand(8, 1, *shape)
    for threads in sorted({1, 2, len(os.sched_getaffinity(0))}):
        yield _growth("cores", threads, _reconstruction_seconds(model, x, threads))
    for factor in (1, 1.4, 2):
        grid = [8 * round(edge * factor / 8) for edge in shape]
        config["grid"]["shape"] = grid
        larger = models(config)["ldae_anatomical"]
        value = _reconstruction_seconds(larger, torch.rand(1, 1, *grid))
        yield _growth("voxels", int(np.prod(grid)), value)


def _growth(by: str, at: int, value: float) -> Row:
    return {"name": "ldae_anatomical", "size": "default", "operation": by, "at": at} | {
        "metric": "seconds per scan", "value": value,
    }  # fmt: skip


def scans(options: argparse.Namespace) -> Iterator[Row]:
    """Semantic codes of 10 to 10,000 packed scans, read from disk: time per scan, and memory."""
    config = study_settings(None)
    shape = tuple(config["grid"]["shape"])
    model = models(config)["ldae_anatomical"]
    with tempfile.TemporaryDirectory() as folder:
        for n in (10, 100, 1000, 10_000):
            path = Path(folder) / "volumes.npy"
            size = n * int(np.prod(shape)) * 2
            if shutil.disk_usage(folder).free < 2 * size:
                logger.warning("no room for %d scans", n)
                return
            packed = np.lib.format.open_memmap(path, "w+", np.float16, (n, *shape))
            packed[:] = np.float16(0.5)
            packed.flush()

            def encode(packed: Any = packed, n: int = n) -> None:
                for start in range(0, n, 32):
                    x = torch.from_numpy(packed[start : start + 32].astype(np.float32))[:, None]
                    model.semantic_code(x)

            timer = Timer("encode()", globals={"encode": encode})
            taken = timer.timeit(1).median / n
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            row = _growth("scans", n, taken)
            yield row
            yield row | {"metric": "MiB at most so far", "value": peak}


def preprocessing(options: argparse.Namespace) -> Iterator[Row]:
    """Steps of preprocessing raw heads with deepbet; the first loads networks and is left out."""
    if not options.heads:
        logger.warning("no raw heads (--heads): preprocessing is left out")
        return
    config = study_settings("studies/ixi.yaml")
    folder = Path(os.path.commonpath([head.absolute().parent for head in options.heads]))
    paths = [str(head.absolute().relative_to(folder)) for head in options.heads]
    names = [f"sub-{number:04d}" for number in range(len(paths))]
    heads = pd.DataFrame({"scan": names, "subject": names, "session": "", "path": paths})
    with tempfile.TemporaryDirectory() as out:
        settings, grid = config["preprocessing"], config["grid"]
        done = preprocess_batch(heads, folder, Path(out), settings, grid, n_workers=0)
    taken = done[done["status"].eq(OK)].filter(like="seconds_").iloc[1:].mean()
    taken.index = taken.index.str.removeprefix("seconds_")
    for step, value in [*taken.items(), ("all steps", taken.sum())]:
        row = {"name": step, "operation": "preprocess", "batch": 1}
        yield row | {"metric": "seconds per scan", "value": float(value)}


SECTIONS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "networks": networks,
    "training": training,
    "reconstruction": reconstruction,
    "growth": growth,
    "scans": scans,
    "preprocessing": preprocessing,
}
KEYS = ["section", "name", "size", "operation", "batch", "at", "metric"]


def main() -> int:
    """Run the benchmarks, write what was measured, and compare it with the baseline."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["default", "medium"])
    parser.add_argument("--heads", nargs="+", type=Path, default=[], help="raw T1w heads")
    parser.add_argument("--baseline", type=Path, help="bench.json of an earlier run")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows: list[Row] = []
    for section in options.only:
        for row in SECTIONS[section](options):
            logger.info("%s", {"section": section} | row)
            rows.append({"section": section} | row)
    table = pd.DataFrame(rows).reindex(columns=[*KEYS, "value"])
    options.output.mkdir(parents=True, exist_ok=True)
    write(table, options.output)
    return compare(table, options.baseline) if options.baseline else 0


def machine() -> dict[str, object]:
    """What the numbers depend on beside the code."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def write(table: pd.DataFrame, folder: Path) -> None:
    """Write bench.json, bench.tsv, bench.png, and training.png where trainings were measured."""
    rows = json.loads(table.to_json(orient="records"))
    document = json.dumps({"machine": machine(), "rows": rows}, indent=1)
    (folder / "bench.json").write_text(document + "\n", encoding="utf-8")
    table.to_csv(folder / "bench.tsv", sep="\t", index=False, float_format="%.4g")
    draw(table, folder / "bench.png")
    if (trained := table[table["section"] == "training"]).size:
        draw_profile(trained, folder / "training.png")


def compare(table: pd.DataFrame, baseline: Path) -> int:
    """List what takes longer than in an earlier run; 1 if anything does."""
    document = json.loads(baseline.read_text(encoding="utf-8"))
    if document["machine"] != machine():
        logger.warning("the baseline was measured on another machine: %s", document["machine"])
    earlier = pd.DataFrame(document["rows"])
    both = table.merge(earlier, on=KEYS, suffixes=("", "_before"))
    both = both[both["metric"].isin(TIMES)]
    ratio = both["value"] / both["value_before"]
    slower = both.assign(ratio=ratio)[ratio > SLOWER].drop(columns=["section", "metric"])
    logger.info("%d of %d numbers compared", len(both), len(table))
    if len(slower):
        logger.error("slower than before:\n%s", slower.to_string(index=False))
    return int(len(slower) > 0)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Training steps by network, reconstructions in both spaces, and growth."""
    with theme(), mpl.rc_context({"axes.grid": True}):
        figure = new_figure(2.6)
        axes = figure.subplots(1, 3)
        _bars(axes[0], table[table["operation"] == "training step"], "seconds per scan and step")
        _bars(axes[1], table[table["operation"] == "reconstruct"], "seconds per reconstruction")
        grown = table[table["section"].isin(["growth", "scans"])]
        grown = grown[grown["metric"] == "seconds per scan"]
        for color, (by, rows) in zip(PALETTE.values(), grown.groupby("operation"), strict=False):
            axes[2].loglog(rows["at"], rows["value"], "o-", color=color, label=f"against {by}")
        axes[2].set(xlabel="batch, cores, voxels or scans", ylabel="seconds per scan")
        if len(grown):
            axes[2].legend()
        panel_letters(axes)
        figure.savefig(path)


def _bars(axis: Any, rows: pd.DataFrame, text: str) -> None:
    rows = rows[rows["metric"] == "seconds per scan"]
    batch = rows["batch"].astype("Int64").astype(str)
    names = rows["name"] + ", " + rows["size"] + ", batch " + batch
    axis.barh(names, rows["value"], color=PALETTE["sky"])
    axis.set(xscale="log", xlabel=text)
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=5.5)


if __name__ == "__main__":
    sys.exit(main())
