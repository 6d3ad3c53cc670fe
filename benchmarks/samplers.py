"""Few-step samplers compared on the trained models of a finished study, on validation scans.

    .venv/bin/python -m benchmarks.samplers results docs/results/samplers

Every sampler carries the same scans to their stochastic codes and back. Written are a table and a
figure of three measures against the evaluations of the network, both ways together: the error of
the stochastic code (against sixty steps), the error of the latent that returns (both relative
to the norm of what they are compared with), and the SSIM inside the mask that is lost beyond what
the autoencoder loses. In voxel space, where a step costs many times more, fewer scans are used.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
import yaml
from torch import Tensor

from ldae.data.volumes import VolumeStore
from ldae.diffusion.ddim import NoisePredictor, ddim_move, ddim_step, ddim_timesteps
from ldae.diffusion.multistep import MultistepMove, multistep_timesteps
from ldae.diffusion.sampler import DDIM, MULTISTEP, Sampler
from ldae.diffusion.schedule import NoiseSchedule
from ldae.evaluation.metrics import ssim
from ldae.figures.theme import PALETTE, legend_below, new_figure, theme
from ldae.methods import Methods, Space
from ldae.methods.registry import METHODS, NETWORKS
from ldae.models.base import DiffusionAutoencoder
from ldae.models.inference import encode_stochastic, sample
from ldae.models.loading import load_models

logger = logging.getLogger(__name__)

STEPS = (3, 5, 8, 10, 20)
REFERENCE_STEPS = 60
N_SCANS, N_VOXEL_SCANS = 8, 2
MOST_VOXEL_STEPS = 10
CORRECTIONS = 2


def fixed_point_move(
    z: Tensor, predict_noise: NoisePredictor, timesteps: list[int], schedule: NoiseSchedule
) -> Tensor:
    """DDIM whose encoding inverts its sampling by fixed-point iteration (Pan et al. 2023).

    Encoding evaluates the network where a step ends, at the guess of the previous iteration, so
    that it costs 1 + :data:`CORRECTIONS` evaluations per step.
    """
    if timesteps[0] > timesteps[-1]:
        return ddim_move(z, predict_noise, timesteps, schedule)
    for t, s in pairwise(timesteps):
        guess, bars = z, (schedule.alpha_bar[t], schedule.alpha_bar[s])
        for at in (max(t, 1), *[s] * CORRECTIONS):
            timestep = torch.full((len(z),), at, dtype=torch.int64, device=z.device)
            guess = ddim_step(z, predict_noise(guess, timestep), *bars)
        z = guess
    return z


SAMPLERS: Mapping[str, tuple[Sampler, int, str, str]] = {
    "DDIM": (DDIM, 2, "vermilion", "o"),
    "DDIM, fixed-point inversion": (
        Sampler(ddim_timesteps, fixed_point_move), 2 + CORRECTIONS, "orange", "s",
    ),
    "DEIS, order 2": (
        Sampler(multistep_timesteps, MultistepMove(2, False, False)), 2, "blue", "v",
    ),
    "DPM-Solver++ 2M": (
        Sampler(multistep_timesteps, MultistepMove(2, True, False)), 2, "sky", "^",
    ),
    "DPM-Solver++ 3M": (
        Sampler(multistep_timesteps, MultistepMove(3, True, False)), 2, "purple", "D",
    ),
    "UniPC, order 3": (
        Sampler(multistep_timesteps, MultistepMove(2, True, True)), 2, "grey", "P",
    ),
    "ours: UniPC, order 2": (MULTISTEP, 2, "green", "*"),
}  # fmt: skip
"""Sampler, evaluations per step both ways, colour and marker of each line of the figure."""


def main() -> None:
    """Measure, write the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, help="results of a finished study")
    parser.add_argument("output", type=Path, help="folder of the table and the figure")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = [row for model in _models(options.results) for row in _measure(*model)]
    options.output.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.output / "samplers.tsv", sep="\t", index=False, float_format="%.6g")
    draw(table, options.output / "samplers.png")


