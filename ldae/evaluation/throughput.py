"""Seconds, memory and network evaluations of each operation, side by side for several models."""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ldae.diffusion.ddim import NoisePredictor
from ldae.evaluation.interpolation import decode_between
from ldae.methods import Methods, Space
from ldae.models.inference import encode_stochastic, sample
from ldae.networks.residual import Visits
from ldae.statistics.tables import tidy

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

logger = logging.getLogger(__name__)

GAP_MONTHS = 12.0
"""Time between the two visits that are interpolated; it changes nothing about the cost."""

MEMORY_NOTE = "what tensors hold at most above the inputs and weights"


class PeakMemory:
    """Most that tensors hold above what they held on entry, in MB (10⁶ bytes), inside the block.

    On CUDA by the allocator's own maximum, to which the scratch memory of kernels belongs; on the
    CPU by the allocations and releases that torch's profiler sees, which slow the block down,
    without what a library's call takes for itself.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.megabytes = 0.0

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
        else:
            # Its library tells standard error about every start and stop otherwise.
            os.environ.setdefault("KINETO_LOG_LEVEL", "99")
            self._profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
            self._profiler.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            peak = torch.cuda.max_memory_allocated(self.device) - self._start
        else:
            self._profiler.__exit__(kind, error, trace)
            peak = self._largest_sum()
        self.megabytes = peak / 1e6

    def _largest_sum(self) -> int:
        """Largest running sum of the bytes allocated and released, in order of time."""
        # torch's stubs leave these out
        results: Any = self._profiler.profiler.kineto_results  # type: ignore[union-attr]
        events = [e for e in results.events() if e.name() == "[memory]"]
        events.sort(key=lambda e: e.start_ns())
        return max(accumulate((int(e.nbytes()) for e in events), initial=0))


class _Counted:
    """A model whose network evaluations are counted, otherwise the model itself."""

    def __init__(self, model: DiffusionAutoencoder) -> None:
        self._model = model
        self.evaluations = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def noise_given(self, y: Tensor | None) -> NoisePredictor:
        predict = self._model.noise_given(y)

        def counted(z_t: Tensor, t: Tensor) -> Tensor:
            self.evaluations += 1
            return predict(z_t, t)

        return counted


@torch.inference_mode()
def measure_throughput(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    methods: Methods,
    *,
    steps: Mapping[str, int],
    n_scans: int,
    n_repeats: int,
    seed: int,
    cohort: str,
    split: str = "test",
) -> pd.DataFrame:
    """Cost of each operation for each model, on the same scans, device and process.

    Operations: ``encode_semantic`` (y), ``encode`` (y and z_T), ``reconstruct`` (encode and
    decode), and ``interpolate`` (two scans encoded, one decoded, per answer; a model that fills in
    visits needs their latents only). Every operation runs
    once for its memory and as a warm-up, then `n_repeats` times for its time, models in turn; the
    value is the median, the interval the least and the largest. ``speed_ratio`` is the seconds of
    the first model in voxel space over another model's, ``speed_ratio_same_sampler`` those of the
    voxel-space model with the other's sampler and steps: what is gained by the latent space alone.

    Parameters
    ----------
    store
        The packed scans.
    models
        Models with a semantic code, by method.
    methods
        The methods of `models`.
    steps
        Sampler steps, each way, by the sampler's name; ``default`` for samplers not named.
    n_scans
        Scans per batch; interpolation pairs each with its neighbour in the batch.
    n_repeats
        Measured runs.
    seed, cohort, split
        Training seed of the models and names, for the table; the split's first scans are used.

    Returns
    -------
    pandas.DataFrame
        Table ``throughput``: metrics ``seconds_per_scan``, ``peak_memory_mb``,
        ``network_evaluations``, ``speed_ratio``, ``speed_ratio_same_sampler``.
    """
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, got {n_repeats}")
    rows = store.rows(split)[:n_scans]
    if len(rows) == 0:
        raise ValueError(f"no scan in the split {split}")
    x_cpu = store.batch(rows)
    steps_of = {
        name: steps.get(model.sampler.name, steps["default"]) for name, model in models.items()
    }
    scans = {name: x_cpu.to(model.device) for name, model in models.items()}
    seconds: dict[tuple[str, str], list[float]] = {}
    memory, evaluations = _first_runs(models, scans, steps_of)
    for _ in range(n_repeats):
        for name, model in models.items():
            for operation, run in _operations(model, scans[name], steps_of[name]).items():
                elapsed = _seconds(run, model.device)
                seconds.setdefault((name, operation), []).append(elapsed / len(rows))
    measured: list[dict[str, object]] = []
    for (name, operation), values in seconds.items():
        device = models[name].device
        common = {
            "method": name,
            "operation": operation,
            "steps": 0 if operation == "encode_semantic" else steps_of[name],
            "device": _device_name(device),
        }
        cost = _costs(values, memory[name, operation], evaluations[name, operation], device)
        measured += [common | row for row in cost + _ratios(seconds, name, operation, methods)]
    scanned = store.index.iloc[rows]
    table = pd.DataFrame(measured).assign(
        batch_size=len(rows), n_subjects=scanned["subject"].nunique(), n_scans=len(rows)
    )
    table["steps"] = table["steps"].astype("Int64").mask(table["steps"] == 0)
    seeds = {name: [seed] for name in models}
    return tidy(table, "throughput", cohort=cohort, seeds=seeds, split=split)


def _first_runs(
    models: Mapping[str, DiffusionAutoencoder],
    scans: Mapping[str, Tensor],
    steps: Mapping[str, int],
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], int]]:
    """Memory (MB) and network evaluations by model and operation; also the warm-up."""
    memory: dict[tuple[str, str], float] = {}
    evaluations: dict[tuple[str, str], int] = {}
    for name, model in models.items():
        counted = _Counted(model)
        for operation, run in _operations(counted, scans[name], steps[name]).items():  # type: ignore[arg-type]
            counted.evaluations = 0
            with PeakMemory(model.device) as peak:
                run()
            memory[name, operation] = peak.megabytes
            evaluations[name, operation] = counted.evaluations
    return memory, evaluations


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Seconds that a call takes, with all that it leaves to the GPU."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _operations(
    model: DiffusionAutoencoder, x: Tensor, n_steps: int
) -> dict[str, Callable[[], object]]:
    """What is timed; each call does all of its work, nothing is shared between them."""

    def encode() -> tuple[Tensor, Tensor]:
        y = model.semantic_code(x)
        if y is None:
            raise ValueError("throughput is measured for models with a semantic code")
        return y, encode_stochastic(model, model.to_latent(x), y, n_steps)

    def reconstruct() -> Tensor:
        y, z_T = encode()  # noqa: N806
        return model.from_latent(sample(model, z_T, y, n_steps))

    alpha = torch.full((len(x),), 0.5, device=x.device)
    gap = torch.full((len(x),), GAP_MONTHS, device=x.device)

    def interpolate() -> Tensor:
        if model.fill_in is not None:
            visit, other = (Visits(x, model.to_latent(x)) for _ in range(2))
            return model.fill_in(
                visit, Visits(other.x.roll(1, 0), other.z_0.roll(1, 0)), alpha, gap
            )
        y, z_T = encode()  # noqa: N806
        # The other visit is encoded as well: a stranger costs what a second visit does.
        other_y, other_z = encode()
        return decode_between(model, y, other_y.roll(1, 0), z_T, other_z.roll(1, 0), alpha, n_steps)

    return {
        "encode_semantic": lambda: model.semantic_code(x),
        "encode": encode,
        "reconstruct": reconstruct,
        "interpolate": interpolate,
    }


def _costs(
    seconds: Sequence[float], memory: float, evaluations: int, device: torch.device
) -> list[dict[str, object]]:
    """Rows of one operation's time, memory and network evaluations."""
    spread = f"median of {len(seconds)} runs, interval from least to largest"
    scratch = "" if device.type == "cpu" else ", and the kernels' scratch memory"
    return [
        {"metric": "seconds_per_scan", "value": statistics.median(seconds), "note": spread}
        | {"ci_low": min(seconds), "ci_high": max(seconds)},
        {"metric": "peak_memory_mb", "value": memory, "note": f"{MEMORY_NOTE}{scratch}"},
        {"metric": "network_evaluations", "value": evaluations},
    ]


