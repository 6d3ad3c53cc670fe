"""The available deterministic samplers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_move, ddim_timesteps
from ldae.diffusion.multistep import MultistepMove, multistep_timesteps
from ldae.diffusion.schedule import NoiseSchedule

Move = Callable[[Tensor, NoisePredictor, list[int], NoiseSchedule], Tensor]
"""Takes a sample through timesteps; evaluates the network once per step."""


@dataclass(frozen=True)
class Sampler:
    """Solver of the probability-flow ODE, in both directions.

    Attributes
    ----------
    timesteps
        Function of the number of steps S and of T that returns the S + 1 timesteps 0 … T.
    move
        Takes a sample through timesteps.
    name
        Key of its number of steps in the setting ``evaluation.throughput.steps``.
    """

    timesteps: Callable[[int, int], list[int]]
    move: Move
    name: str = "default"


DDIM = Sampler(ddim_timesteps, ddim_move)
MULTISTEP = Sampler(
    multistep_timesteps, MultistepMove(order=1, data_prediction=True, corrector=True), "multistep"
)
"""Of second order; chosen on validation scans among others (docs/tried/sampler.md)."""
