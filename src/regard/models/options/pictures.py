"""What a picture shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import POSITIVE, SHARE, require
from regard.models.options.stack import TransformerOptions, stack_of

ARCHITECTURES = "mobilenet-v2", "efficientnet-lite0"
TIMM = "timm:"
"""What a name of the timm library begins with here."""


@dataclass(frozen=True)
class ConvolutionalOptions:
    """A small residual network, with gates or without.

    Args:
        widths: channels of each stage; all but the first begin by halving height and width
        num_blocks: residual blocks of each stage
        gate: what rescales the features or mixes their places, a name of `regard list gates`, or "none"
        gated: where one stands: in each block (blocks), behind each stage (stages) or behind the last (last)
        pool: how a map becomes one vector, its mean or attention to its places
    """

    widths: Sequence[int] = (16, 32, 80)
    num_blocks: int = 2
    gate: str = "none"
    gated: Literal["blocks", "stages", "last"] = "blocks"
    pool: Literal["mean", "attention"] = "mean"

    def __post_init__(self) -> None:
        require(self, num_blocks=POSITIVE)
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"widths must be channels of at least one stage, each at least 1, got {list(self.widths)}.")


@dataclass(frozen=True)
class ImageTransformerOptions:
    """A Transformer over the patches of a picture.

    Args:
        tokenizer: patches (each by itself, as in ViT) or convolutions (a small network, as in the compact transformer)
        patch: pixels of a side that a token stands for; of convolutions a power of two
        d_model: width of the states
        num_layers: layers
        num_heads: heads of each attention
        num_kv_heads: heads of keys and values, shared by groups of the others; 0 is as many as there are heads
        d_feedforward: width of the hidden layer of feed-forward networks
        mechanism: attention of the patches to one another, a name of `regard list mechanisms`
        position: how it knows where patches stand, a name of `regard list positions`
        pool: how states become one vector: mean, attention, or class (a token that looks at all in one layer more)
        dropout: share of features hidden while training
    """

    tokenizer: Literal["patches", "convolutions"] = "convolutions"
    patch: int = 4
    d_model: int = 96
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 0
    d_feedforward: int = 160
    mechanism: str = "softmax"
    position: str = "rotary-2d"
    pool: Literal["mean", "attention", "class"] = "attention"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self, patch=POSITIVE, d_model=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE)
        require(self, d_feedforward=POSITIVE, dropout=SHARE)
        if self.tokenizer == "convolutions" and self.patch & (self.patch - 1):
            raise InputError(
                f"patch must be a power of two, since convolutions halve a picture again and again, got {self.patch}."
            )

    @property
    def transformer(self) -> TransformerOptions:
        """Of its stack."""
        return stack_of(self, window=0)


@dataclass(frozen=True)
class PretrainedOptions:
    """A network that has learnt from other pictures.

    Args:
        architecture: mobilenet-v2, efficientnet-lite0, or timm: and a name of the timm library, where it is installed
        weights: file of its weights, .pth or .safetensors; empty fetches those of a timm model
        learning_rate: peak rate of its last layer, with the same schedule as the rest
        layer_decay: each layer below learns at this share of the rate
        frozen_layers: so many layers, from the pixels on, stay as they are; -1 freezes all of it
        pool: how its map becomes one vector, its mean or attention to its places
    """

    architecture: str = "mobilenet-v2"
    weights: str = ""
    learning_rate: float = 3e-4
    layer_decay: float = 0.9
    frozen_layers: int = 0
    pool: Literal["mean", "attention"] = "mean"

    def __post_init__(self) -> None:
        require(self, layer_decay=(0, 1), frozen_layers=(-1, None))
        if self.architecture not in ARCHITECTURES and not self.architecture.startswith(TIMM):
            known = ", ".join((*ARCHITECTURES, f"{TIMM}NAME"))
            raise InputError(f"architecture must be one of {known}, got {self.architecture!r}.")


@dataclass(frozen=True)
class ClassifierOptions:
    """How a picture gets its class.

    Args:
        name: document (the source document's network, corrected), convolutional, transformer or pretrained
        dropout: share of features hidden before the last layer while training
        label_smoothing: share of the right class's probability that all classes are given while training
        convolutional: the layers of a convolutional one
        transformer: the layers of a transformer
        pretrained: the network that a pretrained one begins with
    """

    name: Literal["document", "convolutional", "transformer", "pretrained"] = "convolutional"
    dropout: float = 0.1
    label_smoothing: float = 0.1
    convolutional: ConvolutionalOptions = field(default_factory=ConvolutionalOptions)
    transformer: ImageTransformerOptions = field(default_factory=ImageTransformerOptions)
    pretrained: PretrainedOptions = field(default_factory=PretrainedOptions)

    def __post_init__(self) -> None:
        require(self, dropout=SHARE, label_smoothing=SHARE)
