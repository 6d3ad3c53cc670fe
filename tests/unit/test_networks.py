"""Networks: shapes, conditioning, sizes at the paper's settings, saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ldae.diffusion.ddim import ddim_move, ddim_timesteps
from ldae.diffusion.process import diffuse
from ldae.diffusion.schedule import NoiseSchedule
from ldae.errors import InputError
from ldae.models.inference import lerp
from ldae.networks.assembly import (
    ConditionalUNet,
    SemanticPair,
    load_conditional_unet,
    load_prior_network,
    load_semantic_pair,
    save_conditional_unet,
    save_prior,
    save_semantic_pair,
)
from ldae.networks.autoencoder import (
    Autoencoder,
    depth_to_space,
    kl_divergence,
    load_autoencoder,
    save_autoencoder,
    space_to_depth,
)
from ldae.networks.encoders import load_encoder, make_encoder
from ldae.networks.gradient_estimator import GradientEstimator
from ldae.networks.residual import VisitResidual, Visits, load_residual, save_residual
from ldae.networks.semantic_encoder import SemanticEncoder, load_imagenet_backbone
from ldae.networks.unet import NoiseUNet
from ldae.networks.weights import read_weights

CPU = torch.device("cpu")
SCHEDULE = {"n_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
ENCODER = {
    "n_slices": 16, "slab": 4, "dim_y": 16, "depths": [1, 1], "widths": [8, 16], "patch_size": 4,
    "n_heads": 2,
}  # fmt: skip
SLICES = {"backbone": "slices", **ENCODER}
VOLUME = {
    "backbone": "volume", "shape": [16, 16, 16], "window": 4, "stride": 4, "n_bins": 5,
    "channels": [8, 8], "dim_y": 16,
}  # fmt: skip
UNET = {
    "channels": [16, 32], "n_res_blocks": 1, "attention_levels": [False, True], "dropout": 0.1,
    "norm_groups": 8,
}  # fmt: skip


def two_visits() -> tuple[Visits, Visits, torch.Tensor, torch.Tensor]:
    """Visits A and B of two participants, α and the time between the visits in months."""
    generator = torch.Generator().manual_seed(1)
    a, b = (
        Visits(
            torch.rand(2, 1, 8, 8, 8, generator=generator),
            torch.randn(2, 3, 2, 2, 2, generator=generator),
        )
        for _ in range(2)
    )
    return a, b, torch.tensor([0.25, 0.5]), torch.tensor([24.0, 12.0])


def residual_network() -> VisitResidual:
    """A small residual network."""
    torch.manual_seed(0)
    return VisitResidual((8, 8, 8), latent_channels=3, patch_size=2, channels=8, n_blocks=1)


def test_untrained_residual_is_the_voxel_average() -> None:
    a, b, alpha, gap = two_visits()
    expected = lerp(a.x, b.x, alpha.reshape(-1, 1, 1, 1, 1))
    assert torch.equal(residual_network()(a, b, alpha, gap), expected)


def test_residual_is_symmetric_in_the_two_visits(tmp_path: Path) -> None:
    network = residual_network()
    randomise(network)
    save_residual(tmp_path / "r.safetensors", network)
    loaded = load_residual(tmp_path / "r.safetensors", CPU)
    a, b, alpha, gap = two_visits()
    x_hat = loaded(a, b, alpha, gap)
    torch.testing.assert_close(x_hat, network(a, b, alpha, gap))
    torch.testing.assert_close(x_hat, loaded(b, a, 1 - alpha, gap))
    empty = Visits(torch.zeros_like(a.x), a.z_0)
    assert not loaded(empty, empty, alpha, gap).any(), "the background must stay zero"
    moved = [loaded(a, b, alpha + 0.1, gap), loaded(a, b, alpha, gap + 6)]
    latent = loaded(Visits(a.x, a.z_0 + 1), b, alpha, gap)
    assert all((x_hat - other).abs().max() > 1e-3 for other in (*moved, latent))


def randomise(module: torch.nn.Module) -> None:
    """Draw all weights at random: MONAI initialises many convolutions to zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))


def millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_depth_to_space_inverts_space_to_depth(factor: int) -> None:
    x = torch.randn(2, 1, 8, 12, 4)
    patches = space_to_depth(x, factor)
    assert patches.shape == (2, factor**3, 8 // factor, 12 // factor, 4 // factor)
    assert torch.equal(depth_to_space(patches, factor), x)


@pytest.mark.parametrize(("patch_size", "channels"), [(1, [8, 16]), (2, [8]), (2, [8, 16])])
@pytest.mark.parametrize("shape", [(8, 12, 16), (16, 8, 4)])
def test_autoencoder_shapes(patch_size: int, channels: list[int], shape: tuple[int, ...]) -> None:
    autoencoder = Autoencoder(patch_size, channels, 1, 3, 4)
    latent = autoencoder.latent_shape(shape)
    x_hat, mu, sigma = autoencoder(torch.rand(2, 1, *shape), torch.randn(2, *latent))
    assert x_hat.shape == (2, 1, *shape) and mu.shape == sigma.shape == (2, *latent)
    assert (sigma > 0).all()


def test_autoencoder_rejects_a_grid_that_it_cannot_halve() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        Autoencoder(2, [8, 8], 1, 3, 4).moments(torch.rand(1, 1, 8, 10, 8))


def test_kl_divergence_against_torch() -> None:
    mu, sigma = torch.randn(3, 2, 2, 2, 2), torch.rand(3, 2, 2, 2, 2) + 0.1
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, sigma), normal(0.0, 1.0))
    assert torch.isclose(kl_divergence(mu, sigma), expected.flatten(1).sum(1).mean(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6, 8), (2, 2, 2)])
def test_unet_shapes_and_dependence(shape: tuple[int, ...]) -> None:
    unet = NoiseUNet(in_channels=3, dim_y=5, **UNET).eval()
    randomise(unet)
    z, t, y = torch.randn(2, 3, *shape), torch.tensor([1, 900]), torch.randn(2, 5)
    out = unet(z, t, y)
    assert out.shape == z.shape
    assert not torch.allclose(out, unet(z, t + 50, y))
    assert not torch.allclose(out, unet(z, t, y + 1))
    one_by_one = torch.cat([unet(z[i : i + 1], t[i : i + 1], y[i : i + 1]) for i in range(2)])
    assert torch.allclose(out, one_by_one, atol=1e-4)


def test_v_prediction_keeps_samples_in_range_before_training() -> None:
    schedule = NoiseSchedule(**SCHEDULE)
    head_is_zero = [NoiseUNet(in_channels=3, **UNET, schedule=s).eval() for s in (SCHEDULE, None)]
    z_T = torch.randn(2, 3, 4, 4, 4)  # noqa: N806
    timesteps = ddim_timesteps(10, schedule.n_timesteps)[::-1]
    with torch.no_grad():
        with_v, without = (ddim_move(z_T, unet, timesteps, schedule).std() for unet in head_is_zero)
    assert with_v < z_T.std() and without > 100


def test_v_prediction_turns_velocity_into_noise_and_scales_the_gradient() -> None:
    schedule = NoiseSchedule(**SCHEDULE)
    unet = NoiseUNet(in_channels=3, **UNET, schedule=SCHEDULE)
    z_0, eps, t = torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4), torch.tensor([40, 990])
    alpha_bar = schedule.alpha_bar[t].reshape(-1, 1, 1, 1, 1)
    velocity = alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * z_0
    z_t = diffuse(z_0, t, eps, schedule)
    assert torch.allclose(unet.to_noise(velocity, z_t, t), eps, atol=1e-5)
    assert torch.allclose(unet.to_gradient(eps, t), alpha_bar.sqrt() * eps)
    plain = NoiseUNet(in_channels=3, **UNET)
    assert plain.to_noise(eps, z_t, t) is eps and plain.to_gradient(eps, t) is eps


