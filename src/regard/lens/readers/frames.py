"""The modules that run while attention is called: what they were given tells of padding, of caches and of who looks at whom."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jaxtyping import Bool
from torch import Tensor, nn

from regard.attention.multihead import MultiHeadAttention
from regard.lens.readers.found import Found

NUM_HEADS = ("num_heads", "n_heads", "num_attention_heads", "heads", "nhead", "n_head")


@dataclass(frozen=True)
class Frame:
    """A module that runs, its path, and what it was called with."""

    module: nn.Module
    path: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def given(self, name: str) -> Any:
        """An argument by its name; None where there is none."""
        if name in self.kwargs:
            return self.kwargs[name]
        names = _parameters(type(self.module).forward)
        return self.args[names.index(name)] if name in names[: len(self.args)] else None

    @property
    def sequences(self) -> list[Tensor]:
        """The different (batch, length, channels) that it was given."""
        given = [x for x in (*self.args, *self.kwargs.values()) if isinstance(x, Tensor) and not x.is_nested]
        return list({id(x): x for x in given if x.dim() == 3 and x.is_floating_point()}.values())


@cache
def _parameters(forward: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the positional arguments, `self` left out."""
    return tuple(inspect.signature(forward).parameters)[1:]


def num_heads(frames: Sequence[Frame]) -> int:
    """How many heads the innermost module says it has; 0 where it says nothing."""
    given = (getattr(frames[-1].module, name, None) for name in NUM_HEADS) if frames else ()
    return next((number for number in given if isinstance(number, int) and number > 0), 0)


def live_queries(found: Found, frames: Sequence[Frame]) -> Bool[Tensor, "#batch queries"] | None:
    """Which queries are no padding; None where none is.

    Told by the 2-D `attention_mask` (1 = a token) of the innermost module that was given one; and in self-attention, where as
    many queries as keys come of one sequence that a module was given, by the mask itself: a position that nobody may look at
    is padding.
    """
    told = _told(found, frames)
    looked_at = _looked_at(found, frames)
    both = [x for x in (told, looked_at) if x is not None]
    if not both:
        return None
    is_live = both[0] if len(both) == 1 else both[0] & both[1].to(both[0].device)
    return None if is_live.all() else is_live


def _told(found: Found, frames: Sequence[Frame]) -> Tensor | None:
    batch, _, queries, keys = found.shape
    for frame in reversed(frames):
        mask = frame.given("attention_mask")
        if isinstance(mask, Tensor) and mask.dim() == 2:
            # other lengths are those of other sequences: what a convolution left, patches, a source
            fits = mask.shape[0] == batch and mask.shape[1] in (queries, keys) and mask.shape[1] >= queries
            return mask[:, -queries:] != 0 if fits and ((mask == 0) | (mask == 1)).all() else None
        if "decoder_attention_mask" in _parameters(type(frame.module).forward):
            return None  # encoder and decoder have masks of their own
    return None


def _looked_at(found: Found, frames: Sequence[Frame]) -> Tensor | None:
    if found.shape[2] != found.shape[3] or not _is_of_one_sequence(found.shape[0], frames):
        return None
    allowed = found.allowed
    return None if allowed is None or allowed.shape[-1] == 1 else allowed.any(1).any(1)


def _is_of_one_sequence(batch: int, frames: Sequence[Frame]) -> bool:
    """Was the innermost module that was given sequences given one alone? Then its queries and keys are of that one."""
    counts = (sum(x.shape[0] == batch for x in frame.sequences) for frame in reversed(frames))
    return next((count for count in counts if count), 0) == 1


def first_query(found: Found, frames: Sequence[Frame]) -> int:
    """Position of the first query among the keys: not 0 where a cache holds keys of before.

    Where fewer queries than keys come in a module that says `is_causal` and is given no other sequence, each query may look at
    itself and at nothing after it, so the last key that the last query may look at is its own; without a mask it is the last.
    """
    queries, keys = found.shape[2:]
    if found.first_query is not None:
        return found.first_query
    if queries >= keys or not frames or not _is_causal(frames[-1]):
        return 0
    allowed = found.allowed
    if allowed is None or allowed.shape[-1] == 1:
        return keys - queries
    seen = allowed[:, :, -1].flatten(0, 1).any(0).nonzero()
    return max(0, int(seen[-1]) + 1 - queries) if len(seen) else keys - queries


def _is_causal(frame: Frame) -> bool:
    module = frame.module
    if isinstance(module, MultiHeadAttention):
        return frame.given("cache") is not None and frame.given("memory") is None
    if getattr(module, "is_causal", None) is not True or getattr(module, "is_cross_attention", False):
        return False
    return all(frame.given(name) is None for name in ("key_value_states", "encoder_hidden_states"))
