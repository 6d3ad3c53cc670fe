"""Random numbers of a part of a batch, equal to those that are drawn for the whole batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BLOCK = 16
"""Normal numbers that torch makes together: for whole blocks, each takes one draw of the engine."""


def normal_part(n: int, shape: Sequence[int], part: slice, generator: torch.Generator) -> Tensor:
    """Draws from N(0, 1) for some rows of a batch.

    A process of several draws the numbers of its own rows; those of the others are passed over at
    half of the time and without their memory. The result, and the generator afterwards, are those
    of the whole batch, so that a training does not depend on the number of its processes.

    Parameters
    ----------
    n
        Rows of the whole batch.
    shape
        Of one row.
    part
        Rows to return.
    generator
        Of the batch, on the CPU.

    Returns
    -------
    torch.Tensor
        ``torch.randn((n, *shape))[part]``, float32.
    """
    wanted, size = range(n)[part], math.prod(shape)
    if len(wanted) in (0, n) or size % BLOCK:
        return torch.randn((n, *shape), generator=generator)[part]
    rows = {}
    for row in range(n):
        if row in wanted:
            rows[row] = torch.randn(tuple(shape), generator=generator)
        else:
            torch.empty(size, dtype=torch.uint8).random_(generator=generator)
    return torch.stack([rows[row] for row in wanted])
