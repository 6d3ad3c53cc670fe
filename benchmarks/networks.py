"""Networks of a study with random weights, for benchmarks: as fast as the trained ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from ldae.diffusion.sampler import MULTISTEP
from ldae.diffusion.schedule import NoiseSchedule
from ldae.models.anatomical import AnatomicalDiffusionAutoencoder
from ldae.models.base import DiffusionAutoencoder
from ldae.models.ldae import LatentDiffusionAutoencoder
from ldae.models.voxel_dae import VoxelDiffusionAutoencoder
from ldae.networks.anatomical import AnatomicalNetwork
from ldae.networks.assembly import ConditionalUNet, EncoderWithHeads, SemanticPair
from ldae.networks.autoencoder import Autoencoder
from ldae.networks.encoders import encoder_architecture
from ldae.networks.histograms import window_means
from ldae.networks.unet import NoiseUNet
from ldae.paths import WORKFLOW
from ldae.training.deformation import coarse_shape
from ldae.training.diffusion import unet_settings
from ldae.workflow.config import complete_config

Forward = Callable[[], Tensor]


def study_settings(path: str | None) -> dict[str, Any]:
    """Complete settings of a study's file in the repository; None is the default study."""
    given = {} if path is None else yaml.safe_load((WORKFLOW / path).read_text(encoding="utf-8"))
    if given.get("cohort", {}).get("source") == "bids":
        given["bids_folder"] = "/cohort"  # not read: only the networks are built
    return complete_config(given)


def autoencoder_of(config: dict[str, Any], *, paths: bool = False) -> Autoencoder:
    """The autoencoder; with `paths`, with its fixed standard and its linear path as well."""
    settings = config["autoencoder"]
    names = ("patch_size", "channels", "n_res_blocks", "latent_channels", "norm_groups")
    extra: dict[str, Any] = {}
    if paths:
        extra["standard_shape"] = config["grid"]["shape"] if settings["z_score_input"] else None
        extra["pca_initialisation"] = settings["pca_initialisation"]
    return Autoencoder(**{name: settings[name] for name in names}, **extra)


def anatomical_network(config: dict[str, Any], shape: tuple[int, ...]) -> AnatomicalNetwork:
    """The recommended network for latents of `shape`, with windows over the whole grid."""
    settings, grid = config["ldae_anatomical"], config["grid"]
    window, stride = (
        max(1, round(settings[name] / grid["spacing_mm"])) for name in ("window_mm", "stride_mm")
    )
    n_places = window_means(torch.ones(1, 1, *grid["shape"]), window, stride).shape[1]
    encoder = {
        "shape": grid["shape"], "window": window, "stride": stride, "n_places": n_places,
        "n_bins": settings["n_bins"], "n_components": settings["n_components"],
        "n_scores": settings["n_scores"], "width": settings["encoder_width"],
        "dropout": settings["encoder_dropout"],
    }  # fmt: skip
    denoiser = {name: settings[name] for name in ("patch_size", "width", "depth", "n_heads")}
    denoiser |= {"schedule": config["diffusion"]}
    coarse = coarse_shape(
        tuple(grid["shape"]), grid["spacing_mm"], settings["deformation_spacing_mm"]
    )
    return AnatomicalNetwork(encoder, shape, denoiser, None, coarse)


def trainings(config: dict[str, Any], batch: int = 1) -> dict[str, tuple[nn.Module, Forward]]:
    """For each training, the network and its forward pass for a batch of scans."""
    shape = tuple(config["grid"]["shape"])
    autoencoder = autoencoder_of(config)
    latent_shape = autoencoder.latent_shape(shape)

    def scan() -> Tensor:
        return torch.rand(batch, 1, *shape)

    def latent() -> Tensor:
        return torch.randn(batch, *latent_shape)

    def timestep() -> Tensor:
        return torch.ones(batch, dtype=torch.int64)

    unet = unet_settings(config["prior"], config["diffusion"])
    prior = NoiseUNet(in_channels=latent_shape[0], **unet)
    encoder = encoder_architecture(config["encoder"], shape)
    pair = SemanticPair(encoder, prior)
    supervised = EncoderWithHeads(encoder, ["ad_vs_cn", "age"])
    settings = config["voxel_dae"]
    voxel_unet = unet_settings(settings, config["diffusion"])
    voxel_dae = ConditionalUNet(encoder, voxel_unet, settings["patch_size"])

    def shifted() -> Tensor:
        prior.requires_grad_(False).eval()
        weight = torch.ones(1, 1, 1, 1, 1)
        return pair.shifted_noise(prior, weight, latent(), timestep(), pair.encoder(scan()))

    def in_voxels() -> Tensor:
        return voxel_dae.noise(scan(), timestep(), voxel_dae.encoder(scan()))

    return {
        "autoencoder": (autoencoder, lambda: autoencoder(scan(), latent())[0]),
        "prior": (prior, lambda: prior(latent(), timestep())),
        "ldae": (pair, shifted),
        "voxel_dae": (voxel_dae, in_voxels),
        "supervised": (supervised, lambda: torch.stack(list(supervised(scan()).values()))),
    }


def anatomical_training(config: dict[str, Any], batch: int) -> tuple[nn.Module, Forward]:
    """The recommended network and its forward pass, as it is trained on the histograms of scans."""
    shape = autoencoder_of(config).latent_shape(config["grid"]["shape"])
    network = anatomical_network(config, shape)
    histograms = torch.randn(batch, *network.encoder.standard.mean.shape)
    schedule = NoiseSchedule(**config["diffusion"])

    def forward() -> Tensor:
        t = torch.full((batch,), schedule.n_timesteps // 2)
        y = network.encoder.code(histograms)
        return network.noise(torch.randn(batch, *shape), t, y, schedule.alpha_bar[t])

    return network, forward


def models(config: dict[str, Any]) -> dict[str, DiffusionAutoencoder]:
    """The recommended model, the paper's and that in voxel space, with one sampler."""
    device, shape = torch.device("cpu"), tuple(config["grid"]["shape"])
    schedule = NoiseSchedule(**config["diffusion"])
    autoencoder = autoencoder_of(config, paths=True).eval()
    trained = trainings(config)
    prior, pair, voxel = (trained[name][0].eval() for name in ("prior", "ldae", "voxel_dae"))
    network = anatomical_network(config, autoencoder.latent_shape(shape)).eval()
    made: dict[str, DiffusionAutoencoder] = {
        "ldae_anatomical": AnatomicalDiffusionAutoencoder(
            autoencoder, network, schedule, 1.0, shape, device
        ),
        "ldae": LatentDiffusionAutoencoder(
            autoencoder, prior, pair, schedule, 1.0, shape, device
        ),
        "voxel_dae": VoxelDiffusionAutoencoder(voxel, schedule, shape, device),
    }  # fmt: skip
    for model in made.values():
        model.sampler = MULTISTEP
    return made
