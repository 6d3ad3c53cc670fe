"""Schedule, forward process and samplers against closed-form solutions."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ldae.diffusion.ddim import ddim_move, ddim_step, ddim_timesteps
from ldae.diffusion.multistep import MultistepMove, multistep_timesteps
from ldae.diffusion.process import diffuse, noise_loss
from ldae.diffusion.sampler import DDIM, MULTISTEP, Move
from ldae.diffusion.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule(1000, 1e-4, 0.02)


def test_schedule_is_linear() -> None:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha_bar = (1 - beta).cumprod(0)
    assert SCHEDULE.alpha_bar[0] == 1
    assert torch.allclose(SCHEDULE.alpha_bar[1:], alpha_bar.float())
    assert SCHEDULE.alpha_bar[-1] < 5e-5


def test_shift_weight_is_the_posterior_mean_gap_in_noise_form() -> None:
    """The noise ε̂ = ε_θ + k·G must move the DDPM posterior mean by σ_t²·G."""
    t = 400
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[t - 1]
    alpha, bar = 1 - beta, SCHEDULE.alpha_bar.double()
    variance = beta * (1 - bar[t - 1]) / (1 - bar[t])
    # posterior mean as a function of ε: (z_t - β/√(1-ᾱ)·ε)/√α
    moved = -beta / (1 - bar[t]).sqrt() * SCHEDULE.shift_weight[t].double() / alpha.sqrt()
    assert torch.isclose(moved, variance, rtol=1e-4)
    assert SCHEDULE.shift_weight[0] == 0 and (SCHEDULE.shift_weight[2:] < 0).all()


def test_loss_weight_is_snr_weighting() -> None:
    t = torch.tensor([1, 500, 1000])
    snr = SCHEDULE.alpha_bar[t] / (1 - SCHEDULE.alpha_bar[t])
    assert torch.allclose(SCHEDULE.loss_weight(t, 0.1), snr**0.1 / (1 + snr))


@pytest.mark.parametrize(("n", "start", "end"), [(0, 1e-4, 0.02), (10, 0.0, 0.02), (10, 0.5, 0.1)])
def test_invalid_schedule_is_an_error(n: int, start: float, end: float) -> None:
    with pytest.raises(ValueError, match="need n_timesteps"):
        NoiseSchedule(n, start, end)


@pytest.mark.parametrize("place", [ddim_timesteps, multistep_timesteps])
@pytest.mark.parametrize("n_steps", [1, 7, 100, 999, 1000])
def test_timesteps_span_the_schedule(n_steps: int, place) -> None:
    timesteps = place(n_steps, 1000)
    assert timesteps[0] == 0 and timesteps[-1] == 1000 and len(timesteps) == n_steps + 1
    assert all(a < b for a, b in pairwise(timesteps))


@pytest.mark.parametrize("place", [ddim_timesteps, multistep_timesteps])
@pytest.mark.parametrize("n_steps", [0, 1001])
def test_wrong_number_of_steps_is_an_error(n_steps: int, place) -> None:
    with pytest.raises(ValueError, match="n_steps"):
        place(n_steps, 1000)


def test_step_with_the_true_noise_is_exact() -> None:
    z_0, eps = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 4, 5, 6)
    z_700 = diffuse(z_0, torch.full((2,), 700), eps, SCHEDULE)
    z_200 = ddim_step(z_700, eps, SCHEDULE.alpha_bar[700], SCHEDULE.alpha_bar[200])
    assert torch.allclose(z_200, diffuse(z_0, torch.full((2,), 200), eps, SCHEDULE), atol=1e-5)


def gaussian_noise(mean: float, sd: float):
    """Exact ε̂ for data ~ N(mean, sd²), elementwise."""

    def predict(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = SCHEDULE.alpha_bar[t].reshape(-1, *[1] * (z.ndim - 1))
        return (1 - bar).sqrt() * (z - bar.sqrt() * mean) / (bar * sd**2 + 1 - bar)

    return predict


def test_encode_then_sample_returns_the_sample_and_converges() -> None:
    """DDIM is an ODE solver: the error of the round trip decreases with the number of steps."""
    z_0 = 0.3 + 0.5 * torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    predict = gaussian_noise(0.3, 0.5)
    errors = []
    for n_steps in (10, 100, 1000):
        timesteps = ddim_timesteps(n_steps, 1000)
        z_t = ddim_move(z_0, predict, timesteps, SCHEDULE)
        errors.append(float((ddim_move(z_t, predict, timesteps[::-1], SCHEDULE) - z_0).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


def exact_code(z_0: Tensor) -> Tensor:
    """z_T of samples of N(0.3, 0.5²): the flow keeps quantiles, so that it is linear."""
    bar = SCHEDULE.alpha_bar[1000].item()
    return math.sqrt(bar) * 0.3 + (z_0 - 0.3) / 0.5 * math.sqrt(bar * 0.25 + 1 - bar)


@pytest.mark.parametrize(
    ("move", "order"),
    [
        (MULTISTEP.move, 2),
        (MultistepMove(1, data_prediction=True, corrector=False), 1),
        (MultistepMove(1, data_prediction=False, corrector=True), 2),
        (MultistepMove(2, data_prediction=True, corrector=False), 2),
        (MultistepMove(3, data_prediction=True, corrector=False), 3),
    ],
)
def test_order_of_the_samplers(move: MultistepMove, order: int) -> None:
    """Halving the steps divides the error by about 2^order, against the exact flow."""
    z_0 = 0.3 + 0.5 * torch.linspace(-2, 2, 9).reshape(9, 1, 1, 1, 1)
    predict = gaussian_noise(0.3, 0.5)

    def error(n_steps: int) -> float:
        z_t = move(z_0, predict, multistep_timesteps(n_steps, 1000), SCHEDULE)
        return (z_t - exact_code(z_0)).abs().max().item()

    errors = [error(n) for n in (20, 40, 80)]
    ratios = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(order - 0.5 < ratio < order + 1 for ratio in ratios), ratios


@pytest.mark.parametrize("data_prediction", [True, False])
@pytest.mark.parametrize("descending", [True, False])
def test_ddim_is_the_multistep_sampler_of_first_order(
    data_prediction: bool, descending: bool
) -> None:
    z = torch.randn(2, 3, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    timesteps = multistep_timesteps(7, 1000)[:: -1 if descending else 1]
    predict = gaussian_noise(0.3, 0.5)
    ours = MultistepMove(1, data_prediction, corrector=False)(z, predict, timesteps, SCHEDULE)
    assert torch.allclose(ours, ddim_move(z, predict, timesteps, SCHEDULE), atol=1e-4)


@pytest.mark.parametrize(
    ("order", "corrector"), [(1, True), (2, True), (2, False), (3, True), (3, False)]
)
def test_multistep_evaluates_once_per_step_and_returns_the_sample(
    order: int, corrector: bool
) -> None:
    z_0 = 0.3 + 0.5 * torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    visited: list[int] = []

    def predict(z: Tensor, t: Tensor) -> Tensor:
        visited.append(int(t[0]))
        return gaussian_noise(0.3, 0.5)(z, t)

    timesteps = multistep_timesteps(20, 1000)
    move = MultistepMove(order, data_prediction=True, corrector=corrector)
    z_t = move(z_0, predict, timesteps, SCHEDULE)
    back = move(z_t, predict, timesteps[::-1], SCHEDULE)
    assert visited == [1, *timesteps[1:-1], *timesteps[:0:-1]]
    assert (back - z_0).abs().max().item() < 0.1


def test_the_corrector_returns_what_encoding_lost() -> None:
    """The trapezoidal rule is nearly the same from either end: little is lost on the way back."""
    z_0 = 0.3 + 0.5 * torch.randn(4, 2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    predict, timesteps = gaussian_noise(0.3, 0.5), multistep_timesteps(20, 1000)

    def loss(move: Move) -> float:
        z_t = move(z_0, predict, timesteps, SCHEDULE)
        return (move(z_t, predict, timesteps[::-1], SCHEDULE) - z_0).abs().max().item()

    two_step = MultistepMove(2, data_prediction=True, corrector=False)
    assert loss(MULTISTEP.move) < loss(two_step) / 10 < loss(DDIM.move) / 50


def test_encoded_gaussian_is_standard_normal() -> None:
    z_0 = 0.3 + 0.5 * torch.randn(500, 1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    z_t = ddim_move(z_0, gaussian_noise(0.3, 0.5), ddim_timesteps(200, 1000), SCHEDULE)
    assert abs(float(z_t.mean())) < 0.02 and abs(float(z_t.std()) - 1) < 0.02


def test_noise_loss_weights_each_scan() -> None:
    eps, eps_hat = torch.zeros(2, 1, 2, 2, 2), torch.zeros(2, 1, 2, 2, 2)
    eps_hat[1] = 2
    assert noise_loss(eps, eps_hat) == 2
    assert noise_loss(eps, eps_hat, torch.tensor([1.0, 0.5])) == 1
