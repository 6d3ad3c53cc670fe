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
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import study_settings, trainings

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


def main() -> None:
    """Print one row per training."""
    path = sys.argv[1] if len(sys.argv) > 1 else "studies/adni.yaml"
    sys.stdout.write("training\tparameters, M\tweights, GB\tper scan, GB\tper scan, TFLOP\n")
    for name, (network, forward) in trainings(study_settings(path)).items():
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
