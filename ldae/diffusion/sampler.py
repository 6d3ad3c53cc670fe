"""The deterministic samplers to choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_move, ddim_timesteps
from ldae.diffusion.multistep import multistep_move, multistep_timesteps
from ldae.diffusion.schedule import NoiseSchedule


@dataclass(frozen=True)
class Sampler:
    """A solver of the probability flow, run in either direction.

    Attributes
    ----------
    timesteps
        Timesteps 0 … T that it visits, of the number of steps and T.
    move
        Carries a sample through timesteps; one evaluation of the network per step.
    name
        Key of its number of steps in the setting ``evaluation.throughput.steps``.
    """

    timesteps: Callable[[int, int], list[int]]
    move: Callable[[Tensor, NoisePredictor, list[int], NoiseSchedule], Tensor]
    name: str = "default"


DDIM = Sampler(ddim_timesteps, ddim_move)
MULTISTEP = Sampler(multistep_timesteps, multistep_move, "multistep")