def _ratios(
    seconds: Mapping[tuple[str, str], Sequence[float]], name: str, operation: str, methods: Methods
) -> list[dict[str, object]]:
    """Rows of one operation's speed against voxel space, as far as it is measured."""
    measured = {other for other, _ in seconds}
    in_voxels = [m for m in methods.values() if m.name in measured and m.space is Space.VOXEL]
    ours = seconds[name, operation]
    rows: list[dict[str, object]] = []
    if in_voxels and name != in_voxels[0].name:
        baseline = in_voxels[0].name
        note = f"seconds of {baseline}, at its own steps, over the method's"
        ratio = _ratio(seconds[baseline, operation], ours)
        rows.append({"metric": "speed_ratio", "note": note, **ratio})
    twins = [m.name for m in in_voxels if m.sampler == methods[name].sampler]
    if twins and methods[name].space is not Space.VOXEL:
        note = "seconds of the voxel-space model with the method's sampler and steps over its"
        ratio = _ratio(seconds[twins[0], operation], ours)
        rows.append({"metric": "speed_ratio_same_sampler", "note": note, **ratio})
    return rows


def _device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return torch.cuda.get_device_name(device)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Their median over ours, and the least and the largest ratio of runs made in turn."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    value = statistics.median(theirs) / statistics.median(ours)
    return {"value": value, "ci_low": min(ratios), "ci_high": max(ratios)}
