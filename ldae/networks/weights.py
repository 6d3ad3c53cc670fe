"""Files of network weights: safetensors with the architecture in the metadata, no pickled code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ldae.errors import InputError

Network = TypeVar("Network", bound=nn.Module)


def save_weights(path: Path, state: dict[str, Tensor], architecture: dict[str, Any]) -> None:
    """Write `state` together with the `architecture` of the network.

    Parameters
    ----------
    path
        ``*.safetensors``; overwritten if it exists.
    state
        Tensors by name.
    architecture
        JSON-serialisable arguments of the network, returned by :func:`read_weights`.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    # safetensors writes the keys of metadata in random order: a single key keeps files reproducible
    save_file(tensors, path, metadata={"architecture": json.dumps(architecture, sort_keys=True)})


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, on the CPU, and the architecture stored with them.

    Raises
    ------
    InputError
        If the file contains no architecture, that is, if :func:`save_weights` did not write it.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if "architecture" not in metadata:
            raise InputError(
                path,
                "the file contains no network architecture",
                "Use a model that was trained by this workflow.",
            )
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(
            metadata["architecture"]
        )


def read_network(path: Path, build: Callable[..., Network]) -> Network:
    """Trained network on the CPU, in training mode, as a further training needs it.

    Parameters
    ----------
    path
        File of :func:`save_weights`.
    build
        The network of the arguments in its architecture; usually its class.
    """
    state, architecture = read_weights(path)
    network = build(**architecture)
    network.load_state_dict(state)
    return network


def load_network(path: Path, build: Callable[..., Network], device: torch.device) -> Network:
    """Trained network, frozen, in eval mode, on `device`.

    Parameters
    ----------
    path, build
        As for :func:`read_network`.
    device
        Where it computes.
    """
    network = read_network(path, build)
    freeze(network)
    return network.to(device)


def adopt_weights(network: nn.Module, path: Path | None) -> None:
    """Give a new network the weights of a trained one, and all that was measured for it, in place.

    Parameters
    ----------
    network
        With the `architecture` that its file keeps.
    path
        File of :func:`save_weights`; None leaves the network as it is.

    Raises
    ------
    InputError
        If the network of the file has other sizes.
    """
    if path is None:
        return
    state, architecture = read_weights(path)
    if json.loads(json.dumps(network.architecture)) != architecture:
        problem = f"its sizes are {architecture}; those of the settings, {network.architecture}"
        raise InputError(path, problem, "Take the sizes of the model's config.yaml")
    network.load_state_dict(state)


def freeze(module: nn.Module) -> nn.Module:
    """`module`, permanently in eval mode and without gradients; ``train()`` has no effect on it."""
    module.requires_grad_(False)
    module.eval()
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    return module
