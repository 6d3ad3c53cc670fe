"""Noise schedule of the diffusion process."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    """Linear schedule β_1 … β_T and the quantities derived from it.

    Timesteps are integers t = 0 … T. Timestep 0 is the clean sample (ᾱ_0 = 1), so a sampler treats
    it like any other timestep. Values are computed in float64 and stored in float32.

    Parameters
    ----------
    n_timesteps
        T, at least 1.
    beta_start, beta_end
        β_1 and β_T, 0 < β_1 ≤ β_T < 1 (Ho et al. 2020: 1e-4 to 0.02 at T = 1000).

    Attributes
    ----------
    alpha_bar
        ᾱ_t = ∏ (1 - β), shape (T + 1,), dimensionless.
    shift_weight
        k_t = -√α_t·(1-ᾱ_{t-1})/√(1-ᾱ_t), shape (T + 1,), k_0 = 0: weight of the estimated gradient
        when it is added to the noise prediction (Zhang et al. 2022, from the posterior-mean gap).

    Raises
    ------
    ValueError
        If `n_timesteps` or the betas are out of range.
    """

    alpha_bar: Tensor
    shift_weight: Tensor

    def __init__(self, n_timesteps: int, beta_start: float, beta_end: float) -> None:
        super().__init__()
        if n_timesteps < 1 or not 0 < beta_start <= beta_end < 1:
            raise ValueError(
                f"need n_timesteps >= 1 and 0 < beta_start <= beta_end < 1, "
                f"got {n_timesteps}, {beta_start}, {beta_end}"
            )
        self.n_timesteps = n_timesteps
        alpha = 1 - torch.linspace(beta_start, beta_end, n_timesteps, dtype=torch.float64)
        alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), alpha.cumprod(0)])
        k = -alpha.sqrt() * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]).sqrt()
        k = torch.cat([torch.zeros(1, dtype=torch.float64), k])
        self.register_buffer("alpha_bar", alpha_bar.float(), persistent=False)
        self.register_buffer("shift_weight", k.float(), persistent=False)

    def loss_weight(self, t: Tensor, gamma: float) -> Tensor:
        """λ_t = SNR_t^γ / (1 + SNR_t), shape of `t` (Zhang et al. 2022, eq. 11; γ = 0.1)."""
        alpha_bar = self.alpha_bar[t]
        snr = alpha_bar / (1 - alpha_bar)
        return snr**gamma / (1 + snr)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Values of shape (B,) reshaped to (B, 1, …, 1), to broadcast over `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
