"""What every attention mechanism is: a linear map of the values, out = weights(query, key) @ value."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from regard.attention.backends import Plan, choose, plan_call
from regard.attention.call import Call, share
from regard.attention.dropout import Drawn, Dropout
from regard.attention.finite import kept_apart
from regard.attention.masks import Mask, everything
from regard.attention.normalizers.normalizer import Normalizer, normalizer
from regard.attention.positions.bias import Bias
from regard.catalog import MECHANISMS, NORMALIZERS, load
from regard.errors import InputError


class Mechanism(nn.Module):
    """Base class. Override `weights`, or `forward`, or both; the other one follows from linearity.

    The law that tests hold every mechanism to: forward(query, key, value) == weights(query, key) @ value.
    A mechanism that has a faster way than the backends' overrides `attend`.
    """

    sums_to_one = True
    """Does each row of weights sum to one, where any key is permitted?"""

    is_nonnegative = True
    """Is no weight below zero?"""

    takes_bias = True
    """Has it scores that a bias can be added to?"""

    pair_width = 1
    """Numbers held for each (query, key) pair while scores are computed; tiles shrink by it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.weights is Mechanism.weights and cls.forward is Mechanism.forward:
            raise TypeError(f"{cls.__name__} must override weights or forward.")

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        """One with its defaults, for so many heads of this width."""
        return cls()

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        """The matrix the values are multiplied by, for all query rows or for `rows`.

        Here from `forward` on the identity, at the cost of `keys` values; a subclass that knows better overrides it.
        """
        identity = torch.eye(key.shape[2], dtype=key.dtype, device=key.device).expand(*key.shape[:3], -1)
        whole = self.forward(query, key, identity, mask, **given(bias=bias))
        return whole if rows is None else whole[:, :, rows.start : rows.stop]

    def forward(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        value: Float[Tensor, "batch kv_heads keys value_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | Bias | None = None,
        dropout: Dropout | Drawn | None = None,
        backend: str = "auto",
    ) -> Float[Tensor, "batch heads queries value_dim"]:
        """weights @ value, by the backend named, or with "auto" by the first that can serve the call."""
        if isinstance(bias, Tensor) and bias.is_floating_point():
            bias = bias.to(query.dtype)
        call = Call(self, query, key, value, mask, bias)
        if dropout is not None:
            drawn = dropout.draw(call.shape, query.device) if isinstance(dropout, Dropout) else dropout
            call = Call(self, query, key, value, mask, bias, drawn)
        return kept_apart(call, lambda safe: self.attend(safe, backend))

    def attend(self, call: Call, backend: str = "auto") -> Float[Tensor, "batch heads queries value_dim"]:
        """The output of a call of this mechanism."""
        return choose(call, backend).attend(call)

    def plan(self, call: Call) -> Plan:
        """What `attend` does with a call, by itself or by a backend."""
        is_ours = type(self).attend is Mechanism.attend and type(self).forward is Mechanism.forward
        return plan_call(call) if is_ours else Plan.by_itself(type(self).__name__)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return run(self, query, key, value, *args, **kwargs)


def given(bias: Any = None, dropout: Any = None, backend: str = "auto") -> dict[str, Any]:
    """What a call asks for beside its vectors and its mask: a `forward` of one's own need not know what nobody asks for."""
    options = {"bias": bias, "dropout": dropout, "backend": None if backend == "auto" else backend}
    return {name: option for name, option in options.items() if option is not None}


def run(mechanism: Mechanism, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Call a mechanism so that PyTorch's override protocol sees it: what lets the lens watch from outside."""
    if has_torch_function((query, key, value)):
        return handle_torch_function(run, (query, key, value), mechanism, query, key, value, *args, **kwargs)
    return nn.Module.__call__(mechanism, query, key, value, *args, **kwargs)


def mechanism_named(name: str, head_dim: int, num_heads: int = 1) -> Mechanism:
    """A mechanism by its name in the catalog, by a normaliser's ("sigmoid"), by both ("additive+sparsemax") or import path."""
    score, _, share_by = name.partition("+")
    if score in NORMALIZERS and score not in MECHANISMS:
        score, share_by = "softmax", score
    made = load(MECHANISMS, score).for_heads(head_dim, num_heads)
    if share_by and not isinstance(made, Scored):
        raise InputError(f"{score!r} has no normaliser to replace by {share_by!r}: only score × normaliser mechanisms have.")
    if share_by:
        made.normalize = normalizer(share_by, num_heads)
    return made


class Scored(Mechanism):
    """A mechanism that is score × normaliser. A subclass writes `score`."""

    def __init__(self, normalize: str | Normalizer = "softmax") -> None:
        super().__init__()
        self.normalize = normalizer(normalize)

    @property
    def sums_to_one(self) -> bool:  # type: ignore[override]
        return self.normalize.sums_to_one

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        """How well each query and key fit, before masks and biases."""
        raise NotImplementedError

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        rows, keys = range(query.shape[2]) if rows is None else rows, range(key.shape[2])
        scores = self.score(query[:, :, rows.start : rows.stop], share(key, query.shape[1]))
        if bias is not None:
            scores = scores + (bias if bias.shape[2] == 1 else bias[:, :, rows.start : rows.stop])
        return self.normalize(scores, mask.write((query.shape[0], query.shape[1]), rows, keys, query.device))


class Dot(Scored):
    """A score that is a dot product of vectors, which fused kernels can compute. A subclass may write `vectors`."""

    def __init__(
        self, scale: float | None = None, normalize: str | Normalizer = "softmax", softcap: float | None = None
    ) -> None:
        super().__init__(normalize)
        self.scale, self.softcap = scale, softcap

    def vectors(
        self, query: Float[Tensor, "batch heads queries head_dim"], key: Float[Tensor, "batch kv_heads keys head_dim"]
    ) -> tuple[Float[Tensor, "batch heads queries dim"], Float[Tensor, "batch kv_heads keys dim"]]:
        """What is multiplied, from what was given."""
        return query, key

    def scale_for(self, dim: int) -> float:
        """The number each product is multiplied by; 1/√dim unless given."""
        return dim**-0.5 if self.scale is None else self.scale

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        query, key = self.vectors(query, key)
        scores = query @ key.mT * self.scale_for(query.shape[-1])
        return scores if self.softcap is None else self.softcap * torch.tanh(scores / self.softcap)
