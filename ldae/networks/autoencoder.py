"""KL autoencoder that compresses a scan to a latent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ldae.networks.standard import CohortStandard
from ldae.networks.weights import load_network, save_weights

# log σ² before training. MONAI initialises σ = 1: the posterior noise then hides μ, and a short
# training spends most of its steps on reducing it.
FIRST_LOG_VARIANCE = -6.0


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """Patches of f³ voxels, f = `factor`, as channels: (B, C, H, …) → (B, C·f³, H/f, …)."""
    b, c, h, w, d = x.shape
    f = factor
    x = x.reshape(b, c, h // f, f, w // f, f, d // f, f)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * f**3, h // f, w // f, d // f)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """Inverse of :func:`space_to_depth`."""
    b, c, h, w, d = x.shape
    f = factor
    x = x.reshape(b, c // f**3, f, f, f, h, w, d)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // f**3, h * f, w * f, d * f)


class Autoencoder(nn.Module):
    """MONAI's `AutoencoderKL`, optionally after a space-to-depth transform.

    Space-to-depth makes small studies affordable without a GPU: on a CPU, wide convolutions at low
    resolution are fast and convolutions at full resolution are slow. With `patch_size` 1 this is
    MONAI's network, unchanged.

    Parameters
    ----------
    patch_size
        Patch size of the space-to-depth transform, voxels; 1 for none.
    channels
        Width at each resolution level; every level but the last halves the resolution.
    n_res_blocks
        Residual blocks per resolution level.
    latent_channels
        C of z.
    norm_groups
        Groups of the group normalisation; divides every width.
    standard_shape
        Grid (H, W, D) if the network compresses scans z-scored per voxel by the training cohort
        (:class:`CohortStandard`); None if it compresses intensities, as in the paper.
    pca_initialisation
        Add a linear path parallel to encoder and decoder, set by
        :func:`ldae.training.pca_initialisation.initialise_by_pca`. The paper has none.

    Notes
    -----
    The network reduces each axis by a factor of patch_size · 2^(resolution levels - 1).
    """

    def __init__(
        self,
        patch_size: int,
        channels: Sequence[int],
        n_res_blocks: int,
        latent_channels: int,
        norm_groups: int,
        standard_shape: Sequence[int] | None = None,
        pca_initialisation: bool = False,
    ) -> None:
        # Here: networks that use the functions of this module alone save the seconds that it takes.
        from monai.networks.nets import AutoencoderKL

        super().__init__()
        self.architecture: dict[str, Any] = {
            "patch_size": patch_size,
            "channels": list(channels),
            "n_res_blocks": n_res_blocks,
            "latent_channels": latent_channels,
            "norm_groups": norm_groups,
            "standard_shape": None if standard_shape is None else list(standard_shape),
            "pca_initialisation": pca_initialisation,
        }
        self.standard = None if standard_shape is None else CohortStandard((1, *standard_shape))
        self.patch_size = patch_size
        self.downsampling = patch_size * 2 ** (len(channels) - 1)
        self.latent_channels = latent_channels
        self.network = AutoencoderKL(
            spatial_dims=3,
            in_channels=patch_size**3,
            out_channels=patch_size**3,
            num_res_blocks=n_res_blocks,
            channels=channels,
            attention_levels=[False] * len(channels),
            latent_channels=latent_channels,
            norm_num_groups=norm_groups,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.pca_initialisation = pca_initialisation
        if pca_initialisation:
            edge = self.downsampling
            self.linear_encode = nn.Conv3d(1, latent_channels, edge, stride=edge)
            self.linear_decode = nn.ConvTranspose3d(latent_channels, 1, edge, stride=edge)
        fill_convolution(self.network.quant_conv_log_sigma, FIRST_LOG_VARIANCE)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ(x) and σ(x) of q(z|x), each (B, C, h, w, d), for x (B, 1, H, W, D) in [0, 1].

        Raises
        ------
        ValueError
            If an axis of x is not a multiple of the downsampling factor.
        """
        if any(size % self.downsampling for size in x.shape[2:]):
            raise ValueError(
                f"every axis of {tuple(x.shape[2:])} must be a multiple of {self.downsampling}"
            )
        if self.standard is not None:
            x = self.standard(x)
        mu, sigma = self.network.encode(space_to_depth(x, self.patch_size))
        if self.pca_initialisation:
            mu = mu + self.linear_encode(x)
        return mu, sigma

    def decode(self, z: Tensor) -> Tensor:
        """x̂ = D(z), (B, 1, H, W, D), for unscaled z (B, C, h, w, d); not clipped."""
        x = depth_to_space(self.network.decode(z), self.patch_size)
        if self.pca_initialisation:
            x = x + self.linear_decode(z)
        return x if self.standard is None else self.standard.invert(x)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x̂ = D(μ + σ·noise), μ and σ; `noise` is standard normal, (B, C, h, w, d)."""
        mu, sigma = self.moments(x)
        return self.decode(mu + sigma * noise), mu, sigma

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Shape (C, h, w, d) of the latent of a scan of shape (H, W, D)."""
        h, w, d = (size // self.downsampling for size in shape)
        return self.latent_channels, h, w, d


def fill_convolution(module: nn.Module, bias: float) -> None:
    """Set the weights of the last convolution inside `module` to zero and its bias to `bias`."""
    convolution = [m for m in module.modules() if isinstance(m, nn.Conv3d)][-1]
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.constant_(convolution.bias, bias)


def kl_divergence(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)), summed over the latent and averaged over the batch; scalar, nats."""
    variance = sigma.square()
    per_element = mu.square() + variance - torch.log(variance.clamp_min(1e-12)) - 1
    return 0.5 * per_element.flatten(1).sum(1).mean()


def save_autoencoder(path: Path, autoencoder: Autoencoder) -> None:
    """Write the weights and architecture of the autoencoder."""
    save_weights(path, autoencoder.state_dict(), autoencoder.architecture)


def load_autoencoder(path: Path, device: torch.device) -> Autoencoder:
    """Trained autoencoder, frozen, in eval mode, on `device`."""
    return load_network(path, Autoencoder, device)
