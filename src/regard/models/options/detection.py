"""How what a picture shows is found, with a box around each."""

from dataclasses import dataclass, field
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, SHARE, require


@dataclass(frozen=True)
class BackboneOptions:
    """The network that reads pixels, and has learnt from other pictures.

    Args:
        architecture: mobilenet-v2 or efficientnet-lite0
        weights: file of its weights, .pth or .safetensors
        learning_rate: peak rate of its last layer, with the same schedule as the rest
        layer_decay: each layer below learns at this share of the rate
        frozen_layers: so many layers, from the pixels on, stay as they are; -1 freezes all of it
    """

    architecture: Literal["mobilenet-v2", "efficientnet-lite0"] = "mobilenet-v2"
    weights: str = ""
    learning_rate: float = 2e-4
    layer_decay: float = 0.9
    frozen_layers: int = 4

    def __post_init__(self) -> None:
        require(self, layer_decay=(0, 1), frozen_layers=(-1, None))


@dataclass(frozen=True)
class DetectorOptions:
    """Queries that each find one thing, made for a few hundred pictures.

    Args:
        backbone: the network that reads pixels
        d_model: width of the states
        num_heads: heads of each attention
        num_layers: layers of the decoder
        num_queries: things found in a picture, at most
        num_points: places that a head looks at, in each of three maps
        d_feedforward: width of the hidden layer of feed-forward networks
        dropout: share of features hidden while training
        num_denoising: true boxes of a picture, spoilt while training, about so many: half to be restored, half to be refused
        label_noise: share of spoilt boxes that are given a class by chance
        box_noise: sides of spoilt boxes move by up to so many halves of the box, those to be refused by once to twice as many
    """

    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    d_model: int = 128
    num_heads: int = 8
    num_layers: int = 3
    num_queries: int = 100
    num_points: int = 4
    d_feedforward: int = 256
    dropout: float = 0.0
    num_denoising: int = 60
    label_noise: float = 0.25
    box_noise: float = 0.5

    def __post_init__(self) -> None:
        require(self, d_model=POSITIVE, num_heads=POSITIVE, num_layers=POSITIVE, num_queries=POSITIVE, num_points=POSITIVE)
        require(self, d_feedforward=POSITIVE, dropout=SHARE, num_denoising=COUNT, label_noise=(0, 1), box_noise=(0, 1))
        if self.d_model % 8 or self.d_model % self.num_heads:
            raise InputError(
                f"d_model must be a multiple of 8 and of num_heads, got {self.d_model} and {self.num_heads} heads."
            )
