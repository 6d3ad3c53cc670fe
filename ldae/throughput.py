"""Seconds, memory and network evaluations of each operation, side by side for two models."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd
import torch
from torch import Tensor

from ldae.inference import encode_stochastic, sample
from ldae.interpolation import decode_between
from ldae.tables import tidy

if TYPE_CHECKING:
    from ldae.models import DiffusionAutoencoder
    from ldae.volumes import VolumeStore

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.002
"""How often resident memory is read on the CPU; shorter than any network evaluation."""

REFERENCE, BASELINE = "ldae", "voxel_dae"


class PeakMemory:
    """Rise of memory above its level on entry, in MB (10⁶ bytes), while the block runs.

    On CUDA the allocator's own maximum; on the CPU the resident set, polled from a thread, which
    sees what the process holds and not what it asked for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.megabytes = 0.0

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
            return self
        import psutil

        self._process = psutil.Process()
        self._start = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def _poll(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            peak = torch.cuda.max_memory_allocated(self.device)
        else:
            self._done.set()
            self._thread.join()
            peak = max(self._peak, self._process.memory_info().rss)
        self.megabytes = (peak - self._start) / 1e6


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
    n_scans: int,
    n_repeats: int,
    seed: int,
    cohort: str,
    split: str = "test",
) -> pd.DataFrame:
    """Cost of each operation for each model, on the same scans, device and process.

    Operations: ``encode_semantic`` (y), ``encode`` (y and z_T), ``reconstruct`` (encode and
    decode), and ``interpolate`` (two scans encoded, one decoded, per answer).  Every operation runs
    once unmeasured (warm-up), then `n_repeats` times, models in turn; the value is the median, the
    interval the least and the largest.  ``speed_ratio`` is the voxel model's seconds over the
    latent model's.

    Parameters
    ----------
    store
        The packed scans.
    models
        Models with a semantic code, by method.
    n_steps
        Sampler steps, each way.
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
        ``network_evaluations``, ``speed_ratio``.
    """
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, got {n_repeats}")
    rows = store.rows(split)[:n_scans]
    if len(rows) == 0:
        raise ValueError(f"no scan in the split {split}")
    x_cpu = store.batch(rows)
    wrapped = {name: _Counted(model) for name, model in models.items()}
    scans = {name: x_cpu.to(model.device) for name, model in models.items()}
    seconds: dict[tuple[str, str], list[float]] = {}
    memory: dict[tuple[str, str], list[float]] = {}
    evaluations: dict[tuple[str, str], int] = {}
    for repeat in range(n_repeats + 1):
        for name, model in wrapped.items():
            for operation, run in _operations(model, scans[name], n_steps).items():  # type: ignore[arg-type]
                model.evaluations = 0
                device = models[name].device
                with PeakMemory(device) as peak:
                    start = time.perf_counter()
                    run()
                    if device.type == "cuda":
                        torch.cuda.synchronize(device)
                    elapsed = time.perf_counter() - start
                key = (name, operation)
                evaluations[key] = model.evaluations
                if repeat == 0:
                    # Resident memory is highest on first use; afterwards freed blocks are reused.
                    memory[key] = [peak.megabytes]
                else:
                    seconds.setdefault(key, []).append(elapsed / len(rows))
                    memory[key].append(peak.megabytes)
    return _tabulate(
        seconds, memory, evaluations, models, store.index.iloc[rows], n_steps, seed, cohort, split
    )


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
    memory: dict[tuple[str, str], list[float]],
    evaluations: dict[tuple[str, str], int],
    models: Mapping[str, DiffusionAutoencoder],
    scans: pd.DataFrame,
    n_steps: int,
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
            "steps": 0 if operation == "encode_semantic" else n_steps,
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
        how = "rise of resident memory" if on_cpu else "rise of allocated GPU memory"
        rows.append(
            common
            | {"metric": "peak_memory_mb", "value": max(memory[method, operation])}
            | {"note": f"largest of all runs and the warm-up, {how}"}
        )
        count = evaluations[method, operation]
        rows.append(common | {"metric": "network_evaluations", "value": count})
        if method == REFERENCE and (BASELINE, operation) in seconds:
            other = seconds[BASELINE, operation]
            ratios = sorted(b / a for a, b in zip(values, other, strict=True))
            rows.append(
                common
                | {
                    "metric": "speed_ratio",
                    "value": statistics.median(other) / statistics.median(values),
                }
                | {"ci_low": ratios[0], "ci_high": ratios[-1]}
                | {"note": f"seconds of {BASELINE} over seconds of {REFERENCE}"}
            )
    table = pd.DataFrame(rows)
    table["steps"] = table["steps"].astype("Int64").mask(table["steps"] == 0)
    seeds = {method: [seed] for method in table["method"].unique()}
    return tidy(table, "throughput", cohort=cohort, seeds=seeds, split=split)
