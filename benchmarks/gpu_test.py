"""Everything that only a GPU can show, in one run of at most 12 minutes.

    make gpu-test                                    # prints a table
    .venv/bin/python -m benchmarks.gpu_test --record # and writes it below docs/results/gpu/
    .venv/bin/python -m benchmarks.gpu_test --small  # tiny networks, also on a processor

In this order: what the node is like; a few steps of every network at the paper's sizes, with time
and memory; a training that is stopped and resumed; two processes against one (NCCL where there are
two GPUs, else gloo); the default study's trainings against the curves of a processor
(docs/results/gpu/processor.tsv). Each part fails alone, and one that would end late is left out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from ldae.errors import Interrupted
from ldae.methods import study_variants
from ldae.networks.weights import read_weights
from ldae.paths import WORKFLOW
from ldae.references import resolve
from ldae.training.job import TrainingJob
from ldae.workflow.config import Config, read_study
from ldae.workflow.doctor.findings import describe
from ldae.workflow.doctor.node import examine_node, title
from ldae.workflow.doctor.trial_arguments import study_trials
from ldae.workflow.doctor.trials import TASKS, trial_data, try_trainings

LIMIT_SECONDS = 720.0
NEEDED = {"steps": 30.0, "resume": 20.0, "processes": 30.0, "curves": 240.0}
"""Seconds that must be left for a part to begin."""

FOLDER = Path("docs/results/gpu")
PROCESSOR = FOLDER / "processor.tsv"
RESULTS = Path("results/gpu_test")
NAME, STEPS, STOPPED_AFTER = "prior", 40, 15
"""The training that is resumed and distributed."""

Row = tuple[str, str, str]
"""Case, measure and value."""

logger = logging.getLogger("gpu_test")


def full_sizes(small: bool) -> dict[str, Any]:
    """Trainings at the paper's sizes, without pretrained weights; or those of smoke.yaml."""
    config = _study("smoke") if small else _study("adni", "bids_folder=unused")
    config["encoder"]["pretrained"] = None
    config["autoencoder"] |= {"perceptual_weight": 0.0, "perceptual_weights_file": None}
    wanted = [v for v in study_variants(config).values() if v.name != "residual"]
    return study_trials(config, wanted)


def steps(small: bool) -> Iterator[Row]:
    """A few steps of every network."""
    for name, found in try_trainings(**full_sizes(small)):
        if isinstance(found, str):
            yield name, "failed", found
            continue
        yield name, "scans at a time", str(found.scans)
        yield name, "seconds per step", f"{found.seconds:.3g}"
        yield name, "memory, GiB", f"{found.mib / 1024:.2f}"
        yield name, "precision", f"{found.precision} on {found.device}"


def train(folder: Path, tag: str, stop_after: int | None = None) -> Path:
    """Train the prior of smoke.yaml on random brains; without dropout, which processes draw apart.

    Parameters
    ----------
    folder
        Folder of the data, written once.
    tag
        Name of the training's files.
    stop_after
        Optimizer step after which the process asks itself to end, as SLURM does.
    """
    tasks = json.loads((folder / TASKS).read_text())
    task = tasks["trainings"][NAME]
    own = task["sections"][NAME] | {"n_steps": STEPS, "dropout": 0.0}
    job = TrainingJob(0, folder / f"{tag}.safetensors", folder / f"{tag}.csv", folder / tag, 60, "")
    left = stop_after

    def stop(*_: Any) -> None:
        nonlocal left
        left = None if left is None else left - 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    handle = register_optimizer_step_post_hook(stop)
    try:
        data = trial_data(folder, tasks, None)
        resolve(task["train"])(data, task["sections"] | {NAME: own}, job)
    finally:
        handle.remove()
    return job.model_path


def difference(one: Path, other: Path) -> str:
    """Largest difference of two files of weights."""
    a, b = read_weights(one)[0], read_weights(other)[0]
    return f"{max(float((a[k].float() - b[k].float()).abs().max()) for k in a):.2g}"


def resume(folder: Path) -> Iterator[Row]:
    """A training that is stopped on request and resumed, against one that is not."""
    straight = train(folder, "straight")
    try:
        train(folder, "resumed", STOPPED_AFTER)
        yield NAME, "failed", "it was not stopped"
    except Interrupted as reason:
        yield NAME, "stopped", str(reason)
    resumed = train(folder, "resumed")
    yield NAME, "largest difference of a weight", difference(straight, resumed)


