"""The product of a matrix of weights and values, and the matrix as (batch, heads, queries, keys)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from regard.lens.readers.found import FoundMatrix, NotSeen, check_readable, is_hiding
from regard.lens.readers.moves import Followed


def factors_of(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """The equation of a product, "" for that of matrices, and its factors; None where it is none that is known."""
    name = getattr(func, "__name__", "")
    given: Iterable[Any] = [*args, *(kwargs[k] for k in ("other", "mat2", "batch1", "batch2") if k in kwargs)]
    given = list(given)
    if name == "einsum":
        factors = given[1] if len(given) == 2 and isinstance(given[1], list | tuple) else given[1:]
        return (given[0].replace(" ", ""), list(factors)) if isinstance(given[0], str) else None
    factors = given[1:] if name.startswith("baddbmm") else given
    return "", (factors[::-1] if name == "__rmatmul__" else factors)


def order_of(equation: str, at: int, one: Followed, factors: list[Any]) -> tuple[int, ...] | None:
    """Where batch, heads, queries and keys lie in a matrix that multiplies values; None where it does not."""
    weights, value = factors[at], factors[1 - at]
    if not isinstance(value, Tensor) or value.dim() < 3:
        return None
    sides = tuple(range(weights.dim()))
    if not equation:
        met = (at, one.is_flipped, value.shape[-2 if at == 0 else -1])
        return sides if met in ((0, False, weights.shape[-1]), (1, True, weights.shape[-2])) else None
    return _order_in(equation, at, one, weights.dim())


def _order_in(equation: str, at: int, one: Followed, num_sides: int) -> tuple[int, ...] | None:
    given, _, out = equation.partition("->")
    terms = given.split(",")
    own, other = (terms[i].replace("...", "") for i in (at, 1 - at))
    if len(own) < 2 or len(terms) != 2:
        return None
    own = own[:-2] + own[:-3:-1] if one.is_flipped else own
    keys = own[-1]
    rows = [letter for letter in own[:-1] if letter not in other]
    if keys not in other or keys in out or not rows or any(letter not in out for letter in rows):
        return None
    first = num_sides - len(own)
    queries = own.index(own[-2] if own[-2] in rows else rows[-1])
    lead = [*range(first), *(first + i for i in range(len(own) - 1) if i != queries)]
    return (*lead, first + queries, num_sides - 1)


def read(one: Followed, x: Tensor, order: tuple[int, ...], heads: int) -> FoundMatrix:
    """The weights with their scores as (batch, heads, queries, keys)."""
    if one.lost:
        raise NotSeen(f"a softmax was multiplied by values, but {one.lost}")
    check_readable(x)
    weights = (x if one.weights is None else one.weights).detach()
    scores = _scores(one, weights)
    if weights.dim() == len(order):  # otherwise it is the form from before its heads were put into the batch
        weights, scores = weights.permute(order), None if scores is None else scores.permute(order)
    weights, scores = _four_sided(weights, heads), None if scores is None else _four_sided(scores, heads)
    if scores is None:
        return FoundMatrix(weights, None)
    nowhere = (scores == float("-inf")).all(-1, keepdim=True)
    return FoundMatrix(weights.masked_fill(nowhere, 0), scores)


def _scores(one: Followed, weights: Tensor) -> Tensor | None:
    """The scores with all that was done to the sides of the matrix, −inf where nobody may look."""
    scores = one.origin.scores
    if scores is None:
        return None
    scores = scores.detach()
    scores = scores.masked_fill(is_hiding(scores), float("-inf"))
    for move in one.moves:
        scores = move(scores)
    return scores if scores.shape == weights.shape else None


def _four_sided(x: Tensor, heads: int) -> Tensor:
    """(batch · heads, queries, keys) taken apart where the module says how many heads it has; groups of heads joined."""
    if x.dim() == 3:
        return x.unflatten(0, (-1, heads)) if heads and x.shape[0] % heads == 0 else x.unsqueeze(1)
    return x.flatten(1, x.dim() - 3)
