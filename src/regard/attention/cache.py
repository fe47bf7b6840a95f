"""Keys and values of the positions that came before, so that a new token costs one row of attention."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


class KeyValueCache:
    """What one attention layer keeps while it decodes, in buffers that double, so that appending copies O(1) a token.

    With `window`, only so many last positions are kept, in at most twice their memory. Not for training: it holds no graph.
    Positions come first in the buffers: what is kept is one run of memory, which beam search reorders at each step.
    """

    def __init__(self, window: int | None = None) -> None:
        self.window = window
        self.length = 0
        """Positions seen so far."""
        self.asked = 0
        """Queries of cross-attention so far, whose keys do not grow with them."""
        self._first = self._stop = 0  # what is kept lies in this part of the buffers
        self._buffers: list[Tensor] = []
        self._spare: list[Tensor] = []

    @property
    def start(self) -> int:
        """The position of the first key that is kept."""
        return self.length - (self._stop - self._first)

    @property
    def kept(self) -> tuple[Float[Tensor, "batch kv_heads kept head_dim"], Float[Tensor, "batch kv_heads kept value_dim"]]:
        """Keys and values of the positions from `start` to `length`."""
        key, value = (buffer[self._first : self._stop].permute(1, 2, 0, 3) for buffer in self._buffers)
        return key, value

    @torch.no_grad()
    def append(
        self, key: Float[Tensor, "batch kv_heads new head_dim"], value: Float[Tensor, "batch kv_heads new value_dim"]
    ) -> tuple[Float[Tensor, "batch kv_heads seen head_dim"], Float[Tensor, "batch kv_heads seen value_dim"]]:
        """Add positions; returns all keys and values that the new ones may need, the oldest first.

        They are views, good until the next call. Those that fall out of the window are dropped at the next call.
        """
        new = key.shape[2]
        if self.window is not None:
            self._first = max(self._first, self._stop - self.window)
        if not self._buffers or self._stop + new > len(self._buffers[0]):
            self._make_room(key, value)
        for buffer, added in zip(self._buffers, (key, value), strict=True):
            buffer[self._stop : self._stop + new] = added.permute(2, 0, 1, 3)
        self._stop += new
        self.length += new
        return self.kept

    def reorder(self, order: Int[Tensor, " batch"]) -> None:
        """Put the sequences in another order, with repeats: what beam search does after each step.

        Only what is kept is copied, into buffers that take turns where there are as many sequences as before.
        """
        kept = slice(self._first, self._stop)
        for place, buffer in enumerate(self._buffers):
            shape = (len(buffer), len(order), *buffer.shape[2:])
            spare = self._spare[place] if len(self._spare) > place else buffer[:0]
            other = spare if spare.shape == shape else buffer.new_empty(shape)
            torch.index_select(buffer[kept], 1, order.to(buffer.device), out=other[kept])
            self._buffers[place], self._spare[place : place + 1] = other, [buffer]

    def _make_room(self, key: Tensor, value: Tensor) -> None:
        """Move what is kept to the front of buffers that hold twice what is needed now."""
        kept = self._stop - self._first
        for i, added in enumerate((key, value)):
            batch, heads, new, dim = added.shape
            roomy = added.new_empty(max(64, 2 * (kept + new)), batch, heads, dim)
            if kept:
                roomy[:kept] = self._buffers[i][self._first : self._stop]
            self._buffers[i : i + 1] = [roomy]
        self._first, self._stop = 0, kept
