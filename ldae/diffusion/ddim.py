"""DDIM, the deterministic sampler of first order, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ldae.diffusion.schedule import NoiseSchedule

NoisePredictor = Callable[[Tensor, Tensor], Tensor]
"""ε̂(z_t, t), (B, …), for z_t of shape (B, …) and int64 timesteps t of shape (B,)."""


def ddim_timesteps(n_steps: int, n_timesteps: int) -> list[int]:
    """Timesteps 0 = τ_0 < τ_1 < … < τ_S = T, evenly spaced.

    Parameters
    ----------
    n_steps
        S, between 1 and T.
    n_timesteps
        T of the schedule.

    Raises
    ------
    ValueError
        If S is not between 1 and T.
    """
    if not 1 <= n_steps <= n_timesteps:
        raise ValueError(f"n_steps must be in 1..{n_timesteps}, got {n_steps}")
    return [round(timestep) for timestep in torch.linspace(0, n_timesteps, n_steps + 1).tolist()]


def ddim_step(z_t: Tensor, eps: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> Tensor:
    """Sample at timestep s from `z_t` (any shape) at t (Song et al. 2021, eq. 12 with η = 0)."""
    z_0 = (z_t - (1 - alpha_bar_t).sqrt() * eps) / alpha_bar_t.sqrt()
    return alpha_bar_s.sqrt() * z_0 + (1 - alpha_bar_s).sqrt() * eps


def ddim_move(
    z: Tensor, predict_noise: NoisePredictor, timesteps: list[int], schedule: NoiseSchedule
) -> Tensor:
    """Take DDIM steps through `timesteps`: ascending order encodes, descending order samples.

    Each step evaluates ε̂ at the timestep where it starts. A step that starts at timestep 0
    evaluates ε̂ at timestep 1, because the network is not trained on clean samples.

    Parameters
    ----------
    z
        Sample at ``timesteps[0]``, (B, …).
    predict_noise
        ε̂.
    timesteps
        Timesteps to visit; consecutive timesteps differ.
    schedule
        The noise schedule.

    Returns
    -------
    Tensor
        Sample at ``timesteps[-1]``, (B, …).
    """
    for t, s in pairwise(timesteps):
        timestep = torch.full((len(z),), max(t, 1), dtype=torch.int64, device=z.device)
        eps = predict_noise(z, timestep)
        z = ddim_step(z, eps, schedule.alpha_bar[t], schedule.alpha_bar[s])
    return z
