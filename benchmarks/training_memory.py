"""What a training step at the paper's sizes holds in memory per scan, without running it.

    .venv/bin/python -m benchmarks.training_memory [CONFIG]

Goes through each network of a study (studies/adni.yaml) with tensors that have a shape and no
content, in bfloat16 where automatic casting takes it, and adds up what the backward pass needs.
Weights, their gradients, Adam's two moments and the average are counted at 20 bytes a parameter.
The scratch memory of kernels is left out, and so is what a step needs only for a moment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from ldae.config import complete_config
from ldae.networks.assembly import ConditionalUNet, EncoderWithHeads, SemanticPair
from ldae.networks.autoencoder import Autoencoder
from ldae.networks.encoders import encoder_architecture
from ldae.networks.unet import NoiseUNet
from ldae.training.diffusion import unet_settings

BYTES_PER_PARAMETER = 20


def saved_gigabytes(forward: Callable[[], Tensor]) -> float:
    """What a backward pass through the result would need, each storage counted once, 10⁹ bytes."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
            kept.append(tensor)  # so that no other storage takes its place
        return tensor

    kept: list[Tensor] = []
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        torch.autocast("cpu", torch.bfloat16),
        saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        forward()
    return sum(sizes.values()) / 1e9


def trainings(config: dict[str, Any]) -> dict[str, tuple[nn.Module, Callable[[], Tensor]]]:
    """What each training trains, and its forward pass for one scan."""
    shape = tuple(config["grid"]["shape"])

    def scan() -> Tensor:
        return torch.empty(1, 1, *shape)

    def latent() -> Tensor:
        return torch.empty(1, *latent_shape)

    def level() -> Tensor:
        return torch.ones(1, dtype=torch.int64)

    settings = config["autoencoder"]
    names = ("fold", "channels", "n_res_blocks", "latent_channels", "norm_groups")
    autoencoder = Autoencoder(**{name: settings[name] for name in names})
    latent_shape = autoencoder.latent_shape(shape)
    prior = NoiseUNet(
        in_channels=latent_shape[0], **unet_settings(config["prior"], config["diffusion"])
    )
    encoder = encoder_architecture(config["encoder"], shape)
    pair = SemanticPair(encoder, prior)
    supervised = EncoderWithHeads(encoder, ["ad_vs_cn", "age"])
    settings = config["voxel_dae"]
    voxel_unet = unet_settings(settings, config["diffusion"])
    voxel_dae = ConditionalUNet(encoder, voxel_unet, settings["fold"])

    def shifted() -> Tensor:
        prior.requires_grad_(False).eval()
        weight = torch.ones(1, 1, 1, 1, 1)
        return pair.shifted_noise(prior, weight, latent(), level(), pair.encoder(scan()))

    def in_voxels() -> Tensor:
        return voxel_dae.noise(scan(), level(), voxel_dae.encoder(scan()))

    return {
        "autoencoder": (autoencoder, lambda: autoencoder(scan(), latent())[0]),
        "prior": (prior, lambda: prior(latent(), level())),
        "ldae": (pair, shifted),
        "voxel_dae": (voxel_dae, in_voxels),
        "supervised": (supervised, lambda: supervised(scan())["age"]),
    }


def main() -> None:
    """Print a row per training."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "studies/adni.yaml")
    sys.stdout.write("training\tparameters, M\tper scan, GB\tweights, GB\n")
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = complete_config(given | {"bids_folder": "."})
    for name, (network, forward) in trainings(config).items():
        parameters = sum(p.numel() for p in network.parameters())
        weights = BYTES_PER_PARAMETER * parameters / 1e9
        activations = saved_gigabytes(forward)
        sys.stdout.write(f"{name}\t{parameters / 1e6:.1f}\t{activations:.2f}\t{weights:.2f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
