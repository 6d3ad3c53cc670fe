"""Steps of every network of a study on this device, with their time and memory.

Each training runs for a few steps on random brains, with the study's own networks and settings, in
a process of its own: one that is killed for its memory ends alone.

    python -m ldae.workflow.doctor.trials FOLDER NAME
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ldae.errors import OneLineError
from ldae.paths import IS_CLONE, SOURCE
from ldae.references import resolve
from ldae.workflow.doctor.findings import Finding, note, problem

if TYPE_CHECKING:
    from ldae.training.job import TrainingData

TRIAL_SECONDS = 900.0
STEPS = 3
"""Optimizer steps of a trial; the first one chooses kernels and is not timed."""

ON_PROCESSOR = 2
"""Scans per step on a processor, where the whole batch would take minutes."""

PARTICIPANTS = {"train": 6, "val": 2, "test": 2}
VISITS = 3
TASKS = "trials.json"
FILES = {
    "volumes": "volumes.npy", "masks": "masks.npy", "index": "index.tsv", "scans": "scans.tsv",
    "mu": "mu.npy", "sigma": "sigma.npy", "scale": "scale.json",
}  # fmt: skip
"""Data of all trials, by their names as inputs of a training."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What a few steps of a training took.

    Attributes
    ----------
    name
        The network.
    scans
        Scans that were on the device at a time.
    seconds
        Of one optimizer step of so many scans.
    mib
        Peak memory of the GPU, or of the process without one.
    device
        ``cuda`` or ``cpu``.
    precision
        In which it computed, such as ``bf16-mixed``.
    """

    name: str
    scans: int
    seconds: float
    mib: float
    device: str
    precision: str


def try_trainings(
    trainings: Mapping[str, Mapping[str, Any]], shape: Sequence[int]
) -> Iterator[tuple[str, Trial | str]]:
    """Try every training, one after the other.

    Parameters
    ----------
    trainings
        By name: ``train``, a reference; ``sections`` of the settings; and ``stands_on``, the name
        of another training or None.
    shape
        Grid of the scans, (H, W, D).

    Yields
    ------
    tuple
        Name, and what it took or why it failed.
    """
    with tempfile.TemporaryDirectory(prefix="ldae-doctor-") as name:
        folder = Path(name)
        (folder / TASKS).write_text(json.dumps({"shape": shape, "trainings": trainings}))
        for training in trainings:
            yield training, _try_apart(folder, training)


def _try_apart(folder: Path, name: str) -> Trial | str:
    """Try one training in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, str(folder), name]
    found = os.environ | ({"PYTHONPATH": str(SOURCE)} if IS_CLONE else {})
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=found, timeout=TRIAL_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"{STEPS} steps took longer than {TRIAL_SECONDS / 60:.0f} min"
    if done.returncode < 0:
        return f"the process was killed by signal {-done.returncode}, perhaps for its memory"
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return Trial(**json.loads(lines[-1]))


def describe_trials(
    trainings: Mapping[str, Mapping[str, Any]], shape: Sequence[int]
) -> Iterator[Finding]:
    """Findings of all trials."""
    for name, found in try_trainings(trainings, shape):
        if isinstance(found, str):
            remedy = "Reduce micro_batch in its section, or see the message"
            yield problem(name, found, remedy)
            continue
        text = (
            f"{found.seconds:.3g} s a step of {found.scans} scans, {found.mib / 1024:.2f} GiB, "
            f"{found.precision}"
        )
        if found.device == "cpu":
            yield note(name, f"{text}, on the processor")
        else:
            yield Finding(name, text)


def run_trial(folder: Path, name: str) -> Trial:
    """Run the steps of one training on the device that torch finds.

    Parameters
    ----------
    folder
        Folder with the trials; data are written there once.
    name
        The training.
    """
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from ldae.training.fit import training_precision
    from ldae.training.job import TrainingJob

    tasks = json.loads((folder / TASKS).read_text())
    task, cuda = tasks["trainings"][name], torch.cuda.is_available()
    sections = trial_sections(task["sections"], name, cuda)
    data = trial_data(folder, tasks, task["stands_on"])
    times: list[float] = []

    def note_time(*_: Any) -> None:
        if cuda:
            torch.cuda.synchronize()
        times.append(time.monotonic())

    handle = register_optimizer_step_post_hook(note_time)
    job = TrainingJob(
        seed=0,
        model_path=folder / f"{name}.safetensors",
        metrics_path=folder / f"{name}.csv",
        work_dir=folder / "checkpoints" / name,
        checkpoint_minutes=TRIAL_SECONDS,
        code="trial",
    )
    resolve(task["train"])(data, sections, job)
    handle.remove()
    process_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Trial(
        name=name,
        scans=int(sections[name]["batch_size"]),
        seconds=_seconds_per_step(times),
        mib=torch.cuda.max_memory_allocated() / 2**20 if cuda else process_mib,
        device="cuda" if cuda else "cpu",
        precision=training_precision(),
    )


