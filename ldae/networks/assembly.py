"""Models that consist of several networks and are saved as one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldae.networks.autoencoder import depth_to_space, space_to_depth
from ldae.networks.encoders import make_encoder
from ldae.networks.gradient_estimator import GradientEstimator
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import load_network, save_weights


class SemanticPair(nn.Module):
    """Semantic encoder E_φ and gradient estimator G_ψ, which are trained together in stage 3.

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    prior
        Prior with the architecture of the estimator; the prior itself is not stored.
    """

    def __init__(self, encoder: Mapping[str, Any], prior: NoiseUNet) -> None:
        super().__init__()
        self.architecture = {"encoder": dict(encoder)}
        self.encoder = make_encoder(encoder)
        self.estimator = GradientEstimator(prior, self.encoder.dim_y)

    def shifted_noise(
        self, prior: NoiseUNet, shift_weight: Tensor, z_t: Tensor, t: Tensor, y: Tensor
    ) -> Tensor:
        """ε̂(z_t, y, t) = ε_θ(z_t, t) + k_t·G_ψ(z_t, y, t) (Lozupone et al., eq. 8).

        Parameters
        ----------
        prior
            The frozen ε_θ.
        shift_weight
            k_t, broadcastable over z_t.
        z_t, t, y
            Noisy latents (B, C, h, w, d), timesteps int64 (B,), codes (B, dim_y).
        """
        with torch.no_grad():
            emb = prior.embed(z_t, t, None)
            h, skips = prior.down(z_t, emb)
            eps = prior.to_noise(prior.decode(h, skips, emb), z_t, t)
        gradient = prior.to_gradient(self.estimator(h, skips, emb, y), t)
        return eps + shift_weight * gradient


class ConditionalUNet(nn.Module):
    """Conventional diffusion autoencoder in voxel space: ε̂(x_t, t, y) with y = E_φ(x).

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    unet
        Settings of :class:`NoiseUNet` without `in_channels` and `dim_y`.
    patch_size
        Patch size of the space-to-depth transform, voxels; 1 for none.
    """

    def __init__(
        self, encoder: Mapping[str, Any], unet: Mapping[str, Any], patch_size: int
    ) -> None:
        super().__init__()
        self.architecture = {"encoder": dict(encoder), "unet": dict(unet), "patch_size": patch_size}
        self.patch_size = patch_size
        self.encoder = make_encoder(encoder)
        self.unet = NoiseUNet(in_channels=patch_size**3, dim_y=self.encoder.dim_y, **unet)

    def noise(self, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """ε̂ (B, 1, H, W, D) for x_t of that shape, int64 t (B,) and y (B, dim_y)."""
        return depth_to_space(
            self.unet(space_to_depth(x_t, self.patch_size), t, y), self.patch_size
        )


class EncoderWithHeads(nn.Module):
    """Semantic encoder with one linear head per supervised task.

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    tasks
        Names of the tasks; each has one output.
    """

    def __init__(self, encoder: Mapping[str, Any], tasks: list[str]) -> None:
        super().__init__()
        self.architecture = {"encoder": dict(encoder), "tasks": list(tasks)}
        self.encoder = make_encoder(encoder)
        self.heads = nn.ModuleDict({task: nn.Linear(self.encoder.dim_y, 1) for task in tasks})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Output (B,) of every head, a logit or a regressed value, for scans x (B, 1, H, W, D)."""
        y = self.encoder(x)
        return {task: head(y)[:, 0] for task, head in self.heads.items()}


def save_prior(path: Path, prior: NoiseUNet) -> None:
    """Write the prior's weights and architecture."""
    save_weights(path, prior.state_dict(), prior.architecture)


def load_prior_network(path: Path, device: torch.device) -> NoiseUNet:
    """Trained prior ε_θ, frozen, in eval mode, on `device`."""
    return load_network(path, NoiseUNet, device)


def save_semantic_pair(path: Path, pair: SemanticPair) -> None:
    """Write the weights of encoder and estimator, and the encoder's architecture."""
    save_weights(path, pair.state_dict(), pair.architecture)


def load_semantic_pair(path: Path, prior: NoiseUNet, device: torch.device) -> SemanticPair:
    """Trained encoder and estimator, frozen, in eval mode, on `device`."""
    return load_network(path, lambda encoder: SemanticPair(encoder, prior), device)


def save_conditional_unet(path: Path, model: ConditionalUNet) -> None:
    """Write the weights and architecture of the voxel-space diffusion autoencoder."""
    save_weights(path, model.state_dict(), model.architecture)


def load_conditional_unet(path: Path, device: torch.device) -> ConditionalUNet:
    """Trained voxel-space diffusion autoencoder, frozen, in eval mode, on `device`."""
    return load_network(path, ConditionalUNet, device)


def save_encoder_with_heads(path: Path, model: EncoderWithHeads) -> None:
    """Write the weights and architecture of the supervised encoder."""
    save_weights(path, model.state_dict(), model.architecture)
