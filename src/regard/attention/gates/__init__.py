"""Gates, which rescale features, and the attention blocks of image models beside them."""

from regard.attention.gates.channel import ChannelGate, EfficientChannel, SqueezeExcitation
from regard.attention.gates.gate import Block, Gate, apply_gate
from regard.attention.gates.nonlocal_block import NonLocal, Sagan
from regard.attention.gates.pooling import AttentionPool
from regard.attention.gates.spatial import Cbam, ConvolutionalGate, SpatialGate

__all__ = [
    "AttentionPool",
    "Block",
    "Cbam",
    "ChannelGate",
    "ConvolutionalGate",
    "EfficientChannel",
    "Gate",
    "NonLocal",
    "Sagan",
    "SpatialGate",
    "SqueezeExcitation",
    "apply_gate",
]