def _models(results: Path) -> Iterator[tuple[str, DiffusionAutoencoder, Tensor, Tensor, bool]]:
    """Label, model, scans, masks, and whether it works on voxels, of each trained network."""
    config = yaml.safe_load((results / "config.yaml").read_text())
    folder = results / "volumes"
    store = VolumeStore(*(str(folder / n) for n in ("volumes.npy", "masks.npy", "index.tsv")))
    files = {"autoencoder": results / "autoencoder/model.safetensors"}
    files |= {"scale": results / "latents/scale.json"}
    for network in NETWORKS:
        weights = sorted((results / network.name).rglob("*.safetensors"))
        files |= {network.name: weights[0]} if weights else {}
    methods = Methods(
        {
            m.network: m
            for m in reversed(METHODS)
            if m.sampler and m.network in files and m.network != "prior"
        }.values()
    )
    loaders = {n.name: n.model for n in NETWORKS if n.model}
    models = load_models(
        methods, loaders, {name: str(path) for name, path in files.items()},
        config["diffusion"], store.shape, torch.device("cpu"),
    )  # fmt: skip
    for name, model in models.items():
        in_voxels = methods[name].space is Space.VOXEL
        rows = store.rows("val")[: N_VOXEL_SCANS if in_voxels else N_SCANS]
        masks = torch.from_numpy(store.masks[rows].copy())[:, None].bool()
        yield methods.look(name).label, model, store.batch(rows), masks, in_voxels


@torch.inference_mode()
def _measure(
    label: str, model: DiffusionAutoencoder, x: Tensor, masks: Tensor, in_voxels: bool
) -> Iterator[dict[str, object]]:
    y, z_0 = model.semantic_code(x), model.to_latent(x)
    kept = ssim(x, model.from_latent(z_0), masks).mean().item()
    model.sampler = MULTISTEP
    reference = encode_stochastic(model, z_0, y, REFERENCE_STEPS)
    for name, (sampler, evaluations, _, _) in SAMPLERS.items():
        model.sampler = sampler
        for n_steps in STEPS:
            if in_voxels and n_steps > MOST_VOXEL_STEPS:
                break
            z_T = encode_stochastic(model, z_0, y, n_steps)  # noqa: N806
            back = sample(model, z_T, y, n_steps)
            measures = {
                "code_error": _relative(z_T, reference),
                "latent_error": _relative(back, z_0),
                "ssim_lost": kept - ssim(x, model.from_latent(back), masks).mean().item(),
            }
            row = {"model": label, "sampler": name, "steps": n_steps, "n_scans": len(x)}
            row |= {"evaluations": n_steps * evaluations} | measures
            logger.info("%s", row)
            yield row


def _relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def draw(table: pd.DataFrame, path: Path) -> None:
    """Figure of the three measures (columns) by model (rows) against network evaluations."""
    measures = {
        "code_error": "error of the stochastic code",
        "latent_error": "error of the latent",
        "ssim_lost": "SSIM lost",
    }
    models = list(dict.fromkeys(table["model"]))
    with theme():
        figure = new_figure(1.9 * len(models) + 0.6)
        grid = figure.subplots(len(models), len(measures), squeeze=False, sharex=True)
        for axes, model in zip(grid, models, strict=True):
            for axis, (measure, text) in zip(axes, measures.items(), strict=True):
                for name, (_, _, color, marker) in SAMPLERS.items():
                    rows = table[(table["model"] == model) & (table["sampler"] == name)]
                    values = rows[measure].clip(lower=1e-5)
                    axis.loglog(
                        rows["evaluations"], values, color=PALETTE[color], marker=marker,
                        label=name, markersize=4, linewidth=1.1,
                    )  # fmt: skip
                axis.set_title(f"{model}: {text}")
        for axis in grid[-1]:
            axis.set_xlabel("evaluations of the network, both ways")
        legend_below(figure, grid[0, 0], 4)
        figure.savefig(path)


if __name__ == "__main__":
    main()
