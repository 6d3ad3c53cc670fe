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

from ldae.diffusion.sampler import MULTISTEP, Sampler
from ldae.evaluation.interpolation import decode_between
from ldae.methods import VOXEL_MODELS
from ldae.models.inference import encode_stochastic, sample
from ldae.statistics.tables import tidy

if TYPE_CHECKING:
    from ldae.data.volumes import VolumeStore
    from ldae.models.base import DiffusionAutoencoder

logger = logging.getLogger(__name__)

BASELINE = "voxel_dae"
"""The voxel-space model, sampled as in the paper."""


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
        return max(accumulate((e.nbytes() for e in events), initial=0))


class _Counted:
    """A model whose network evaluations are counted, otherwise the model itself."""

    def __init__(self, model: DiffusionAutoencoder) -> None:
        self._model = model
        self.evaluations = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def noise(self, z_t: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        self.evaluations += 1
        return self._model.noise(z_t, t, y)


@torch.inference_mode()
def measure_throughput(
    store: VolumeStore,
    models: Mapping[str, DiffusionAutoencoder],
    *,
    n_steps: int,
    multistep_steps: int,
    n_scans: int,
    n_repeats: int,
    seed: int,
    cohort: str,
    split: str = "test",
) -> pd.DataFrame:
    """Cost of each operation for each model, on the same scans, device and process.

    Operations: ``encode_semantic`` (y), ``encode`` (y and z_T), ``reconstruct`` (encode and
    decode), and ``interpolate`` (two scans encoded, one decoded, per answer).  Every operation runs
    once for its memory and as a warm-up, then `n_repeats` times for its time, models in turn; the
    value is the median, the interval the least and the largest.  ``speed_ratio`` is the seconds of
    ``voxel_dae`` over another model's, ``speed_ratio_same_sampler`` those of the voxel-space model
    with the other's sampler and steps: what is gained by the latent space alone.

    Parameters
    ----------
    store
        The packed scans.
    models
        Models with a semantic code, by method.
    n_steps
        Sampler steps, each way, of models that sample with DDIM.
    multistep_steps
        The same of models with the sampler of second order, which needs fewer for the same result.
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
    steps = {
        name: multistep_steps if model.sampler is MULTISTEP else n_steps
        for name, model in models.items()
    }
    scans = {name: x_cpu.to(model.device) for name, model in models.items()}
    seconds: dict[tuple[str, str], list[float]] = {}
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
    for _ in range(n_repeats):
        for name, model in models.items():
            for operation, run in _operations(model, scans[name], steps[name]).items():
                elapsed = _seconds(run, model.device)
                seconds.setdefault((name, operation), []).append(elapsed / len(rows))
    return _tabulate(
        seconds, memory, evaluations, models, store.index.iloc[rows], steps, seed, cohort, split
    )


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

    def interpolate() -> Tensor:
        y, z_T = encode()  # noqa: N806
        # The other visit is encoded as well: a stranger costs what a second visit does.
        other_y, other_z = encode()
        alpha = torch.full((len(x),), 0.5, device=x.device)
        return decode_between(model, y, other_y.roll(1, 0), z_T, other_z.roll(1, 0), alpha, n_steps)

    return {
        "encode_semantic": lambda: model.semantic_code(x),
        "encode": encode,
        "reconstruct": reconstruct,
        "interpolate": interpolate,
    }


def _tabulate(
    seconds: dict[tuple[str, str], list[float]],
    memory: Mapping[tuple[str, str], float],
    evaluations: dict[tuple[str, str], int],
    models: Mapping[str, DiffusionAutoencoder],
    scans: pd.DataFrame,
    steps: Mapping[str, int],
    seed: int,
    cohort: str,
    split: str,
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for (method, operation), values in seconds.items():
        device = models[method].device
        on_cpu = device.type == "cpu"
        common: dict[str, object] = {
            "method": method,
            "operation": operation,
            "steps": 0 if operation == "encode_semantic" else steps[method],
            "batch_size": len(scans),
            "device": f"cpu, {torch.get_num_threads()} threads"
            if on_cpu
            else torch.cuda.get_device_name(device),
            "n_subjects": scans["subject"].nunique(),
            "n_scans": len(scans),
        }
        spread = f"median of {len(values)} runs, interval from least to largest"
        rows.append(
            common
            | {"metric": "seconds_per_scan", "value": statistics.median(values)}
            | {"ci_low": min(values), "ci_high": max(values), "note": spread}
        )
        rows.append(
            common
            | {"metric": "peak_memory_mb", "value": memory[method, operation]}
            | {"note": MEMORY_NOTE if on_cpu else MEMORY_NOTE + ", and the kernels' scratch memory"}
        )
        count = evaluations[method, operation]
        rows.append(common | {"metric": "network_evaluations", "value": count})
        if method != BASELINE and BASELINE in models:
            ratio = _ratio(seconds[BASELINE, operation], values)
            note = f"seconds of {BASELINE}, at its own steps, over the method's"
            rows.append(common | {"metric": "speed_ratio", "note": note} | ratio)
        twin = _voxel_model(models, models[method].sampler)
        if twin is not None and method not in VOXEL_MODELS:
            ratio = _ratio(seconds[twin, operation], values)
            note = "seconds of the voxel-space model with the method's sampler and steps over its"
            rows.append(common | {"metric": "speed_ratio_same_sampler", "note": note} | ratio)
    table = pd.DataFrame(rows)
    table["steps"] = table["steps"].astype("Int64").mask(table["steps"] == 0)
    seeds = {method: [seed] for method in table["method"].unique()}
    return tidy(table, "throughput", cohort=cohort, seeds=seeds, split=split)


def _voxel_model(models: Mapping[str, DiffusionAutoencoder], sampler: Sampler) -> str | None:
    """Name of the voxel-space model with a sampler; None where there is none."""
    return next((n for n, m in models.items() if n in VOXEL_MODELS and m.sampler is sampler), None)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Their median over ours, and the least and the largest ratio of runs made in turn."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    value = statistics.median(theirs) / statistics.median(ours)
    return {"value": value, "ci_low": min(ratios), "ci_high": max(ratios)}
