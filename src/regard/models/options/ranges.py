"""What an option may be."""

from typing import Any

from regard.errors import InputError

SHARE, POSITIVE, COUNT, SEED = (0, 0.999), (1, None), (0, None), (0, 2**32 - 1)
"""Ranges of options: a share of what is there, at least one, any number, what every generator of random numbers takes."""


def require(options: Any, **ranges: tuple[int | float, int | float | None]) -> None:
    """Raise InputError unless each option lies in its range, ends included."""
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not (low <= value and (high is None or value <= high)):  # so put, it is true of NaN
            limits = f"at least {low}" if high is None else f"from {low} to {high}"
            raise InputError(f"{name} must be {limits}, got {value}.")
