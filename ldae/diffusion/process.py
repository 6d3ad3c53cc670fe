"""Forward process and the loss of noise prediction."""

from __future__ import annotations

from torch import Tensor

from ldae.diffusion.schedule import NoiseSchedule, per_sample


def diffuse(z_0: Tensor, t: Tensor, eps: Tensor, schedule: NoiseSchedule) -> Tensor:
    """z_t = √ᾱ_t·z_0 + √(1-ᾱ_t)·ε (Ho et al. 2020, eq. 4).

    Parameters
    ----------
    z_0, eps
        Clean sample and standard normal noise, both (B, …).
    t
        Timesteps in 0..T, int64, (B,).
    schedule
        The noise schedule.
    """
    alpha_bar = per_sample(schedule.alpha_bar[t], z_0)
    return alpha_bar.sqrt() * z_0 + (1 - alpha_bar).sqrt() * eps


def noise_loss(eps: Tensor, eps_hat: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over the batch of λ_t·‖ε - ε̂‖², with the square averaged over each sample's elements.

    Parameters
    ----------
    eps, eps_hat
        True and predicted noise, (B, …).
    weight
        λ_t, (B,); None for the unweighted loss.
    """
    per_scan = (eps - eps_hat).square().flatten(1).mean(1)
    return per_scan.mean() if weight is None else (weight * per_scan).mean()
