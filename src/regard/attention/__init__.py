"""Mechanisms, masks, positions, heads and backends."""

from regard.attention.additive import Additive
from regard.attention.bilinear import Bilinear
from regard.attention.cache import KeyValueCache
from regard.attention.cosine import Cosine
from regard.attention.differential import Differential
from regard.attention.dropout import DropHead, DropKey, Dropout, DropWeights
from regard.attention.functional import attention, plan
from regard.attention.gated import Gated
from regard.attention.linear import Linear
from regard.attention.masks import (
    Mask,
    block_sparse,
    causal,
    dense,
    dilated,
    document,
    everything,
    global_local,
    lower_right,
    padding,
    picture,
    prefix,
    window,
)
from regard.attention.mechanism import Mechanism, Scored
from regard.attention.multihead import MultiHeadAttention
from regard.attention.scaled_dot import ScaledDot
from regard.attention.softcap import SoftCap
from regard.attention.talking_heads import TalkingHeads

__all__ = [
    "Additive",
    "Bilinear",
    "Cosine",
    "Differential",
    "DropHead",
    "DropKey",
    "DropWeights",
    "Dropout",
    "Gated",
    "KeyValueCache",
    "Linear",
    "Mask",
    "Mechanism",
    "MultiHeadAttention",
    "ScaledDot",
    "Scored",
    "SoftCap",
    "TalkingHeads",
    "attention",
    "block_sparse",
    "causal",
    "dense",
    "dilated",
    "document",
    "everything",
    "global_local",
    "lower_right",
    "padding",
    "picture",
    "plan",
    "prefix",
    "window",
]
