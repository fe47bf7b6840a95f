"""Ways to run a rotary model on texts longer than those it was trained on: each changes the frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.positions.angles import frequencies
from regard.errors import InputError


class Scaling:
    """Base class. A subclass writes `frequencies`."""

    @property
    def temperature(self) -> float:
        """What turned channels are multiplied by."""
        return 1.0

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        """Radians a position for each pair of `dim` channels; `length` is the last position asked for, plus one."""
        raise NotImplementedError


@dataclass(frozen=True)
class Unscaled(Scaling):
    """base^(−2i/dim); Su et al. 2021, arXiv:2104.09864, eq. 15."""

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        return frequencies(base, dim, device)


@dataclass(frozen=True)
class Linear(Scaling):
    """frequencies / factor: position interpolation; Chen et al. 2023, arXiv:2306.15595, eq. 4."""

    factor: float

    def __post_init__(self) -> None:
        check_factor(self.factor)

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        return frequencies(base, dim, device) / self.factor


@dataclass(frozen=True)
class Ntk(Scaling):
    """base · factor^(dim / (dim − 2)): the slowest pair is interpolated, the fastest kept; arXiv:2309.00071, section 3.1."""

    factor: float

    def __post_init__(self) -> None:
        check_factor(self.factor)

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        return frequencies(stretch(base, self.factor, dim), dim, device)


@dataclass(frozen=True)
class DynamicNtk(Scaling):
    """Ntk with factor · length / original_length − (factor − 1) once the text is longer than `original_length`.

    As transformers computes "dynamic"; arXiv:2309.00071, section 3.3. The frequencies depend on the length, so keys kept in a
    cache from a shorter text are turned otherwise than new ones.
    """

    factor: float
    original_length: int

    def __post_init__(self) -> None:
        check_factor(self.factor)
        check_length(self.original_length)

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        ratio = self.factor * max(length, self.original_length) / self.original_length - (self.factor - 1)
        return frequencies(stretch(base, ratio, dim), dim, device)


@dataclass(frozen=True)
class Yarn(Scaling):
    """Pairs that turn often are kept, pairs that turn seldom interpolated; Peng et al. 2023, arXiv:2309.00071, section 3.4.

    "Often" is `beta_fast` turns within `original_length` or more, "seldom" `beta_slow` or fewer. Between them the share is
    linear in the channel, its ends rounded outwards: so do the authors' code and transformers, where the paper has it linear
    in the number of turns.
    """

    factor: float
    original_length: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0

    def __post_init__(self) -> None:
        check_factor(self.factor)
        check_length(self.original_length)
        if not self.beta_fast > self.beta_slow > 0:
            raise InputError(f"Yarn needs beta_fast > beta_slow > 0, got {self.beta_fast} and {self.beta_slow}.")

    @property
    def temperature(self) -> float:
        """0.1 ln(factor) + 1, on queries and on keys; section 3.4."""
        return 0.1 * math.log(self.factor) + 1

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        plain = frequencies(base, dim, device)
        first = max(math.floor(self.channel(self.beta_fast, base, dim)), 0)
        last = min(math.ceil(self.channel(self.beta_slow, base, dim)), dim - 1)
        # The authors' code keeps the ramp from being a step by the same 0.001.
        ramp = (torch.arange(len(plain), device=device, dtype=plain.dtype) - first) / (last - first if last != first else 0.001)
        return interpolate(plain, self.factor, kept=1 - ramp.clamp(0, 1))

    def channel(self, turns: float, base: float, dim: int) -> float:
        """The pair, as a fraction, that turns so often within `original_length`."""
        return dim * math.log(self.original_length / (turns * 2 * math.pi)) / (2 * math.log(base))


@dataclass(frozen=True)
class Llama3(Scaling):
    """As Yarn, but linear in the turns within `original_length` and with no temperature; Llama 3.1, arXiv:2407.21783."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_length: int = 8192

    def __post_init__(self) -> None:
        check_factor(self.factor)
        check_length(self.original_length)
        if not self.high_freq_factor > self.low_freq_factor > 0:
            raise InputError(
                "Llama3 needs high_freq_factor > low_freq_factor > 0, "
                f"got high_freq_factor={self.high_freq_factor} and low_freq_factor={self.low_freq_factor}."
            )

    def frequencies(self, base: float, dim: int, length: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
        plain = frequencies(base, dim, device)
        turns = self.original_length * plain / (2 * math.pi)
        kept = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        return interpolate(plain, self.factor, kept=kept.clamp(0, 1))


def interpolate(plain: Float[Tensor, " half"], factor: float, *, kept: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
    """Each frequency between itself, where `kept` is 1, and itself / factor, where 0."""
    return plain * (kept + (1 - kept) / factor)


def stretch(base: float, ratio: float, dim: int) -> float:
    """base · ratio^(dim / (dim − 2)); with one pair of channels there is no slower one to stretch."""
    return base * ratio ** (dim / (dim - 2)) if dim > 2 else base


def check_factor(factor: float) -> None:
    """Raise unless the text gets longer, not shorter."""
    if not factor >= 1:
        raise InputError(f"factor must be at least 1, got {factor}.")


def check_length(original_length: int) -> None:
    """Raise unless a model can have been trained on it."""
    if original_length < 1:
        raise InputError(f"original_length must be at least 1, got {original_length}.")
