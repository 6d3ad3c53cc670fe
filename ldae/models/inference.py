"""What a trained diffusion autoencoder is used for: encode, sample, reconstruct, interpolate."""

from __future__ import annotations

import torch
from torch import Tensor

from ldae.models.base import DiffusionAutoencoder


@torch.inference_mode()
def encode_stochastic(
    model: DiffusionAutoencoder, z_0: Tensor, y: Tensor | None, n_steps: int
) -> Tensor:
    """Stochastic code z_T: the model's deterministic sampler run upwards from `z_0`.

    Parameters
    ----------
    model
        Trained model.
    z_0
        Sample in the model's diffusion space, (B, C, h, w, d).
    y
        Semantic code, (B, dim); None for an unconditional model.
    n_steps
        S, number of network evaluations.
    """
    timesteps = model.sampler.timesteps(n_steps, model.schedule.n_timesteps)
    return model.sampler.move(z_0, model.noise_given(y), timesteps, model.schedule)


@torch.inference_mode()
def sample(model: DiffusionAutoencoder, z_T: Tensor, y: Tensor | None, n_steps: int) -> Tensor:  # noqa: N803
    """z_0 sampled deterministically from z_T given y; arguments as for `encode_stochastic`."""
    timesteps = model.sampler.timesteps(n_steps, model.schedule.n_timesteps)[::-1]
    return model.sampler.move(z_T, model.noise_given(y), timesteps, model.schedule)


@torch.inference_mode()
def reconstruct(model: DiffusionAutoencoder, x: Tensor, n_steps: int) -> Tensor:
    """x̂ from the scan's semantic code and its own stochastic code, (B, 1, H, W, D) in [0, 1]."""
    y = model.semantic_code(x)
    z_T = encode_stochastic(model, model.to_latent(x), y, n_steps)  # noqa: N806
    return model.from_latent(sample(model, z_T, y, n_steps))


@torch.inference_mode()
def edit(
    model: DiffusionAutoencoder,
    x_hat: Tensor,
    z_T: Tensor,  # noqa: N803
    y: Tensor,
    moved: Tensor,
    n_steps: int,
) -> Tensor:
    """Scans with another semantic code, (B, 1, H, W, D) in [0, 1].

    Parameters
    ----------
    model
        Trained model: it samples from z_T given the other code, as in the paper, or deforms x̂ where
        it has a part for that.
    x_hat, z_T, y
        Reconstructed scans (B, 1, H, W, D), their stochastic and semantic codes.
    moved
        The other semantic codes, (B, dim).
    n_steps
        S, number of network evaluations.
    """
    if (deformation := model.deformation) is not None:
        return deformation(x_hat, y, moved)
    return model.from_latent(sample(model, z_T, moved, n_steps))


def lerp(a: Tensor, b: Tensor, alpha: Tensor | float) -> Tensor:
    """(1-α)·a + α·b; α scalar or broadcastable."""
    return a + alpha * (b - a)


def slerp(a: Tensor, b: Tensor, alpha: Tensor | float) -> Tensor:
    """Spherical interpolation between `a` and `b` (Shoemake 1985), each sample one vector.

    Parameters
    ----------
    a, b
        (B, …), any norm.
    alpha
        Position in [0, 1], scalar or (B,).

    Returns
    -------
    Tensor
        sin((1-α)θ)/sin θ·a + sin(αθ)/sin θ·b with θ the angle between a and b; the straight line
        where they are (anti)parallel.
    """
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(flat_a, flat_b).clamp(-1, 1)
    theta = torch.acos(cosine)[:, None]
    position = torch.as_tensor(alpha, dtype=a.dtype, device=a.device).reshape(-1, 1)
    sine = torch.sin(theta)
    parallel = sine < 1e-4  # below this the quotient loses its digits and the line is the limit
    safe = torch.where(parallel, torch.ones_like(sine), sine)
    weight_a = torch.where(parallel, 1 - position, torch.sin((1 - position) * theta) / safe)
    weight_b = torch.where(parallel, position, torch.sin(position * theta) / safe)
    return (weight_a * flat_a + weight_b * flat_b).reshape(a.shape)
