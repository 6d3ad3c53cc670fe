"""Multistep sampler: second order at the cost of DDIM, by reuse of the previous noise estimate."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_step
from ldae.diffusion.schedule import NoiseSchedule

CONCENTRATION = 1.5
"""Exponent of the spacing of timesteps: above 1, timesteps with little noise are closer together.
Chosen on validation scans, see docs/tried/sampler.md."""


def multistep_timesteps(n_steps: int, n_timesteps: int) -> list[int]:
    """Timesteps 0 = τ_0 < τ_1 < … < τ_S = T with τ_i ≈ T·(i/S)^1.5.

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
    timesteps = [0]
    for i in range(1, n_steps + 1):
        wanted = round(n_timesteps * (i / n_steps) ** CONCENTRATION)
        timesteps.append(max(wanted, timesteps[-1] + 1))
    return timesteps


def multistep_move(
    z: Tensor, predict_noise: NoisePredictor, timesteps: list[int], schedule: NoiseSchedule
) -> Tensor:
    """Take second-order steps through `timesteps`: ascending encodes, descending samples.

    DDIM assumes that the noise is constant over a step. Here the noise is extrapolated linearly in
    λ = log(√ᾱ/√(1-ᾱ)) from the previous step: the two-step Adams–Bashforth form of the
    exponential integrator (Zhang & Chen 2023; Lu et al. 2022, whose first-order form is DDIM).
    With h = λ_s - λ_t and r = (λ_t - λ_previous) / h,

    ε̄ = ε̂_t + (ε̂_t - ε̂_previous) / 2r,    z_s = (√ᾱ_s/√ᾱ_t)·z_t - √(1-ᾱ_s)·(e^h - 1)·ε̄.

    The first step is a DDIM step, as are all steps from or to timestep 0, where λ is infinite.

    Parameters
    ----------
    z
        Sample at ``timesteps[0]``, (B, …).
    predict_noise
        ε̂; evaluated once per step.
    timesteps
        Timesteps to visit, ascending (encodes) or descending (samples).
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
        # A DDIM step that uses ε̄ in both places is the step of the exponential integrator.
        z = ddim_step(z, eps + slope, schedule.alpha_bar[t], schedule.alpha_bar[s])
        before = (t, eps) if t else None
    return z
