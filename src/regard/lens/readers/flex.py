"""torch.nn.attention.flex_attention: a function of each score, and a mask that is a function of positions."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional as F

from regard.attention.call import Call
from regard.attention.masks import EMPTY, FULL, PARTIAL, Mask, everything
from regard.attention.mechanism import Mechanism, Scored
from regard.attention.scaled_dot import ScaledDot
from regard.lens.readers.found import FoundCall
from regard.lens.readers.watching import WhileWatched, current

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

MODULE = "torch.nn.attention.flex_attention"
PLACES = 3
"""Columns that say of each query its sequence, head and position; of each key its position."""


class ScoreMod(Scored):
    """softmax(score_mod(scale · query keyᵀ, batch, head, query, key)), for vectors that carry their places in columns.

    So any block of the matrix knows where it lies. Places are exact up to 2²⁴ in float32.
    """

    pair_width = 8

    def __init__(self, score_mod: Callable[..., Tensor], scale: float) -> None:
        super().__init__()
        self.score_mod, self.scale = score_mod, scale

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        query, at = query[..., :-PLACES], query[..., -PLACES:].long()
        places = at[:, 0, 0, 0], at[0, :, 0, 1], at[0, 0, :, 2], key[0, 0, :, -PLACES].long()
        return over_pairs(self.score_mod, places, query @ key[..., :-PLACES].mT * self.scale)


def placed(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys with columns that say where they are, in a type that can."""
    if query.dtype != torch.float64:
        query, key = query.float(), key.float()
    batch, heads, queries, _ = query.shape
    sides = (torch.arange(size, device=query.device) for size in (batch, heads, queries))
    at = torch.stack(torch.meshgrid(*sides, indexing="ij"), -1)
    at_key = F.pad(torch.arange(key.shape[2], device=key.device)[:, None], (0, PLACES - 1))
    return torch.cat([query, at.to(query)], -1), torch.cat([key, at_key.to(key).expand(*key.shape[:3], PLACES)], -1)


def over_pairs(function: Callable[..., Tensor], places: Sequence[Tensor], *scores: Tensor) -> Tensor:
    """A function of (score,) batch, head, query and key, one number each, for all of these places."""
    for axis in reversed(range(4)):
        own = [None] * 4
        own[axis] = 0  # type: ignore[call-overload]
        function = torch.vmap(function, in_dims=(*(0 for _ in scores), *own), out_dims=0)
    return function(*scores, *places)


