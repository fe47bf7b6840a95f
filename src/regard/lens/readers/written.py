"""Models that write the matrix out: a softmax over the last side, followed until it is multiplied by values.

Whatever changes it in between is followed too (sinks cut off, masks multiplied in, other types, heads put into the batch);
dropout is left out. A softmax that never multiplies values, of a router or a classifier, is no attention.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.lens.readers.found import FoundMatrix
from regard.lens.readers.frames import Frame
from regard.lens.readers.moves import CHANGED, MASKED, MOVES, Followed, Origin, named, replay_of
from regard.lens.readers.products import factors_of, order_of, read

SOFTMAX = frozenset(named("softmax"))
DROPOUT = frozenset(named("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout"))
SHIFT = frozenset(named("sub", "subtract")) - {torch.Tensor.__rsub__}
PRODUCTS = frozenset(named("matmul", "bmm", "einsum", "baddbmm"))
WRITTEN = frozenset(
    [torch.Tensor.__setitem__, *named("index_fill", "masked_scatter", "fill_diagonal", "zero", "copy", "index_put")]
)
CHANGING = frozenset([*MASKED, *CHANGED])
FUNCTIONS = frozenset(MOVES) | SOFTMAX | DROPOUT | SHIFT | PRODUCTS | WRITTEN
"""What has to be shown to `Matrices`."""


class Matrices:
    """Follows every softmax of one watch.

    `found` is told of each that multiplies values: of the modules that ran at the softmax, and what reads the matrix, given the
    number of heads.
    """

    def __init__(self, found: Callable[[tuple[str, ...], Callable[[int], FoundMatrix]], None]) -> None:
        self.found = found
        self.followed: dict[int, tuple[weakref.ref[Tensor], Followed]] = {}
        self.shifted: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}
        self.unread: dict[tuple[str, ...], tuple[int, ...]] = {}
        """Where each softmax was that looks like attention and has not been read, and its shape."""

    def before(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Keep the weights that a dropout in place is about to change."""
        one = self.get(args[0]) if args and func in DROPOUT else None
        given = dict(zip(("p", "training", "inplace"), args[1:], strict=False)) | dict(kwargs)
        is_inplace = given.get("inplace", False) or func.__name__.endswith("_")
        if one is not None and one.weights is None and is_inplace and given.get("training", given.get("train", True)):
            self.put(args[0], replace(one, weights=args[0].clone()))

    def after(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any, frames: Sequence[Frame]) -> None:
        """Take in what a function made of its arguments."""
        if not args and "input" in kwargs:
            args, kwargs = (kwargs["input"],), {name: value for name, value in kwargs.items() if name != "input"}
        if func in SOFTMAX:
            self.begin(args, kwargs, out, tuple(frame.path for frame in frames))
        if func in WRITTEN or (func in CHANGING and args and out is args[0]):
            self.shifted.pop(id(args[0]), None)  # it is written to, which the scores from before are not
        if func in SHIFT and isinstance(out, Tensor):
            self.shift(args, out)
        if not self.followed:
            return
        if func in WRITTEN:
            self.write(args[0])
        elif func in PRODUCTS:
            self.multiply(func, args, kwargs)
        elif isinstance(out, Tensor):
            self.follow(func, args, kwargs, out)

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor, paths: tuple[str, ...]) -> None:
        """Follow a softmax; one that is not over the last of three sides or more, only as far as a product."""
        scores = args[0]
        dim = args[1] if len(args) > 1 else kwargs.get("dim")
        if out.dim() < 3 or dim not in (-1, out.dim() - 1):
            self.put(out, Followed(Origin(paths, None, tuple(out.shape), is_aside=True)))
            return
        place = self.shifted.get(id(scores))
        scores = place[1] if place is not None and place[0]() is scores else scores
        scores = None if out is scores or "out" in kwargs else scores
        self.put(out, Followed(Origin(paths, scores, tuple(out.shape))))
        if out.dim() > 3:
            self.unread.setdefault(paths, tuple(out.shape))

    def shift(self, args: tuple[Any, ...], out: Tensor) -> None:
        """A number taken from every score of a row changes no softmax: remember the scores from before."""
        scores, less = args[:2]
        rows = isinstance(scores, Tensor) and isinstance(less, Tensor) and scores.dim() > 2 and scores.shape[-1] > 1
        if rows and less.dim() == scores.dim() and less.shape[-1] == 1 and out is not scores:
            _remember(self.shifted, out, scores)

    def get(self, x: Any) -> Followed | None:
        """What is known of a tensor."""
        place = self.followed.get(id(x))
        return place[1] if place is not None and place[0]() is x else None

    def put(self, x: Tensor, one: Followed) -> None:
        """Follow a tensor for as long as it lives."""
        _remember(self.followed, x, one)

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
        """Follow a matrix through a function."""
        for at, x in enumerate(args):
            one = self.get(x)
            if one is None:
                continue
            if func in DROPOUT:
                self.put(out, one if out is x else replace(one, weights=x if one.weights is None else one.weights))
            elif one.origin.is_aside:
                if func in MOVES and out.numel() == x.numel():
                    self.put(out, one)
            elif func in MOVES:
                moved = MOVES[func](one, x, out, replay_of(func, args[:at], args[at + 1 :], kwargs))
                if moved is not None:
                    self.put(out, moved)
            return

    def write(self, x: Tensor) -> None:
        """Something was written into a tensor: what it came from is not told of it."""
        one = self.get(x)
        if one is not None and one.weights is not None:
            self.put(x, replace(one, lost="it was written to after dropout or a change of type"))

    def multiply(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Read a matrix that multiplies values."""
        pair = factors_of(func, args, kwargs)
        if pair is None:
            return
        equation, factors = pair
        for at, x in enumerate(factors):
            one = self.get(x)
            if one is None or len(factors) != 2:
                continue
            if one.origin.is_aside:
                self.unread[one.origin.paths] = one.origin.shape
                continue
            order = order_of(equation, at, one, factors)
            if order is not None:
                if self.unread.get(one.origin.paths) == one.origin.shape:
                    del self.unread[one.origin.paths]
                self.found(one.origin.paths, partial(read, one, x, order))
                one.origin.scores = None

    def forget(self) -> None:
        """Let go of every tensor."""
        self.followed.clear()
        self.shifted.clear()


def _remember(places: dict[int, Any], x: Tensor, what: Any) -> None:
    key = id(x)
    places[key] = weakref.ref(x, lambda _: places.pop(key, None)), what
