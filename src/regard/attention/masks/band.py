"""Masks that depend on the distance between query and key only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.attention.masks.mask import EMPTY, FULL, PARTIAL, Mask
from regard.errors import InputError


@dataclass(frozen=True)
class Band(Mask):
    """Keys from `left` positions before the query to `right` after it; None is no limit, a negative one cuts further."""

    left: int | None = None
    right: int | None = None

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        behind = query - key
        allowed = None if self.right is None else behind >= -self.right
        if self.left is not None:
            allowed = behind <= self.left if allowed is None else allowed & (behind <= self.left)
        return torch.ones_like(behind, dtype=torch.bool) if allowed is None else allowed

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        least, most = query_first[:, None] - key_last, query_last[:, None] - key_first
        known = torch.full_like(least, FULL, dtype=torch.int8)
        if self.left is not None:
            known[most > self.left] = PARTIAL
            known[least > self.left] = EMPTY
        if self.right is not None:
            known[(least < -self.right) & (known > EMPTY)] = PARTIAL
            known[most < -self.right] = EMPTY
        return known[None, None]

    def part(self, rows: range, keys: range | Tensor, batch: range = range(0)) -> Mask:
        """A band again, with no limit that cannot bind: what the last row sees of a causal mask is `everything`."""
        if not isinstance(keys, range):
            return super().part(rows, keys, batch)
        shift = rows.start - keys.start
        left = None if self.left is None else self.left - shift
        right = None if self.right is None else self.right + shift
        binds = left is not None and left < len(rows) - 1, right is not None and right < len(keys) - 1
        return Band(left if binds[0] else None, right if binds[1] else None)

    def __str__(self) -> str:
        if self == causal:
            return "causal"
        return "everything" if self == everything else f"window({self.left}, {self.right})"


@dataclass(frozen=True)
class Every(Mask):
    """Keys at a distance that is a multiple of `step`."""

    step: int

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query - key) % self.step == 0

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        least, most = query_first[:, None] - key_last, query_last[:, None] - key_first
        multiple = most.div(self.step, rounding_mode="floor") * self.step
        return torch.where(multiple < least, EMPTY, FULL if self.step == 1 else PARTIAL).to(torch.int8)[None, None]

    def __str__(self) -> str:
        return f"every({self.step})"


everything = Band()
causal = Band(right=0)


def window(left: int, right: int = 0) -> Mask:
    """Keys at most `left` positions before and `right` after the query; right=0 also hides the future."""
    if left < 0 or right < 0:
        raise InputError(f"window needs left >= 0 and right >= 0, got left={left}, right={right}.")
    return Band(left, right)


def dilated(step: int, left: int | None = None, right: int | None = 0) -> Mask:
    """Every `step`-th key, counted from the query, at most `left` positions before and `right` after it.

    Child et al. 2019, arXiv:1904.10509, section 4.3 (strided), and Beltagy et al. 2020, arXiv:2004.05150, figure 2c.
    """
    if step < 1 or (left or 0) < 0 or (right or 0) < 0:
        raise InputError(f"dilated needs step >= 1, left >= 0 and right >= 0, got step={step}, left={left}, right={right}.")
    return Band(left, right) & Every(step)


def lower_right(mask: Mask, queries: int, keys: int) -> Mask:
    """The mask with the last query beside the last key, instead of the first beside the first.

    What decoding needs: `queries` new positions at the end of `keys`. picture(lower_right(causal, 2, 4), 2, 4) == "xxx. xxxx".
    """
    return mask.part(range(keys - queries, keys), range(keys))
