"""What a change of the semantic code does to anatomy: a deformation that follows from the code.

Adding a direction to a latent adds the same picture to every scan. Anatomy does not change so: a
ventricle grows at its own border, which lies elsewhere in every brain. Here the code predicts where
anatomy lies, and a changed code moves what is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

SQUARINGS = 3
"""A displacement is made of 2³ equal steps."""


class CodeDeformation(nn.Module):
    """Scans with a changed code: their anatomy, moved.

    The code y predicts u(p) = b(p) + A(p)·y, which leads from a point p of the average training
    scan to the same structure in a scan with this code. A code y' moves that structure by
    δ(p) = A(p)·(y' - y) more. At a point q of the scan the velocity is v(q) = δ(q - u(q)), to first
    order, and the scan is carried by the flow of v over one unit of time (Arsigny et al. 2006,
    MICCAI), which does not fold.

    A and b are in closed form (:mod:`ldae.training.deformation`): they are no parameters. So is how
    their ridge regression shrinks codes, which other predictions from a code can be shrunk by.

    Parameters
    ----------
    dim_y
        Length of the code.
    shape
        (H, W, D) of a scan.
    coarse
        (h, w, d) of the grid on which displacements are held.
    """

    slope: Tensor
    offset: Tensor
    shrinkage: Tensor

    def __init__(self, dim_y: int, shape: Sequence[int], coarse: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("slope", torch.zeros(dim_y, 3, *coarse))
        self.register_buffer("offset", torch.zeros(3, *coarse))
        self.register_buffer("shrinkage", torch.zeros(dim_y, dim_y))

    def forward(self, x: Tensor, y: Tensor, moved: Tensor) -> Tensor:
        """Scans with the code `moved` in place of y.

        Parameters
        ----------
        x
            Scans with the code y, (B, 1, H, W, D).
        y, moved
            Codes, (B, dim_y).
        """
        place = self._on_grid(self.offset + self._change(y))
        velocity = carry(self._on_grid(self._change(moved - y)), -place)
        return carry(x, follow(-velocity))

    def shrunk(self, y: Tensor, moved: Tensor) -> Tensor:
        """Codes (B, dim_y) from which an unpenalised regression predicts what a ridge would.

        That is y + (y' - y)·M with M = (C + λI)⁻¹·C of standardised codes, C their correlations.
        """
        codes: Tensor = y + (moved - y) @ self.shrinkage
        return codes

    def _change(self, y: Tensor) -> Tensor:
        """A·y on the coarse grid, (B, 3, h, w, d), voxels of the scan."""
        change: Tensor = torch.tensordot(y, self.slope.to(y.dtype), dims=1)
        return change

    def _on_grid(self, displacement: Tensor) -> Tensor:
        """Displacement on the grid of the scan, (B, 3, H, W, D)."""
        fine: Tensor = interpolate(
            displacement, size=self.shape, mode="trilinear", align_corners=False
        )
        return fine


def follow(velocity: Tensor) -> Tensor:
    """Displacement (B, 3, H, W, D) after one unit of time in a steady velocity, both in voxels.

    By scaling and squaring (Arsigny et al. 2006).
    """
    displacement: Tensor = velocity / 2**SQUARINGS
    for _ in range(SQUARINGS):
        displacement = displacement + carry(displacement, displacement)
    return displacement


def carry(values: Tensor, displacement: Tensor) -> Tensor:
    """Values (B, C, H, W, D) at the displaced voxels; displacement (B, 3, H, W, D), voxels."""
    size, device = displacement.shape[2:], displacement.device
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in size]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + displacement
    span = torch.tensor(size, dtype=torch.float32, device=device).sub(1).reshape(3, 1, 1, 1)
    # grid_sample counts from -1 to 1, the last axis first.
    grid = (2 * places / span - 1).flip(1).movedim(1, -1)
    moved: Tensor = grid_sample(values, grid, padding_mode="border", align_corners=True)
    return moved
