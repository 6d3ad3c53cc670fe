"""Multistep samplers: second order and above at the cost of DDIM, by reuse of evaluations.

With λ = log(√ᾱ/√(1-ᾱ)), the probability-flow ODE has the exact solutions (Lu et al. 2022,
eq. 3.4 of DPM-Solver and eq. 8 of DPM-Solver++)

    z_s = (√ᾱ_s/√ᾱ_t)·z_t - √ᾱ_s · ∫ e^-λ ε̂ dλ               (noise prediction),
    z_s = (√(1-ᾱ_s)/√(1-ᾱ_t))·z_t + √(1-ᾱ_s) · ∫ e^λ ẑ_0 dλ   (data prediction)

with integrals from λ_t to λ_s. The prediction is replaced by the polynomial in λ through its last
k evaluations, and the integral is then taken exactly. With noise prediction this is the method of
Zhang & Chen (2023, DEIS), with data prediction DPM-Solver++ 2M and 3M for k = 2 and 3, and with
the corrector UniPC (Zhao et al. 2023); the published forms differ in terms of higher order. k = 1
without a corrector is DDIM.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldae.diffusion.ddim import NoisePredictor, ddim_step
from ldae.diffusion.schedule import NoiseSchedule

CONCENTRATION = 1.75
"""Exponent of the spacing of timesteps: above 1, timesteps with little noise are closer together.
Chosen on validation scans, see docs/tried/sampler.md."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
"""Quadrature on [-1, 1], exact to double precision for these integrands."""


def multistep_timesteps(n_steps: int, n_timesteps: int) -> list[int]:
    """Timesteps 0 = τ_0 < τ_1 < … < τ_S = T with τ_i ≈ T·(i/S)^1.75.

    Parameters
    ----------
    n_steps
        S, between 1 and T.
    n_timesteps
        T of the schedule.

    Raises
    ------
    ValueError
        If S is not between 1 and T.
    """
    if not 1 <= n_steps <= n_timesteps:
        raise ValueError(f"n_steps must be in 1..{n_timesteps}, got {n_steps}")
    timesteps = [0]
    for i in range(1, n_steps + 1):
        wanted = round(n_timesteps * (i / n_steps) ** CONCENTRATION)
        timesteps.append(max(wanted, timesteps[-1] + 1))
    return timesteps


def _integration_weights(
    nodes: NDArray[np.float64], start: float, end: float, sign: int
) -> NDArray[np.float64]:
    """∫ e^{sign·(λ - start)} L_j(λ) dλ from `start` to `end`, L_j the Lagrange polynomials.

    Returns
    -------
    numpy.ndarray
        One weight for each of the k `nodes`, (k,).
    """
    at = start + (end - start) * (_NODES + 1) / 2
    factor = (end - start) / 2 * _WEIGHTS * np.exp(sign * (at - start))
    weights = []
    for j, node in enumerate(nodes):
        others = np.delete(nodes, j)
        lagrange = np.prod((at[:, None] - others) / (node - others), axis=1)
        weights.append(factor @ lagrange)
    return np.array(weights)


class _Known(NamedTuple):
    """What the network predicted at one place, ẑ_0 or ε̂."""

    log_snr: float
    value: Tensor


@dataclass(frozen=True)
class MultistepMove:
    """Takes a sample through timesteps, ascending to encode and descending to sample.

    The first steps have fewer evaluations behind them and are of lower order. Steps from or to
    timestep 0, where λ is infinite, are DDIM steps.

    Attributes
    ----------
    order
        k, the number of evaluations that a step uses.
    data_prediction
        Whether the polynomial is one of ẑ_0, else of ε̂.
    corrector
        Whether a step is taken again, of order k + 1, once the network has been evaluated where it
        ended. This costs no evaluation, because the next step starts with the same one. With k = 1
        the corrected step is the trapezoidal rule, which is the same from either end: what
        encoding loses, sampling gives back.
    """

    order: int
    data_prediction: bool
    corrector: bool

    def __call__(
        self,
        z: Tensor,
        predict_noise: NoisePredictor,
        timesteps: list[int],
        schedule: NoiseSchedule,
    ) -> Tensor:
        """Sample at ``timesteps[-1]``, with one evaluation of the network per step.

        Parameters
        ----------
        z
            Sample at ``timesteps[0]``, (B, …).
        predict_noise
            ε̂; evaluated at timestep 1 for a step that starts at 0.
        timesteps
            Timesteps to visit, ascending or descending.
        schedule
            The noise schedule.

        Returns
        -------
        Tensor
            (B, …).
        """
        alpha_bar = schedule.alpha_bar.double().cpu()
        known: list[_Known] = []
        start: tuple[int, Tensor] | None = None
        for t, s in pairwise(timesteps):
            timestep = torch.full((len(z),), max(t, 1), dtype=torch.int64, device=z.device)
            eps = predict_noise(z, timestep)
            if t:
                new = self._prediction(z, eps, alpha_bar[t])
                if self.corrector and start is not None:
                    z = self._step(start[1], [*known, new], alpha_bar[start[0]], alpha_bar[t])
                known = [*known, new][-self.order :]
            if t and s:
                start = t, z
                z = self._step(z, known, alpha_bar[t], alpha_bar[s])
            else:
                start = None
                z = ddim_step(z, eps, schedule.alpha_bar[t], schedule.alpha_bar[s])
        return z

    def _prediction(self, z: Tensor, eps: Tensor, alpha_bar: Tensor) -> _Known:
        """ẑ_0 or ε̂ at `z`, and the λ that belongs to it."""
        if not self.data_prediction:
            return _Known(_log_snr(alpha_bar), eps)
        signal, noise = alpha_bar.sqrt().item(), (1 - alpha_bar).sqrt().item()
        return _Known(_log_snr(alpha_bar), (z - noise * eps) / signal)

    def _step(
        self, z: Tensor, known: list[_Known], alpha_bar_t: Tensor, alpha_bar_s: Tensor
    ) -> Tensor:
        """Sample at s from `z` at t and the polynomial through `known`."""
        weights = _integration_weights(
            np.array([prediction.log_snr for prediction in known]),
            _log_snr(alpha_bar_t),
            _log_snr(alpha_bar_s),
            1 if self.data_prediction else -1,
        )
        integral = torch.zeros_like(z)
        for weight, prediction in zip(weights.tolist(), known, strict=True):
            integral += weight * prediction.value
        # λ is measured from λ_t, so that e^±λ_t stands before the integral.
        if self.data_prediction:
            shrink = ((1 - alpha_bar_s) / (1 - alpha_bar_t)).sqrt()
            return shrink.item() * z + (shrink * alpha_bar_t.sqrt()).item() * integral
        grow = (alpha_bar_s / alpha_bar_t).sqrt()
        return grow.item() * z - (grow * (1 - alpha_bar_t).sqrt()).item() * integral


def _log_snr(alpha_bar: Tensor) -> float:
    """λ, half the logarithm of the signal-to-noise ratio."""
    return (alpha_bar / (1 - alpha_bar)).log().item() / 2