def trial_data(folder: Path, tasks: Mapping[str, Any], stands_on: str | None) -> TrainingData:
    """Random brains for the trials in `tasks`, written once, and the weights of another trial."""
    from ldae.training.job import TrainingData

    if not (folder / FILES["scale"]).is_file():
        write_brains(folder, tasks["shape"], latent_shape(tasks["trainings"], tasks["shape"]))
    below = folder / f"{stands_on}.safetensors" if stands_on else None
    return TrainingData(**{name: folder / file for name, file in FILES.items()}, stands_on=below)


def _seconds_per_step(times: list[float]) -> float:
    """Seconds of a step, from the ends of all optimizers' steps, without the first step."""
    first = len(times) // STEPS - 1
    return (times[-1] - times[first]) / (STEPS - 1)


def trial_sections(
    sections: Mapping[str, Mapping[str, Any]], name: str, cuda: bool
) -> dict[str, dict[str, Any]]:
    """Settings of a training for a few steps of as many scans as a job has on its GPU at a time."""
    short = short_training(sections, name, STEPS)
    own = short[name]
    scans = min(own["batch_size"], own["micro_batch"] or own["batch_size"])
    own["batch_size"] = scans if cuda else min(scans, ON_PROCESSOR)
    return short


def short_training(
    sections: Mapping[str, Mapping[str, Any]], name: str, n_steps: int
) -> dict[str, dict[str, Any]]:
    """Settings of a training that does all that it does in each of `n_steps` steps."""
    own = {**sections[name], "n_steps": n_steps, "n_epochs": None, "n_validations": 1}
    if "adversarial_start" in own:
        own["adversarial_start"] = 0
    return {**{key: dict(section) for key, section in sections.items()}, name: own}


def latent_shape(trainings: Mapping[str, Any], shape: Sequence[int]) -> tuple[int, ...]:
    """Shape (C, h, w, d) of the latents of the study's autoencoder."""
    from ldae.networks.autoencoder import Autoencoder

    settings = trainings["autoencoder"]["sections"]["autoencoder"]
    names = ("patch_size", "channels", "n_res_blocks", "latent_channels", "norm_groups")
    return Autoencoder(**{name: settings[name] for name in names}).latent_shape(shape)


def write_brains(folder: Path, shape: Sequence[int], latents: Sequence[int]) -> None:
    """Write the packed scans, latents and labels of random brains, of three visits each.

    Parameters
    ----------
    folder
        Folder to write to.
    shape, latents
        Of one scan, (H, W, D), and of one latent, (C, h, w, d).
    """
    rng = np.random.default_rng(0)
    splits = [name for name, n in PARTICIPANTS.items() for _ in range(n)]
    rows = [(person, visit) for person in range(len(splits)) for visit in range(VISITS)]
    packed = (len(rows), *shape)
    volumes = np.lib.format.open_memmap(folder / "volumes.npy", "w+", np.float16, packed)
    masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, packed)
    h, w, d = (slice(size // 8, size - size // 8) for size in shape)
    for row in range(len(rows)):
        masks[row, h, w, d] = 1
        volumes[row] = rng.random(tuple(shape), np.float32) * masks[row]
    for name, scale in (("mu", 1.0), ("sigma", 0.1)):
        drawn = rng.standard_normal((len(rows), *latents), np.float32)
        np.save(folder / f"{name}.npy", scale * np.abs(drawn) if name == "sigma" else drawn)
    table = pd.DataFrame(
        {
            "row": range(len(rows)),
            "scan": [f"sub-{person:02d}_ses-{visit}" for person, visit in rows],
            "subject": [f"sub-{person:02d}" for person, _ in rows],
            "session": [f"ses-{visit}" for _, visit in rows],
            "months": [12.0 * visit for _, visit in rows],
            "split": [splits[person] for person, _ in rows],
        }
    )
    table.to_csv(folder / "index.tsv", sep="\t", index=False)
    _write_labels(folder / "scans.tsv", table, rng)
    (folder / "scale.json").write_text(json.dumps({"scale": 1.0}))


def _write_labels(path: Path, table: pd.DataFrame, rng: np.random.Generator) -> None:
    """Write the table of scans with random labels."""
    labels = table.drop(columns=["row", "split"])
    labels["age"] = rng.uniform(60, 80, len(labels)).round(1)
    labels["sex"], labels["site"], labels["path"], labels["sha256"] = "F", "", "none.nii.gz", ""
    patient = pd.factorize(labels["subject"])[0] % 2 == 0
    labels["diagnosis"] = np.where(patient, "AD", "CN")
    labels.to_csv(path, sep="\t", index=False)


def main(folder: Path, name: str) -> int:
    """Print one trial as JSON, or its error as the last line of standard error."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        found = run_trial(folder, name)
    except OneLineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(vars(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
