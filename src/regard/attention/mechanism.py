"""What every attention mechanism is: a linear map of the values, out = weights(query, key) @ value."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from regard.attention.backends import choose
from regard.attention.call import Call, share
from regard.attention.masks import Mask, everything
from regard.catalog import NORMALIZERS, load


class Mechanism(nn.Module):
    """Base class. Override `weights`, or `forward`, or both; the other one follows from linearity.

    The law that tests hold every mechanism to: forward(query, key, value) == weights(query, key) @ value.
    """

    sums_to_one = True
    """Does each row of weights sum to one, where any key is permitted?"""

    pair_width = 1
    """Numbers held for each (query, key) pair while scores are computed; tiles shrink by it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.weights is Mechanism.weights and cls.forward is Mechanism.forward:
            raise TypeError(f"{cls.__name__} must override weights or forward.")

    @classmethod
    def for_heads(cls, head_dim: int) -> Mechanism:
        """One with its defaults, for heads of this width."""
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
        whole = self.forward(query, key, identity, mask, bias=bias)
        return whole if rows is None else whole[:, :, rows.start : rows.stop]

    def forward(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        value: Float[Tensor, "batch kv_heads keys value_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        backend: str = "auto",
    ) -> Float[Tensor, "batch heads queries value_dim"]:
        """weights @ value, by the backend named, or with "auto" by the first that can serve the call."""
        call = Call(self, query, key, value, mask, bias)
        return choose(call, backend).attend(call)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return run(self, query, key, value, *args, **kwargs)


def run(mechanism: Mechanism, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Call a mechanism so that PyTorch's override protocol sees it: what lets the lens watch from outside."""
    if has_torch_function((query, key, value)):
        return handle_torch_function(run, (query, key, value), mechanism, query, key, value, *args, **kwargs)
    return nn.Module.__call__(mechanism, query, key, value, *args, **kwargs)


class Scored(Mechanism):
    """A mechanism that is score × normaliser. A subclass writes `score`."""

    def __init__(self, normalizer: str = "softmax") -> None:
        super().__init__()
        self.normalizer = normalizer
        self.normalize = load(NORMALIZERS, normalizer)

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
