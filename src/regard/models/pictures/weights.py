"""Weights of a network from a file that others made."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from regard.errors import InputError

COUNTER = "num_batches_tracked"
"""What some files leave out, and nothing depends on."""
PREFIX = "features."
"""Under which torchvision keeps what stands before the head."""


def load_weights(network: nn.Module, path: str) -> None:
    """Fill `network` from a state dict, by names; by order where the names are others. What it has beyond is left out.

    Raises InputError where the file is none, or holds the weights of another network.
    """
    fill(network, read_weights(path), path)


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of one that torch.save wrote; no code of a file is run."""
    if not Path(path).is_file():
        raise InputError("weights must be a file, and there is none of this name.", file=path)
    try:
        found = load_file(path) if path.endswith(".safetensors") else torch.load(path, "cpu", weights_only=True)
    except (UnpicklingError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as fault:
        raise InputError(
            "weights must be a .pth or .safetensors file of tensors; this one cannot be read.", file=path
        ) from fault
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError("weights must be a state dict, a tensor by each name; save model.state_dict().", file=path)
    return found


def fill(network: nn.Module, given: dict[str, Tensor], path: str) -> None:
    """See `load_weights`."""
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTER)}
    named = {name.removeprefix(PREFIX): value for name, value in given.items() if not name.endswith(COUNTER)}
    if not wanted.keys() <= named.keys():
        if len(named) < len(wanted):
            raise InputError(f"weights must be {len(wanted)} tensors for this network, got {len(named)}.", file=path)
        named = dict(zip(wanted, named.values(), strict=False))
    for name, value in wanted.items():
        if value.shape != named[name].shape:
            shapes = f"{tuple(value.shape)} for this network, got {tuple(named[name].shape)}"
            raise InputError(f"{name} must be of shape {shapes}: these are weights of another one.", file=path)
    network.load_state_dict({name: named[name] for name in wanted}, strict=False)