def test_unet_rejects_a_grid_that_it_cannot_halve() -> None:
    unet = NoiseUNet(in_channels=3, **UNET)
    with pytest.raises(ValueError, match="multiple of 2"):
        unet(torch.randn(1, 3, 5, 6, 5), torch.tensor([3]))


def test_untrained_estimator_is_zero_and_shares_no_weights() -> None:
    prior = NoiseUNet(in_channels=3, **UNET)
    estimator = GradientEstimator(prior, dim_y=5)
    z, t, y = torch.randn(2, 3, 4, 4, 4), torch.tensor([5, 500]), torch.randn(2, 5)
    emb = prior.embed(z, t, None)
    h, skips = prior.down(z, emb)
    assert (estimator(h, skips, emb, y) == 0).all()
    shared = {id(p) for p in prior.parameters()} & {id(p) for p in estimator.parameters()}
    assert not shared


def test_frozen_prior_gets_no_gradient_and_no_dropout(tmp_path: Path) -> None:
    save_prior(tmp_path / "prior.safetensors", NoiseUNet(in_channels=3, **UNET))
    prior = load_prior_network(tmp_path / "prior.safetensors", CPU)
    pair = SemanticPair(SLICES, prior).train()
    prior.train()  # as Lightning does with every submodule
    assert not any(module.training for module in prior.modules())
    x, z = torch.rand(2, 1, 16, 16, 16), torch.randn(2, 3, 4, 4, 4)
    t = torch.tensor([10, 800])
    randomise(pair.estimator)
    weight = torch.full((2, 1, 1, 1, 1), -0.01)
    pair.shifted_noise(prior, weight, z, t, pair.encoder(x)).square().mean().backward()
    assert all(p.grad is None for p in prior.parameters())
    assert pair.encoder.query.grad is not None and pair.encoder.query.grad.abs().sum() > 0


def test_encoder_code_and_errors() -> None:
    encoder = SemanticEncoder(**ENCODER).eval()
    x = torch.rand(3, 1, 16, 20, 16)
    assert encoder(x).shape == (3, 16)
    flipped = encoder(x.flip(4))
    assert not torch.allclose(encoder(x), flipped), "the code must depend on slice positions"
    with pytest.raises(ValueError, match="16 axial slices"):
        encoder(torch.rand(1, 1, 16, 16, 20))
    with pytest.raises(ValueError, match="n_heads"):
        SemanticEncoder(**{**ENCODER, "n_heads": 3})
    with pytest.raises(ValueError, match="slab"):
        SemanticEncoder(**{**ENCODER, "slab": 5})


def test_volume_encoder_ignores_positions_within_a_window() -> None:
    encoder = make_encoder(VOLUME).eval()
    encoder.histograms.inside.fill_(1)
    x = torch.rand(2, 1, 16, 16, 16)
    y = encoder(x)
    assert y.shape == (2, 16)
    # permute voxels within one window, then swap two windows
    shuffled = x.clone()
    shuffled[..., 4:8, 4:8, 4:8] = x[..., 4:8, 4:8, 4:8].flip(2, 3, 4)
    torch.testing.assert_close(encoder(shuffled), y)
    swapped = x.clone()
    swapped[..., 4:8, :, :], swapped[..., 8:12, :, :] = x[..., 8:12, :, :], x[..., 4:8, :, :]
    assert not torch.allclose(encoder(swapped), y, atol=1e-4)
    with pytest.raises(ValueError, match="4 resolution levels are too many"):
        make_encoder({**VOLUME, "channels": [8] * 4})


def test_volume_encoder_accepts_any_grid() -> None:
    encoder = make_encoder({**VOLUME, "shape": [15, 18, 13], "window": 6}).eval()
    encoder.histograms.inside[..., 2:-2, 2:-2, 2:-2] = 1
    assert encoder.grid == (4, 5, 4)
    assert encoder(torch.rand(2, 1, 15, 18, 13)).isfinite().all()


