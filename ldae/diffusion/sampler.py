"""The available deterministic samplers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_move, ddim_timesteps
from ldae.diffusion.multistep import multistep_move, multistep_timesteps
from ldae.diffusion.schedule import NoiseSchedule


@dataclass(frozen=True)
class Sampler:
    """Solver of the probability-flow ODE, in both directions.

    Attributes
    ----------
    timesteps
        Function of the number of steps S and of T that returns the S + 1 timesteps 0 … T.
    move
        Function that takes a sample through timesteps; evaluates the network once per step.
    name
        Key of its number of steps in the setting ``evaluation.throughput.steps``.
    """

    timesteps: Callable[[int, int], list[int]]
    move: Callable[[Tensor, NoisePredictor, list[int], NoiseSchedule], Tensor]
    name: str = "default"


DDIM = Sampler(ddim_timesteps, ddim_move)
MULTISTEP = Sampler(multistep_timesteps, multistep_move, "multistep")
