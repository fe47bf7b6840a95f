"""What every gate is: features rescaled by a map of themselves, out = x ⊙ map(x)."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from regard.errors import InputError


class Block(nn.Module):
    """Base class of what can stand between two layers of an image model and keeps the shape of its features."""

    @classmethod
    def for_channels(cls, channels: int) -> Block:
        """One with its defaults, for features of this many channels."""
        return cls(channels)


class Gate(Block):
    """Base class: out = x ⊙ map(x). Override `map`.

    A map depends on x and the parameters alone, without chance or running means: whoever watches may compute it again.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.map is Gate.map:
            raise TypeError(f"{cls.__name__} must override map.")

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "#batch #channels #height #width"]:
        """How much of each feature passes; sides that it does not depend on are of size 1."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return x * self.map(x)

    def __call__(self, x: Tensor) -> Tensor:
        return apply_gate(self, x)


def apply_gate(gate: Gate, x: Tensor) -> Tensor:
    """Call a gate so that PyTorch's override protocol sees it: what lets the lens read maps from outside."""
    if has_torch_function((x,)):
        return handle_torch_function(apply_gate, (x,), gate, x)
    return nn.Module.__call__(gate, check_features(x))


def check_features(x: Tensor) -> Tensor:
    """The features themselves; raises InputError unless they have four sides."""
    if x.dim() != 4:
        raise InputError(f"Features must have 4 sides (batch, channels, height, width), got {tuple(x.shape)}.")
    return x


def check_counts(**given: int) -> None:
    """Raises InputError for the first that is below one."""
    for name, number in given.items():
        if number < 1:
            raise InputError(f"{name} must be at least 1, got {number}.")


def reduced(channels: int, reduction: int) -> int:
    """Channels in the middle of a bottleneck: channels / reduction, at least one."""
    check_counts(channels=channels, reduction=reduction)
    return max(1, channels // reduction)


def same_size(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    check_counts(kernel_size=kernel_size)
    if kernel_size % 2 == 0:
        raise InputError(f"kernel_size must be odd, got {kernel_size}.")
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
