"""A stack of layers."""

from dataclasses import dataclass, fields
from typing import Any

from regard.models.options.ranges import COUNT, POSITIVE, SHARE, require


@dataclass(frozen=True)
class TransformerOptions:
    """Layers of attention and feed-forward networks.

    Args:
        d_model: width of the states
        num_layers: layers of each stack
        num_heads: heads of each attention
        num_kv_heads: heads of keys and values, shared by groups of the others; 0 is as many as there are heads
        d_feedforward: width of the hidden layer of feed-forward networks
        mechanism: attention of a sequence to itself, a name of `regard list mechanisms`
        position: how it knows where tokens stand, a name of `regard list positions`
        window: positions to the left that a token may look at, of a decoder; 0 is all
        dropout: share of features hidden while training
    """

    d_model: int = 256
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 0
    d_feedforward: int = 512
    mechanism: str = "softmax"
    position: str = "rotary"
    window: int = 0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self, d_model=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, d_feedforward=POSITIVE, dropout=SHARE)
        require(self, num_kv_heads=COUNT, window=COUNT)


def stack_of(options: Any, **own: Any) -> TransformerOptions:
    """What a model's options say of a stack, by the same names; `own` says the rest."""
    named = {field.name: getattr(options, field.name) for field in fields(TransformerOptions) if field.name not in own}
    return TransformerOptions(**named, **own)