def processes(folder: Path) -> Iterator[Row]:
    """A training of two processes against one."""
    gpus = torch.cuda.device_count()
    hidden = {} if gpus > 1 else {"CUDA_VISIBLE_DEVICES": ""}
    backend = "nccl on 2 GPUs" if gpus > 1 else "gloo on processors"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1", "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    member = [sys.executable, "-m", "benchmarks.gpu_test", "--member", str(folder)]
    alone = subprocess.Popen([*member, "one"], env=os.environ | hidden)
    codes = [alone.wait(timeout=200)]
    pair = [
        subprocess.Popen(
            [*member, "two"],
            env=os.environ | hidden | shared | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
        )
        for rank in ("0", "1")
    ]
    codes += [process.wait(timeout=200) for process in pair]
    yield NAME, "communication", backend
    if any(codes):
        yield NAME, "failed", f"exit codes {codes}"
        return
    found = difference(folder / "one.safetensors", folder / "two.safetensors")
    yield NAME, "largest difference of a weight", found


def curves(small: bool) -> Iterator[Row]:
    """Losses at the end of the default study's trainings, against those of a processor."""
    study = "smoke" if small else "simulated"
    overlay = RESULTS.with_suffix(".yaml")
    overlay.parent.mkdir(exist_ok=True)
    overlay.write_text(
        f"pathvars: {{results: {RESULTS}}}\n" + ("voxel_dae: {n_steps: 40}\n" * small)
    )
    files = [*([str(WORKFLOW / "studies/smoke.yaml")] if small else []), str(overlay)]
    config = read_study([Path(file) for file in files])
    trained = [v.name for v in study_variants(config).values() if v.network.look and not v.change]
    models = [f"{RESULTS}/{name}/seed-0/model.safetensors" for name in trained]
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", *files]
    done = subprocess.run([*command, "--", *models], check=False)
    if done.returncode:
        yield study, "failed", f"snakemake ended with {done.returncode}"
    reference = pd.read_csv(PROCESSOR, sep="\t").groupby("stage").last()
    for name, place in {"autoencoder": "", **dict.fromkeys(trained, "/seed-0")}.items():
        path = RESULTS / f"{name}{place}/metrics.csv"
        if path.is_file():
            last = pd.read_csv(path).iloc[-1]
            yield name, "validation loss", f"{last['val_loss']:.5g}"
            yield name, "seconds", f"{last['seconds']:.4g}"
            if not small and name in reference.index:
                processor = reference.loc[name]
                yield name, "validation loss on a processor", f"{processor['value']:.5g}"
                yield name, "seconds on a processor", f"{processor['seconds']:.4g}"


def _study(name: str, *settings: str) -> Config:
    return read_study([WORKFLOW / f"studies/{name}.yaml"], settings)


def run_parts(small: bool, record: bool) -> int:
    """Run all parts, print their table, and keep it if `record`; 1 if one of them failed."""
    start = time.monotonic()
    node = describe(title(), examine_node({"gpu": 0 if small else 1}, {}, Path("results")))
    sys.stdout.write(f"{node}\n\n")
    rows: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="ldae-gpu-test-") as name:
        folder = Path(name)
        trials = study_trials(config := _study("smoke"), study_variants(config).values())
        (folder / TASKS).write_text(json.dumps(trials))
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "steps": lambda: steps(small),
            "resume": lambda: resume(folder),
            "processes": lambda: processes(folder),
            "curves": lambda: curves(small),
        }
        for part, rows_of in parts.items():
            if time.monotonic() - start > LIMIT_SECONDS - NEEDED[part]:
                rows.append((part, "", "failed", "no time was left"))
                continue
            logger.info("%s, after %.0f s", part, time.monotonic() - start)
            try:
                rows += [(part, *row) for row in rows_of()]
            except Exception as error:  # noqa: BLE001  each part fails alone
                rows.append((part, "", "failed", f"{type(error).__name__}: {error}"))
    table = pd.DataFrame(rows, columns=["part", "case", "measure", "value"])
    sys.stdout.write(f"{table.to_string(index=False)}\n{time.monotonic() - start:.0f} s\n")
    if record:
        kind = torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"
        stem = "".join(c if c.isalnum() else "_" for c in kind).lower() + "_small" * small
        table.to_csv(FOLDER / f"{stem}.tsv", sep="\t", index=False)
        (FOLDER / f"{stem}.txt").write_text(f"{node}\n", encoding="utf-8")
    return int((table["measure"] == "failed").any())


def main() -> int:
    """Run all parts, or be one process of a training."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--small", action="store_true", help="tiny networks")
    parser.add_argument("--record", action="store_true", help=f"write the table below {FOLDER}")
    parser.add_argument("--member", nargs=2, metavar=("FOLDER", "TAG"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.member:
        train(Path(options.member[0]), options.member[1])
        return 0
    if not options.small and not torch.cuda.is_available():
        logger.error("torch finds no GPU. Try the script itself with --small.")
        return 2
    return run_parts(options.small, options.record)


if __name__ == "__main__":
    sys.exit(main())
