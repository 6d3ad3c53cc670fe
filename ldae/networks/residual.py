"""Learned correction of the average of two visits, for interpolation between them.

The voxelwise average is the strongest trivial interpolation: it reduces the noise of the two visits
and follows a linear change. The network learns what remains: noise, partial volumes and nonlinear
change. Its last layer is initialised to zero, so that the untrained network returns the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from typing_extensions import override

from ldae.networks.autoencoder import depth_to_space, space_to_depth
from ldae.networks.standard import CohortStandard
from ldae.networks.weights import load_network, save_weights

# Unit of the correction, close to the SD of intensities between participants.
RESIDUAL_SCALE = 0.1
# Slope and offset that bring intensities, and the SD maps of the cohort, to about unit size.
INTENSITY_SCALE = (4.0, -2.0)
DEVIATION_SCALE = (10.0, -1.0)
# SD of the features of the position in the template; those of the visits have SD 1.
PLACE_GAIN = 0.5
MONTHS_PER_YEAR = 12.0


@dataclass(frozen=True)
class Visits:
    """One of the two visits of each participant in a batch.

    Attributes
    ----------
    x
        Scans (B, 1, H, W, D) in [0, 1].
    z_0
        Their latents (B, C, h, w, d), with SD 1.
    """

    x: Tensor
    z_0: Tensor


def average_visits(x_a: Tensor, x_b: Tensor, alpha: Tensor) -> Tensor:
    """(1-α)·x_A + α·x_B for scans (B, 1, H, W, D) and α (B,)."""
    return x_a + alpha.reshape(-1, 1, 1, 1, 1) * (x_b - x_a)


class VisitResidual(nn.Module):
    """x̂ = lerp(x_A, x_B, α) + r(A, B), where r is zero before training.

    Both visits pass through the same first layer, modulated by their weight in the average (1 - α
    and α) and by their distance in time to the interpolated visit, and are summed. The network is
    therefore symmetric: swapping the visits together with α and 1 - α changes nothing.
    Convolutions with residual connections follow. The last layer also sees the average, so that it
    can apply a linear filter to it.

    Parameters
    ----------
    shape
        Grid (H, W, D).
    latent_channels
        C of z_0.
    patch_size
        Patch size of the space-to-depth transform, voxels.
    channels
        Width of the hidden layers.
    n_blocks
        Number of residual blocks.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_channels: int,
        patch_size: int,
        channels: int,
        n_blocks: int,
    ) -> None:
        super().__init__()
        self.architecture = {
            "shape": list(shape), "latent_channels": latent_channels, "patch_size": patch_size,
            "channels": channels, "n_blocks": n_blocks,
        }  # fmt: skip
        self.patch_size = patch_size
        self.standard = CohortStandard((1, *shape))
        voxels = patch_size**3
        self.visit = nn.Conv3d(voxels, channels, 3, padding=1)
        self.place = nn.Conv3d(2 * voxels, channels, 3, padding=1, bias=False)
        self.latent = nn.Conv3d(latent_channels, channels, 1, bias=False)
        self.time = nn.Linear(2, 2 * channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(),
                nn.Conv3d(channels, channels, 3, padding=1),
                nn.SiLU(),
                nn.Conv3d(channels, channels, 1),
            )
            for _ in range(n_blocks)
        )
        self.out = nn.Conv3d(channels + 2 * voxels, voxels, 3, padding=1)
        self._start()

    def _start(self) -> None:
        """Initialise weights: the variance is preserved, and every additive branch is zero."""
        nn.init.kaiming_normal_(self.visit.weight, nonlinearity="linear")
        nn.init.normal_(self.place.weight, std=PLACE_GAIN * self.place.weight[0].numel() ** -0.5)
        nn.init.zeros_(self.latent.weight)
        for block in self.blocks:
            nn.init.kaiming_normal_(block[1].weight, nonlinearity="relu")  # type: ignore[index]
            nn.init.zeros_(block[3].weight)  # type: ignore[index]
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    @override
    def forward(self, a: Visits, b: Visits, alpha: Tensor, gap: Tensor) -> Tensor:
        """Scans at a time between two visits.

        Parameters
        ----------
        a, b
            Earlier and later visit.
        alpha
            Position between them, (B,), in [0, 1].
        gap
            Time between them, months, (B,).

        Returns
        -------
        Tensor
            x̂ (B, 1, H, W, D), not clipped.
        """
        place = self._place()
        years = gap / MONTHS_PER_YEAR
        h = self._see(a, 1 - alpha, alpha * years, place)
        h = h + self._see(b, alpha, (1 - alpha) * years, place)
        for block in self.blocks:
            h = h + block(h)
        average = average_visits(a.x, b.x, alpha)
        h = torch.cat([F.silu(h), self.averages(average)], 1)
        residual = RESIDUAL_SCALE * depth_to_space(self.out(h), self.patch_size)
        # Background (0 in both visits) stays 0: the loss is taken inside the brain mask only.
        return average + residual * (average > 0)

    def averages(self, average: Tensor) -> Tensor:
        """What the last layer sees of the average (B, 1, H, W, D): (B, 2·f³, H/f, W/f, D/f)."""
        seen = [self.standard(average), _centred(average, *INTENSITY_SCALE)]
        return torch.cat([space_to_depth(x, self.patch_size) for x in seen], 1)

    def _place(self) -> Tensor:
        """Features (1, channels, H/f, W/f, D/f) of the position in the template."""
        mean = _centred(self.standard.mean, *INTENSITY_SCALE)
        deviation = _centred(self.standard.deviation, *DEVIATION_SCALE)
        maps = [space_to_depth(x, self.patch_size) for x in (mean, deviation)]
        place: Tensor = self.place(torch.cat(maps, 1))
        return place

    def _see(self, visits: Visits, share: Tensor, years: Tensor, place: Tensor) -> Tensor:
        """First layer on one visit, modulated by its weight in the average and its time."""
        h = self.visit(space_to_depth(self.standard(visits.x), self.patch_size)) + place
        h = h + F.interpolate(self.latent(visits.z_0), size=h.shape[2:], mode="nearest")
        scale, shift = self.time(torch.stack([share, years], 1))[:, :, None, None, None].chunk(2, 1)
        return F.silu(h * (1 + scale) + shift)


def _centred(values: Tensor, slope: float, offset: float) -> Tensor:
    return slope * values + offset


def save_residual(path: Path, model: VisitResidual) -> None:
    """Write the weights and architecture of the network."""
    save_weights(path, model.state_dict(), model.architecture)


def load_residual(path: Path, device: torch.device) -> VisitResidual:
    """Trained network, frozen, in eval mode, on `device`."""
    return load_network(path, VisitResidual, device)
