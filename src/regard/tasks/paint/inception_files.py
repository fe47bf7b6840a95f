"""The FID Inception network from the files that it is handed on in, and how their makers resize pictures for it."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from regard.errors import InputError
from regard.models.pictures.weights import fill, read_weights
from regard.tasks.paint.inception import Features, Inception

SIDE = 299
Bytes = UInt8[Tensor, "batch 3 height width"]
KNOWN = (
    *(0.2455, 0.3204, 0.0746, 0.0115, 0.0059, 0.0453, 0.1277, 0.064),
    *(0.125, 0.0296, 0.0105, 0.0921, 0.0522, 0.0, 0.2777, 0.2358),
)
"""Every 128th feature of `_probe`, as the published weights have them."""
NAMES = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}
"""Of a convolution and its norm in TensorFlow, and here; there the norm has no scale."""
TOLERANCE = 0.05
"""Of their length: the two ways to resize differ by less."""


def load_inception(path: str, device: str) -> tuple[str, Callable[[Bytes], Features]]:
    """The name of the network and what it makes of bytes, which are resized as the makers of the file do.

    A TorchScript file is a program in PyTorch's restricted language, of which loading may run a part: take it from whom you
    trust. Only its weights are used. Raises InputError where the file is none of this network.
    """
    is_program = _is_program(path)
    network = Inception().eval()
    fill(network, _weights_of_program(path, network) if is_program else read_weights(path), path)
    for unit in network.units.values():
        unit.fuse()
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    brought = as_tensorflow if is_program else as_pytorch_fid

    def embed(pixels: Bytes) -> Features:
        return network(brought(pixels).contiguous(memory_format=torch.channels_last))

    with torch.no_grad():
        found = embed(_probe().to(device))[0, ::128].cpu()
    if (found - torch.tensor(KNOWN)).norm() > TOLERANCE * torch.tensor(KNOWN).norm():
        raise InputError("these are other weights of that network, such as torchvision's.", file=path)
    return f"FID Inception, pictures resized as by {'TensorFlow' if is_program else 'pytorch-fid'}", embed


def as_tensorflow(pixels: Bytes) -> Float[Tensor, "batch 3 299 299"]:
    """As the first program for this distance has them, Heusel et al. 2017: corner on corner, from -1 to 127 / 128."""
    rows, columns = (_linear(side).to(pixels.device) for side in pixels.shape[2:])
    return (rows @ pixels.float() @ columns.T - 128) / 128


def as_pytorch_fid(pixels: Bytes) -> Float[Tensor, "batch 3 299 299"]:
    """As pytorch-fid has them: middle on middle, from -1 to 1."""
    return interpolate(pixels.float() / 255, (SIDE, SIDE), mode="bilinear", align_corners=False) * 2 - 1


def _linear(side: int) -> Float[Tensor, "299 side"]:
    """How much of each old place there is in a new one."""
    places = torch.arange(SIDE) * (side / SIDE)
    share = places.frac()[:, None]
    before = places.long()
    after = (before + 1).clamp(max=side - 1)
    unit = torch.eye(side)
    return (1 - share) * unit[before] + share * unit[after]


def _probe() -> UInt8[Tensor, "1 3 299 299"]:
    """A picture that all weights have a part in."""
    places = torch.arange(SIDE)
    return torch.stack([(step * places[:, None] + places) % 256 for step in (1, 3, 5)])[None].to(torch.uint8)


def _is_program(path: str) -> bool:
    """Is it TorchScript, and no mere state dict?"""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _weights_of_program(path: str, network: Inception) -> dict[str, Tensor]:
    """By the names of `network`, from a program that has TensorFlow's names; the order is the same."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            given = torch.jit.load(path, map_location="cpu").state_dict()
    except RuntimeError as error:
        raise InputError(f"the program cannot be read: {str(error).splitlines()[0]}.", file=path) from None
    beginnings = [name.removesuffix("beta") for name in given if name.endswith(".beta")]
    found = [{new: given[begin + old] for old, new in NAMES.items() if begin + old in given} for begin in beginnings]
    if [len(one) for one in found] != [len(NAMES)] * len(network.units):
        raise InputError("it is a program, but not of this network.", file=path)
    scales = ({"bn.weight": torch.ones_like(one["bn.bias"])} for one in found)
    named = zip(network.units, found, scales, strict=True)
    return {f"{unit}.{name}": tensor for unit, one, scale in named for name, tensor in (one | scale).items()}
