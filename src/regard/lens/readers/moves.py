"""What may be done to a matrix between its softmax and the values, and what that makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(eq=False)
class Origin:
    """The softmax that a matrix came from."""

    paths: tuple[str, ...]
    """Of the modules that ran then, the innermost last."""
    scores: Tensor | None
    shape: tuple[int, ...]
    is_aside: bool = False
    """Is it over another side than the last of three or more? It is not read, only told of where it enters a product."""


@dataclass(frozen=True, eq=False)
class Followed:
    """What became of a softmax: a tensor that is followed, and how to find its weights from before dropout."""

    origin: Origin
    weights: Tensor | None = None
    """Before dropout, with all that came after applied; None where it is the tensor itself."""
    moves: tuple[Callable[[Tensor], Tensor], ...] = ()
    """What was done to the sides of the matrix, to be done to the scores too."""
    is_flipped: bool = False
    """Have queries and keys changed places in the tensor?"""
    lost: str = ""
    """Why the weights cannot be told any more."""


def named(*names: str) -> list[Any]:
    """Every function of PyTorch by these names: of torch, of a tensor, as an operator, in place."""
    forms = [form for name in names for form in (name, f"{name}_", f"__{name}__", f"__i{name}__", f"__r{name}__")]
    places = (torch, torch.Tensor, F, torch.special)
    return [getattr(place, form) for place in places for form in forms if hasattr(place, form)]


Replay = Callable[[Tensor], Tensor]


def replay_of(func: Any, before: tuple[Any, ...], after: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Replay:
    """A function again, of another tensor; holds on to none that it was called with."""
    return lambda x: func(*before, x, *after, **kwargs)


def _cast(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed:
    """Another type or place: the weights are those from before."""
    return one if out is x else replace(one, weights=x if one.weights is None else one.weights)


def _reshaped(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed | None:
    """Heads put into the batch, or taken out of it: the form with more sides tells more."""
    if x.shape[-1] != out.shape[-1] or one.is_flipped:
        return replace(one, lost="its last side was reshaped") if x.dim() > 3 else None
    if out.dim() <= x.dim():
        return replace(one, weights=x if one.weights is None else one.weights)
    if out.shape[-2] != x.shape[-2] and out.shape[-2] == 1:
        return None  # a row a token that became a matrix with one row: a router's weights of its experts
    if one.weights is not None and one.weights.shape != x.shape:
        return one
    shape = out.shape  # not the tensor itself, which would keep itself alive
    weights = None if one.weights is None else one.weights.reshape(shape)
    return replace(one, weights=weights, moves=(*one.moves, lambda scores: scores.reshape(shape)))


def _permuted(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed | None:
    """Sides in another order: keys stay the last of the weights."""
    order = list(replay(torch.empty(tuple(range(2, x.dim() + 2)), device="meta")).shape)
    places = [size - 2 for size in order]
    keys, queries = (x.dim() - 1, x.dim() - 2)[:: -1 if one.is_flipped else 1]
    if places[-2:] == [keys, queries] and places[:-2] == sorted(places[:-2]):
        return replace(one, weights=x if one.weights is None else one.weights, is_flipped=True)
    if one.is_flipped:
        return replace(one, is_flipped=False) if places[-1] == keys and places[:-2] == sorted(places[:-2]) else None
    if places[-1] != keys:
        return None
    if one.weights is None:
        return replace(one, moves=(*one.moves, replay))
    if one.weights.shape == x.shape:
        return replace(one, weights=replay(one.weights), moves=(*one.moves, replay))
    return one if places[-2] == queries else replace(one, lost="its sides were reordered after a change of shape")


def _cut(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed | None:
    """Keys cut off the last side: a sink, that took part in the sum."""
    if out.dim() != x.dim() or one.is_flipped:
        return None
    if out.shape[:-1] != x.shape[:-1] or (one.weights is not None and one.weights.shape != x.shape):
        return replace(one, lost="rows were cut out of it")
    weights = None if one.weights is None else replay(one.weights)
    return replace(one, weights=weights, moves=(*one.moves, replay))


def _masked(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed | None:
    """Factors or zeros that the weights get: what multiplies the values is what counts."""
    if out.shape != x.shape or not out.is_floating_point():
        return None
    if out is x or one.weights is None:
        return one if one.weights is None else replace(one, lost="it was changed in place after dropout")
    if one.weights.shape != x.shape:
        return replace(one, lost="it was changed after a change of shape")
    return replace(one, weights=replay(one.weights))


def _changed(one: Followed, x: Tensor, out: Tensor, replay: Replay) -> Followed | None:
    """Weights that are mixed or moved: they are no softmax of the scores any more."""
    changed = _masked(one, x, out, replay)
    return None if changed is None else replace(changed, origin=replace(one.origin, scores=None))


CAST = named("to", "float", "half", "bfloat16", "double", "type", "type_as", "cpu", "cuda")
COPIED = named("contiguous", "clone", "detach", "requires_grad")
SHAPES = named("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as")
PERMUTED = [
    *named("transpose", "permute", "swapaxes", "swapdims", "movedim"),
    torch.Tensor.mT.__get__,  # type: ignore[attr-defined]
]
CUT = [torch.Tensor.__getitem__, *named("narrow")]
MASKED = named("mul", "multiply", "masked_fill", "nan_to_num", "where", "div", "divide", "truediv")
CHANGED = named("add", "sub", "clamp", "normalize", "conv2d", "relu", "pow")
MOVES: dict[Any, Callable[[Followed, Tensor, Tensor, Replay], Followed | None]] = {
    **dict.fromkeys(CHANGED, _changed),
    **dict.fromkeys(MASKED, _masked),
    **dict.fromkeys(CAST, _cast),
    **dict.fromkeys(COPIED, lambda one, x, out, replay: one),
    **dict.fromkeys(SHAPES, _reshaped),
    **dict.fromkeys(PERMUTED, _permuted),
    **dict.fromkeys(CUT, _cut),
}
"""What becomes of a matrix: (what is known of it, the tensor, what a function made of it, that function again) → the same
of the outcome; None where it is a matrix of weights no more."""