@dataclass(frozen=True, eq=False)
class MaskMod(Mask):
    """The mask of a BlockMask, with what is known of its blocks."""

    mask_mod: Callable[..., Tensor]
    known: Int8[Tensor, "#batch #heads rows columns"]
    block: tuple[int, int]

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        given = [batch, head, query, key]
        if all(x.dim() == 4 and x.numel() == x.shape[axis] for axis, x in enumerate(given)):
            places = [x.flatten() for x in given]
            for axis, size in enumerate(self.known.shape[:2]):
                places[axis] = places[axis] if size > 1 else torch.zeros_like(places[axis][:1])
            return over_pairs(self.mask_mod, places)
        given = torch.broadcast_tensors(*given)
        return torch.vmap(self.mask_mod)(*(x.flatten() for x in given)).view(given[0].shape)

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        top, bottom = query_first // self.block[0], query_last // self.block[0] + 1
        left, right = key_first // self.block[1], key_last // self.block[1] + 1
        area = (bottom - top)[:, None] * (right - left)
        some, all_of = (self._counted(state, top, bottom, left, right) for state in (PARTIAL, FULL))
        return torch.where(some == 0, EMPTY, torch.where(all_of == area, FULL, PARTIAL)).to(torch.int8)

    def _counted(self, state: int, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """How many blocks of each tile are known to be `state` or more."""
        sums = F.pad((self.known.to(top.device) >= state).long(), (1, 0, 1, 0)).cumsum(2).cumsum(3)
        rows = sums[:, :, bottom] - sums[:, :, top]
        return rows[..., right] - rows[..., left]

    def __str__(self) -> str:
        return f"mask_mod({getattr(self.mask_mod, '__name__', 'a function')})"


def mask_of(block_mask: BlockMask | None) -> Mask:
    """A BlockMask as a mask of ours."""
    if block_mask is None:
        return everything
    rows, columns = (-(-size // step) for size, step in zip(block_mask.shape[-2:], block_mask.BLOCK_SIZE, strict=True))
    known = _listed(block_mask.kv_num_blocks, block_mask.kv_indices, rows, columns) * PARTIAL
    if block_mask.full_kv_num_blocks is not None:
        full = _listed(block_mask.full_kv_num_blocks, block_mask.full_kv_indices, rows, columns)  # type: ignore[arg-type]
        known = known.maximum(full * FULL)
    return MaskMod(block_mask.mask_mod, known.to(torch.int8), tuple(block_mask.BLOCK_SIZE))  # type: ignore[arg-type]


def _listed(counts: Tensor, indices: Tensor, rows: int, columns: int) -> Tensor:
    """1 for each block that is listed: of each row the first `counts` of `indices`."""
    listed = torch.arange(indices.shape[-1], device=counts.device) < counts[..., None]
    table = counts.new_zeros(*counts.shape, max(columns, indices.shape[-1]) + 1)
    at = torch.where(listed, indices.long(), table.shape[-1] - 1)
    return table.scatter_(-1, at, 1)[..., :rows, :columns]


def from_flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Tensor] | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    *_: Any,
    **__: Any,
) -> FoundCall:
    """A call of flex_attention; grouped heads are what their numbers say."""
    key, value = (x.expand(query.shape[0], -1, -1, -1) for x in (key, value))
    mechanism: Mechanism = ScaledDot(scale)
    if score_mod is not None:
        mechanism = ScoreMod(score_mod, query.shape[-1] ** -0.5 if scale is None else scale)
        query, key = placed(query, key)
    return FoundCall(Call(mechanism, query, key, value.to(query.dtype), mask_of(block_mask)))


class _Swap(WhileWatched):
    """The code of flex_attention is one that shows its calls to the watch.

    Names that were bound by `from … import flex_attention` share the function, so its code is what has to change.
    """

    code: types.CodeType

    def function(self) -> Any:
        return sys.modules[MODULE].flex_attention

    def change(self) -> None:
        self.code = self.function().__code__
        self.function().__code__ = _SHOWN

    def restore(self) -> None:
        self.function().__code__ = self.code

    @contextmanager
    def undone(self) -> Iterator[Any]:
        """The function as it is without a watch."""
        with self.lock:
            if self.num_watches == 0:
                yield None
                return
            self.restore()
            try:
                yield self.function()
            finally:
                self.change()


# It runs as flex_attention, among the globals of its module. No name of its own, which type checkers would wrap.
_SHOWN = (lambda *args, **kwargs: __import__("regard.lens.readers.flex", fromlist=["met"]).met(*args, **kwargs)).__code__
SWAP = _Swap()


def met(*args: Any, **kwargs: Any) -> Any:
    """A call of flex_attention while some watch is active, perhaps in another thread."""
    watching = current()
    if watching is None:
        with SWAP.undone() as function:
            return function(*args, **kwargs)
    was_compiled = _is_compiled()
    with watching.aside():
        function = _compiled() if was_compiled else SWAP.function()
        out = function(*args, **kwargs)
    watching.read(lambda: from_flex(*args, **kwargs))
    return out


def _is_compiled() -> bool:
    """Does a compiled function call us, that runs eagerly because of the watch? Then scores must not be written out either."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "compile_wrapper":
            return True
    return False


@cache
def _compiled() -> Any:
    return torch.compile(SWAP.function(), dynamic=False)
