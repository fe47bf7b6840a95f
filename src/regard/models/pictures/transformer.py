"""Transformers over the patches of a picture."""

from __future__ import annotations

from math import ceil

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from regard.attention.positions import Learned, Rotary2d
from regard.attention.positions.position import Position, position_named
from regard.errors import InputError
from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions, ImageTransformerOptions
from regard.models.pictures.heads import ClassPool, Head, map_of, places_of, pool_named
from regard.models.transformer import Transformer


class TransformerClassifier(Classifier):
    """Patches look at one another; Dosovitskiy et al. 2021 (ViT), arXiv:2010.11929.

    With tokens from convolutions and pooling by attention it is a compact transformer; Hassani et al. 2021 (CCT),
    arXiv:2104.05704. Its sequence pooling weighs the states themselves, with one head; AttentionPool projects them first.
    """

    def __init__(self, options: ClassifierOptions, sizes: ImageSizes) -> None:
        super().__init__(sizes, options.label_smoothing)
        chosen = options.transformer
        self.side = sizes.height, sizes.width
        make = Patches if chosen.tokenizer == "patches" else ConvolutionalTokens
        self.tokens = make(sizes.channels, chosen.d_model, chosen.patch)
        position = position_of(chosen, ceil(sizes.height / chosen.patch), ceil(sizes.width / chosen.patch))
        self.body = Transformer(chosen.transformer, position=position)
        self.head = Head(pool_of(chosen), chosen.d_model, sizes.num_classes, options.dropout)

    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch d_model rows columns"]:
        """The states of the patches, where they stand in the picture."""
        if pixels.shape[2:] != self.side:
            wanted, given = ("×".join(map(str, side)) for side in (self.side, pixels.shape[2:]))
            raise InputError(f"pictures must be of {wanted} pixels, as those it was made for, got {given}.")
        tokens = self.tokens(pixels)
        return map_of(self.body(places_of(tokens)), tokens.shape[3])


class Patches(nn.Module):
    """A linear map of each patch × patch pixels; a picture that they do not fill is continued by zeros, right and below."""

    def __init__(self, channels: int, d_model: int, patch: int) -> None:
        super().__init__()
        self.patch, self.project = patch, nn.Conv2d(channels, d_model, patch, patch)

    def forward(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch d_model rows columns"]:
        height, width = pixels.shape[2:]
        return self.project(pad(pixels, (0, -width % self.patch, 0, -height % self.patch)))


class ConvolutionalTokens(nn.Sequential):
    """A convolution, relu and largest of 3 × 3 for each halving; Hassani et al. 2021, arXiv:2104.05704, eq. 1.

    All but the last have half the width.
    """

    def __init__(self, channels: int, d_model: int, patch: int) -> None:
        layers: list[nn.Module] = []
        halvings = patch.bit_length() - 1
        for number in range(1, max(1, halvings) + 1):
            width = d_model if number >= halvings else d_model // 2
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.ReLU()]
            layers += [nn.MaxPool2d(3, 2, padding=1)] if halvings else []
            channels = width
        super().__init__(*layers)


def position_of(options: ImageTransformerOptions, rows: int, columns: int) -> Position:
    """How a grid of patches knows its places."""
    head_dim = options.d_model // options.num_heads
    if options.position == "rotary-2d":
        return Rotary2d(head_dim, columns)
    if options.position == "learned":
        return Learned(options.d_model, rows * columns)
    return position_named(options.position, head_dim, options.num_heads)


def pool_of(options: ImageTransformerOptions) -> nn.Module:
    """What makes one vector of the states."""
    if options.pool == "class":
        return ClassPool(options.d_model, options.num_heads, options.d_feedforward, options.dropout)
    return pool_named(options.pool, options.d_model)
