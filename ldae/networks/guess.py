"""Latents that are guessed from their code, so that a denoiser has only the rest to do."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ldae.diffusion.schedule import per_sample
from ldae.networks.standard import CohortStandard


class GuessedLatent(nn.Module):
    """A linear prediction g of z_0 from the code y, and the denoiser of the rest.

    With g = W·y + b, the rest r_0 = z_0 - g is diffused in place of z_0: r_t = z_t - √ᾱ_t·g, and
    therefore ε̂(z_t, t, y) = ε_θ(z_t - √ᾱ_t·g, t, y). A subclass sets `denoiser`.

    Parameters
    ----------
    shape
        (C, h, w, d) of a latent.
    dim_y
        Length of the code.

    Attributes
    ----------
    denoiser
        ε_θ(r_t, t, y) of the shape of r_t.
    """

    denoiser: nn.Module

    def __init__(self, shape: Sequence[int], dim_y: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.standard = CohortStandard(shape)
        self.guess = nn.Linear(dim_y, self.standard.mean.numel())

    def noise(self, z_t: Tensor, t: Tensor, y: Tensor, alpha_bar: Tensor) -> Tensor:
        """ε̂ for standardised z_t (B, C, h, w, d), int64 t (B,), y (B, dim_y) and ᾱ_t (B,)."""
        return self.rest_noise(z_t, t, y, alpha_bar, self.guessed(y))

    def guessed(self, y: Tensor) -> Tensor:
        """Standardised latent g (B, C, h, w, d) that follows from y (B, dim_y)."""
        guess: Tensor = self.guess(y).reshape(-1, *self.shape)
        return guess

    def rest_noise(
        self, z_t: Tensor, t: Tensor, y: Tensor, alpha_bar: Tensor, guess: Tensor
    ) -> Tensor:
        """As :meth:`noise`, for a guess that has been made."""
        eps: Tensor = self.denoiser(z_t - per_sample(alpha_bar.sqrt(), z_t) * guess, t, y)
        return eps