def test_imagenet_weights_load_into_a_grey_backbone(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import ConvNextConfig, ConvNextModel

    colour = ConvNextModel(
        ConvNextConfig(
            num_channels=3, patch_size=4, num_stages=2, depths=[1, 1], hidden_sizes=[8, 16]
        )
    ).eval()
    path = tmp_path / "model.safetensors"
    save_file({f"convnext.{k}": v for k, v in colour.state_dict().items()}, path)
    encoder = SemanticEncoder(**{**ENCODER, "slab": 1}).eval()
    load_imagenet_backbone(encoder, path)
    grey = torch.rand(2, 1, 16, 16)
    expected = colour(grey.expand(-1, 3, -1, -1)).pooler_output
    assert torch.allclose(encoder.backbone(grey).pooler_output, expected, atol=1e-5)
    with pytest.raises(InputError, match="does not contain the weights"):
        load_imagenet_backbone(SemanticEncoder(**{**ENCODER, "widths": [4, 8]}), path)


def test_saved_models_are_loaded_exactly(tmp_path: Path) -> None:
    x, t = torch.rand(2, 1, 16, 16, 16), torch.tensor([3, 400])
    autoencoder = Autoencoder(2, [8, 16], 1, 3, 4)
    save_autoencoder(tmp_path / "a.safetensors", autoencoder)
    again = load_autoencoder(tmp_path / "a.safetensors", CPU)
    assert torch.equal(again.moments(x)[0], autoencoder.moments(x)[0])

    prior = NoiseUNet(in_channels=3, **UNET).eval()
    pair = SemanticPair(SLICES, prior).eval()
    save_semantic_pair(tmp_path / "p.safetensors", pair)
    pair_again = load_semantic_pair(tmp_path / "p.safetensors", prior, CPU)
    # attention uses another kernel without gradients: equal up to rounding
    assert torch.allclose(pair_again.encoder(x), pair.encoder(x), atol=1e-5)
    lone = load_encoder(tmp_path / "p.safetensors", CPU)
    assert torch.equal(lone(x), pair_again.encoder(x))

    pair = SemanticPair(VOLUME, prior).eval()
    pair.encoder.histograms.inside.fill_(1)
    save_semantic_pair(tmp_path / "p.safetensors", pair)
    assert torch.equal(load_encoder(tmp_path / "p.safetensors", CPU)(x), pair.encoder(x))

    voxel = ConditionalUNet(SLICES, UNET, 2).eval()
    save_conditional_unet(tmp_path / "v.safetensors", voxel)
    voxel_again = load_conditional_unet(tmp_path / "v.safetensors", CPU)
    y = voxel.encoder(x)
    assert torch.equal(voxel_again.noise(x, t, y), voxel.noise(x, t, y))
    first = (tmp_path / "v.safetensors").read_bytes()
    save_conditional_unet(tmp_path / "v.safetensors", voxel)
    assert first == (tmp_path / "v.safetensors").read_bytes()


def test_weights_without_architecture_are_an_error(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="no network architecture"):
        read_weights(tmp_path / "x.safetensors")


def test_sizes_at_the_paper_settings() -> None:
    """Parameter counts at the paper's sizes; the paper reports 14, 487, 378 and 54 million."""
    with torch.device("meta"):
        autoencoder = Autoencoder(1, [64, 128, 128, 128], 2, 3, 32)
        prior = NoiseUNet(3, [256, 512, 768], 2, [False, True, True], 0.1, 32)
        estimator = NoiseUNet(3, [256, 512, 768], 2, [False, True, True], 0.1, 32, dim_y=768)
        encoder = SemanticEncoder(128, 1, 768, [3, 3, 27, 3], [96, 192, 384, 768], 4, 8)
    own = (estimator.middle_block, estimator.up_blocks, estimator.out)
    assert millions(autoencoder) == pytest.approx(13.8, abs=0.05)
    assert millions(prior) == pytest.approx(486.9, abs=0.05)
    # 1 % below the paper: we use one linear map per block for y, the paper may use more
    assert sum(map(millions, own)) == pytest.approx(373.8, abs=0.05)
    # 4 % below: attention pooling without a feed-forward part
    assert millions(encoder) == pytest.approx(51.9, abs=0.05)
