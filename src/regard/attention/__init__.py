"""Mechanisms, masks, heads and backends."""

from regard.attention.additive import Additive
from regard.attention.functional import attention, plan
from regard.attention.masks import Mask, causal, dense, document, everything, padding, picture, window
from regard.attention.mechanism import Mechanism, Scored
from regard.attention.multihead import MultiHeadAttention
from regard.attention.scaled_dot import ScaledDot

__all__ = [
    "Additive",
    "Mask",
    "Mechanism",
    "MultiHeadAttention",
    "ScaledDot",
    "Scored",
    "attention",
    "causal",
    "dense",
    "document",
    "everything",
    "padding",
    "picture",
    "plan",
    "window",
]
