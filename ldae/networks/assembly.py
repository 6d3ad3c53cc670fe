"""Models that consist of several networks, saved as one file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ldae.networks.autoencoder import depth_to_space, space_to_depth
from ldae.networks.encoders import make_encoder
from ldae.networks.gradient_estimator import GradientEstimator
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import freeze, read_weights, save_weights


class SemanticPair(nn.Module):
    """What stage 3 trains: the semantic encoder E_φ and the gradient estimator G_ψ.

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    prior
        The prior whose shape the estimator takes; it is not kept.
    """

    def __init__(self, encoder: dict, prior: NoiseUNet) -> None:
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
            (B, C, h, w, d), int64 (B,), (B, dim_y).
        """
        with torch.no_grad():
            emb = prior.embed(z_t, t, None)
            h, skips = prior.down(z_t, emb)
            eps = prior.to_noise(prior.decode(h, skips, emb), z_t, t)
        gradient = prior.to_gradient(self.estimator(h, skips, emb, y), t)
        return eps + shift_weight * gradient


class ConditionalUNet(nn.Module):
    """The conventional diffusion autoencoder in voxel space: ε̂(x_t, t, y) and y = E_φ(x).

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    unet
        Settings of :class:`NoiseUNet` without `in_channels` and `dim_y`.
    patch_size
        Edge of the cubes folded into channels, voxels; 1 is none.
    """

    def __init__(self, encoder: dict, unet: dict, patch_size: int) -> None:
        super().__init__()
        self.architecture = {"encoder": dict(encoder), "unet": dict(unet), "patch_size": patch_size}
        self.patch_size = patch_size
        self.encoder = make_encoder(encoder)
        self.unet = NoiseUNet(in_channels=patch_size**3, dim_y=self.encoder.dim_y, **unet)

    def noise(self, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """ε̂, (B, 1, H, W, D), for x_t of that shape, int64 t (B,), y (B, dim_y)."""
        return depth_to_space(
            self.unet(space_to_depth(x_t, self.patch_size), t, y), self.patch_size
        )


class EncoderWithHeads(nn.Module):
    """The semantic encoder with one linear head per supervised task.

    Parameters
    ----------
    encoder
        Architecture of the encoder (:func:`ldae.networks.encoders.encoder_architecture`).
    tasks
        Names of the tasks, each with one output.
    """

    def __init__(self, encoder: dict, tasks: list[str]) -> None:
        super().__init__()
        self.architecture = {"encoder": dict(encoder), "tasks": list(tasks)}
        self.encoder = make_encoder(encoder)
        self.heads = nn.ModuleDict({task: nn.Linear(self.encoder.dim_y, 1) for task in tasks})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Raw output (B,) of every task for scans x (B, 1, H, W, D)."""
        y = self.encoder(x)
        return {task: head(y)[:, 0] for task, head in self.heads.items()}


def save_prior(path: Path, prior: NoiseUNet) -> None:
    """Write the prior's weights and architecture."""
    save_weights(path, prior.state_dict(), prior.architecture)


def load_prior_network(path: Path, device: torch.device) -> NoiseUNet:
    """The trained prior ε_θ, frozen and in eval mode."""
    state, architecture = read_weights(path)
    prior = NoiseUNet(**architecture)
    prior.load_state_dict(state)
    freeze(prior)
    return prior.to(device)


def save_semantic_pair(path: Path, pair: SemanticPair) -> None:
    """Write encoder and estimator with the encoder's architecture."""
    save_weights(path, pair.state_dict(), pair.architecture)


def load_semantic_pair(path: Path, prior: NoiseUNet, device: torch.device) -> SemanticPair:
    """The trained encoder and estimator, frozen and in eval mode."""
    state, architecture = read_weights(path)
    pair = SemanticPair(architecture["encoder"], prior)
    pair.load_state_dict(state)
    freeze(pair)
    return pair.to(device)


def save_conditional_unet(path: Path, model: ConditionalUNet) -> None:
    """Write the voxel-space diffusion autoencoder."""
    save_weights(path, model.state_dict(), model.architecture)


def load_conditional_unet(path: Path, device: torch.device) -> ConditionalUNet:
    """The trained voxel-space diffusion autoencoder, frozen and in eval mode."""
    state, architecture = read_weights(path)
    model = ConditionalUNet(**architecture)
    model.load_state_dict(state)
    freeze(model)
    return model.to(device)


def save_encoder_with_heads(path: Path, model: EncoderWithHeads) -> None:
    """Write the supervised encoder."""
    save_weights(path, model.state_dict(), model.architecture)
