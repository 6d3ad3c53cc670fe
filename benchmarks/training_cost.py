"""Memory and operations per scan of a training step at the paper's sizes, without running it.

    .venv/bin/python -m benchmarks.training_cost [CONFIG]

Traces each network of a study (by default studies/adni.yaml) with fake tensors, which have a shape
but no content, in the precision of torch's autocast on a GPU: bfloat16, with float32 in
normalisation layers. Memory is the sum of all tensors saved for the backward pass. Operations are
three times those of the forward pass, because the backward pass takes about twice as many. Weights,
gradients, both moments of Adam and the averaged weights take 20 bytes per parameter. Not included:
the networks in the losses of the autoencoder, scratch memory of kernels, and temporary tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ldae.networks.assembly import ConditionalUNet, EncoderWithHeads, SemanticPair
from ldae.networks.autoencoder import Autoencoder
from ldae.networks.encoders import encoder_architecture
from ldae.networks.unet import NoiseUNet
from ldae.training.diffusion import unet_settings
from ldae.workflow.config import complete_config

BYTES_PER_PARAMETER = 20
PASSES = 3


class NormsInSinglePrecision(TorchFunctionMode):
    """Run normalisation layers in float32, as autocast does on a GPU but not on a CPU."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (F.group_norm, F.layer_norm):
            with torch.autocast("cpu", enabled=False):
                return function(args[0].float(), *args[1:], **kwargs)
        return function(*args, **kwargs)


def cost_of_scan(forward: Callable[[], Tensor]) -> tuple[float, float]:
    """Memory saved for the backward pass (10⁹ bytes), and operations of a step (10¹²)."""
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter) and not is_cast_parameter(tensor):
            storage = tensor.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
            kept.append(tensor)  # keeps its storage alive, so that no address is used twice
        return tensor

    counter = FlopCounterMode(display=False)
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        counter,
        torch.autocast("cpu", torch.bfloat16),
        NormsInSinglePrecision(),
        saved_tensors_hooks(note, lambda tensor: tensor),
    ):
        forward()
    return sum(sizes.values()) / 1e9, PASSES * counter.get_total_flops() / 1e12


def is_cast_parameter(tensor: Tensor) -> bool:
    """Whether a tensor is a weight cast to bfloat16, which exists once per step for any batch."""
    made_by = tensor.grad_fn
    if made_by is None or "ToCopy" not in made_by.name():
        return False
    return "AccumulateGrad" in str(made_by.next_functions[0][0])


def trainings(config: dict[str, Any]) -> dict[str, tuple[nn.Module, Callable[[], Tensor]]]:
    """For each training, the network and its forward pass for one scan."""
    shape = tuple(config["grid"]["shape"])

    def scan() -> Tensor:
        return torch.empty(1, 1, *shape)

    def latent() -> Tensor:
        return torch.empty(1, *latent_shape)

    def timestep() -> Tensor:
        return torch.ones(1, dtype=torch.int64)

    settings = config["autoencoder"]
    names = ("patch_size", "channels", "n_res_blocks", "latent_channels", "norm_groups")
    autoencoder = Autoencoder(**{name: settings[name] for name in names})
    latent_shape = autoencoder.latent_shape(shape)
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


def main() -> None:
    """Print one row per training."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "studies/adni.yaml")
    sys.stdout.write("training\tparameters, M\tweights, GB\tper scan, GB\tper scan, TFLOP\n")
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = complete_config(given | {"bids_folder": "."})
    for name, (network, forward) in trainings(config).items():
        parameters = sum(p.numel() for p in network.parameters())
        weights = BYTES_PER_PARAMETER * parameters / 1e9
        held, operations = cost_of_scan(forward)
        row = (
            name,
            f"{parameters / 1e6:.1f}",
            f"{weights:.1f}",
            f"{held:.2f}",
            f"{operations:.2f}",
        )
        sys.stdout.write("\t".join(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
