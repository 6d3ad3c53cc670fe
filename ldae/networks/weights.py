"""Weights on disk: safetensors with the architecture in their metadata, and nothing executable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ldae.errors import InputError


def save_weights(path: Path, state: dict[str, Tensor], architecture: dict[str, Any]) -> None:
    """Write `state` and the `architecture` that loads it.

    Parameters
    ----------
    path
        ``*.safetensors``, overwritten.
    state
        Tensors by name.
    architecture
        JSON-serialisable description, returned by :func:`read_weights`.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    # safetensors writes metadata in hash order: one key keeps equal models byte-identical
    save_file(tensors, path, metadata={"architecture": json.dumps(architecture, sort_keys=True)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, on the CPU, and the architecture stored with them.

    Raises
    ------
    InputError
        If the file holds no architecture, that is, was not written by :func:`save_weights`.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if "architecture" not in metadata:
            raise InputError(path, "holds no architecture", "Use a model made by this workflow.")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(
            metadata["architecture"]
        )


def freeze(module: nn.Module) -> nn.Module:
    """`module` in eval mode with no gradients, for good: ``train()`` no longer changes its mode."""
    module.requires_grad_(False)
    module.eval()
    module.train = lambda mode=True: module  # type: ignore[method-assign,assignment]
    return module
