"""A sampler of second order at the price of DDIM: it remembers the noise of the step before."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_step
from ldae.diffusion.schedule import NoiseSchedule

CONCENTRATION = 1.5
"""Exponent of the timesteps: above 1 they lie closer where there is little noise.  Chosen on
validation scans, see docs/tried/sampler.md."""


def multistep_timesteps(n_steps: int, n_timesteps: int) -> list[int]:
    """Timesteps 0 = τ_0 < τ_1 < … < τ_S = T with τ_i ≈ T·(i/S)^1.5.

    Parameters
    ----------
    n_steps
        S, 1..T.
    n_timesteps
        T of the schedule.
    """
    if not 1 <= n_steps <= n_timesteps:
        raise ValueError(f"n_steps must be in 1..{n_timesteps}, got {n_steps}")
    timesteps = [0]
    for i in range(1, n_steps + 1):
        wanted = round(n_timesteps * (i / n_steps) ** CONCENTRATION)
        timesteps.append(max(wanted, timesteps[-1] + 1))
    return timesteps


def multistep_move(
    z: Tensor, predict_noise: NoisePredictor, timesteps: list[int], schedule: NoiseSchedule
) -> Tensor:
    """Carry `z` through `timesteps` as :func:`ldae.diffusion.ddim.ddim_move` does, to second order.

    DDIM takes the noise for constant over a step.  Here it goes on linearly in λ = log(√ᾱ/√(1-ᾱ)),
    as it went over the step before: the two-step Adams–Bashforth form of the exponential
    integrator (Zhang & Chen 2023; Lu et al. 2022, whose first order is DDIM).  With
    h = λ_s - λ_t and r = (λ_t - λ_before) / h,

    ε̄ = ε̂_t + (ε̂_t - ε̂_before) / 2r,    z_s = (√ᾱ_s/√ᾱ_t)·z_t - √(1-ᾱ_s)·(e^h - 1)·ε̄.

    The steps that leave or reach timestep 0, where λ is infinite, are DDIM's; so is the first.

    Parameters
    ----------
    z
        Sample at ``timesteps[0]``, (B, …).
    predict_noise
        ε̂; evaluated once per step.
    timesteps
        Visited timesteps, ascending (encodes) or descending (samples).
    schedule
        The noise schedule.

    Returns
    -------
    Tensor
        Sample at ``timesteps[-1]``, (B, …).
    """
    bar = schedule.alpha_bar.double()
    log_snr = ((bar / (1 - bar)).log() / 2).tolist()
    before: tuple[int, Tensor] | None = None
    for t, s in pairwise(timesteps):
        timestep = torch.full((len(z),), max(t, 1), dtype=torch.int64, device=z.device)
        eps = predict_noise(z, timestep)
        if t and s and before is not None:
            ratio = (log_snr[t] - log_snr[before[0]]) / (log_snr[s] - log_snr[t])
            slope = (eps - before[1]) / (2 * ratio)
        else:
            slope = torch.zeros_like(eps)
        # With the same noise in both of its places, DDIM's step is the exponential integrator's.
        z = ddim_step(z, eps + slope, schedule.alpha_bar[t], schedule.alpha_bar[s])
        before = (t, eps) if t else None
    return z
