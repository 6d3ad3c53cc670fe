"""Models behind one door, and what is done with them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ldae.diffusion.schedule import NoiseSchedule
from ldae.methods import METHODS, NETWORKS, Methods
from ldae.models.base import DiffusionAutoencoder
from ldae.models.inference import encode_stochastic, lerp, reconstruct, sample, slerp
from ldae.models.loading import load_models
from ldae.networks.assembly import (
    ConditionalUNet,
    SemanticPair,
    save_conditional_unet,
    save_prior,
    save_semantic_pair,
)
from ldae.networks.autoencoder import Autoencoder, save_autoencoder
from ldae.networks.joint import JointNetwork, save_joint_network
from ldae.networks.unet import NoiseUNet

STUDY = Methods(METHODS)


CPU = torch.device("cpu")
SHAPE = (8, 8, 8)
DIFFUSION = {"n_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.1}
ENCODER = {
    "backbone": "slices", "n_slices": 8, "slab": 2, "dim_y": 8, "depths": [1], "widths": [8],
    "patch_size": 4, "n_heads": 2,
}  # fmt: skip
UNET = {
    "channels": [8], "n_res_blocks": 1, "attention_levels": [True], "dropout": 0.0,
    "norm_groups": 4,
}  # fmt: skip
HISTOGRAMS = {
    "shape": SHAPE, "window": 4, "stride": 4, "n_bins": 4, "n_places": 2, "n_components": 6,
    "temporal": True, "width": 8,
}  # fmt: skip


def randomise(module: torch.nn.Module, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    torch.manual_seed(0)
    prior = NoiseUNet(in_channels=3, **UNET)
    randomise(prior, 0.1)
    pair = SemanticPair(ENCODER, prior)
    randomise(pair, 0.1)
    voxel = ConditionalUNet(ENCODER, UNET, 2)
    randomise(voxel, 0.1)
    joint = JointNetwork(HISTOGRAMS, (3, 4, 4, 4), UNET | {"schedule": DIFFUSION})
    joint.encoder.histograms.inside.fill_(1)
    randomise(joint, 0.1)
    names = ("autoencoder", "prior", "ldae", "ldae_joint", "voxel_dae")
    paths = {name: tmp_path / f"{name}.safetensors" for name in names}
    save_autoencoder(paths["autoencoder"], Autoencoder(2, [8], 1, 3, 4))
    save_prior(paths["prior"], prior)
    save_semantic_pair(paths["ldae"], pair)
    save_joint_network(paths["ldae_joint"], joint)
    save_conditional_unet(paths["voxel_dae"], voxel)
    paths["scale"] = tmp_path / "scale.json"
    paths["scale"].write_text('{"scale": 2.0}')
    return paths


def loaded(files: dict[str, Path], *names: str) -> list[DiffusionAutoencoder]:
    paths = {name: str(path) for name, path in files.items()}
    methods = Methods(STUDY[name] for name in names)
    loaders = {network.name: str(network.model) for network in NETWORKS}
    return list(load_models(methods, loaders, paths, DIFFUSION, SHAPE, CPU).values())


def test_models_from_files(files: dict[str, Path]) -> None:
    x = torch.rand(2, 1, *SHAPE)
    ldae, prior, voxel, joint = loaded(files, "ldae", "prior", "voxel_dae", "ldae_joint")
    assert ldae.latent_shape == (3, 4, 4, 4) and voxel.latent_shape == (1, *SHAPE)
    assert prior.semantic_code(x) is None and ldae.semantic_code(x).shape == (2, 8)
    assert torch.allclose(ldae.to_latent(x), 2 * ldae.autoencoder.moments(x)[0])
    for model in (ldae, prior, voxel, joint):
        x_hat = reconstruct(model, x, 4)
        assert x_hat.shape == x.shape and 0 <= x_hat.min() and x_hat.max() <= 1
    with pytest.raises(ValueError, match="needs a semantic code"):
        ldae.noise(torch.randn(1, 3, 4, 4, 4), torch.tensor([1]), None)


def test_samplers_of_one_model_share_its_networks(files: dict[str, Path]) -> None:
    x = torch.rand(1, 1, *SHAPE)
    (alone,) = loaded(files, "voxel_dae_multistep")
    plain, twin = loaded(files, "voxel_dae", "voxel_dae_multistep")
    assert plain.network is twin.network and plain.sampler is not twin.sampler
    assert torch.equal(reconstruct(twin, x, 4), reconstruct(alone, x, 4))
    assert not torch.equal(reconstruct(twin, x, 4), reconstruct(plain, x, 4))


def test_ldae_noise_is_the_shifted_prior(files: dict[str, Path]) -> None:
    (ldae,) = loaded(files, "ldae")
    z, t = torch.randn(2, 3, 4, 4, 4), torch.tensor([3, 70])
    y = torch.randn(2, 8)
    emb = ldae.prior.embed(z, t, None)
    gradient = ldae.pair.estimator(*ldae.prior.down(z, emb), emb, y)
    k = NoiseSchedule(**DIFFUSION).shift_weight[t].reshape(2, 1, 1, 1, 1)
    expected = ldae.prior(z, t) + k * gradient
    assert torch.allclose(ldae.noise(z, t, y), expected, atol=1e-5)
    assert not torch.allclose(ldae.noise(z, t, y), ldae.prior(z, t), atol=1e-3)


@pytest.mark.parametrize("name", ["ldae", "voxel_dae"])
def test_the_multistep_model_has_the_same_networks(files: dict[str, Path], name: str) -> None:
    model, other = loaded(files, name, f"{name}_multistep")
    x = torch.rand(2, 1, *SHAPE)
    y, z_0 = model.semantic_code(x), model.to_latent(x)
    assert torch.equal(other.semantic_code(x), y) and torch.equal(other.to_latent(x), z_0)
    one, two = (encode_stochastic(one, z_0, y, 10) for one in (model, other))
    assert not torch.allclose(one, two, atol=1e-3)


def test_round_trip_converges_with_steps(files: dict[str, Path]) -> None:
    (ldae,) = loaded(files, "ldae")
    x = torch.rand(2, 1, *SHAPE)
    y, z_0 = ldae.semantic_code(x), ldae.to_latent(x)
    errors = [
        float((sample(ldae, encode_stochastic(ldae, z_0, y, n), y, n) - z_0).abs().mean())
        for n in (5, 20, 100)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_slerp_against_the_circle() -> None:
    a = torch.zeros(1, 2, 1, 1, 1)
    b = a.clone()
    a[0, 0], b[0, 1] = 1, 1
    for alpha in (0.0, 0.25, 0.5, 1.0):
        found = slerp(a, b, alpha).flatten()
        expected = [math.cos(alpha * math.pi / 2), math.sin(alpha * math.pi / 2)]
        assert np.allclose(found, expected, atol=1e-6)


def test_slerp_keeps_the_norm_and_takes_one_alpha_per_scan() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 3, 4, 4, 4, generator=generator) for _ in range(2))
    a, b = (v / v.flatten(1).norm(dim=1).reshape(2, 1, 1, 1, 1) for v in (a, b))
    both = slerp(a, b, torch.tensor([0.2, 0.7]))
    assert torch.allclose(both.flatten(1).norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.allclose(both[1:], slerp(a[1:], b[1:], 0.7), atol=1e-6)


def test_slerp_of_parallel_codes_is_the_line() -> None:
    a = torch.randn(1, 3, 2, 2, 2)
    assert torch.allclose(slerp(a, 2 * a, 0.5), lerp(a, 2 * a, 0.5), atol=1e-4)
    assert torch.isfinite(slerp(a, -a, 0.3)).all()
