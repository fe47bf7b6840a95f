"""A network that has learnt from other pictures, and a new head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from regard.errors import InputError
from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions, PretrainedOptions
from regard.models.options.pictures import TIMM
from regard.models.pictures.heads import Head, pool_named
from regard.models.pictures.mobile import PLANS, WIDTH, mobile_network
from regard.models.pictures.weights import fill, load_weights

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
CHANNELS = 3
NARROW = 256
"""Features that attention pools: in all of the map's, its projections would outweigh the network."""


class PretrainedClassifier(Classifier):
    """The network up to its last map, and a head for other classes."""

    def __init__(self, options: ClassifierOptions, sizes: ImageSizes) -> None:
        super().__init__(sizes, options.label_smoothing)
        if sizes.channels != CHANNELS:
            raise InputError(f"a pretrained network reads pictures of {CHANNELS} channels, got {sizes.channels}.")
        self.body = PretrainedBody(options.pretrained)
        width = self.body.width
        if options.pretrained.pool == "mean":
            self.head = Head(pool_named("mean", width), width, sizes.num_classes, options.dropout)
        else:
            pool = nn.Sequential(nn.Linear(width, NARROW), pool_named("attention", NARROW))
            self.head = Head(pool, NARROW, sizes.num_classes, options.dropout)

    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        return self.body(pixels)

    def load_pretrained(self) -> None:
        """Take the weights that the options name."""
        self.body.load_pretrained()


class PretrainedBody(nn.Module):
    """Pixels → a map of `width` features; its layers learn more slowly the nearer they are to the pixels, or not at all."""

    def __init__(self, options: PretrainedOptions) -> None:
        super().__init__()
        self.options = options
        self.network, self.width = _network(options.architecture)
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self.layers = list(self.network.children())
        count = len(self.layers) if options.frozen_layers < 0 else options.frozen_layers
        self.frozen = self.layers[:count]
        for layer in self.frozen:
            layer.requires_grad_(False)

    def forward(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        return self.network(pixels)

    def train(self, mode: bool = True) -> PretrainedBody:
        """What is frozen keeps the means and variances of its norms, too."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def load_pretrained(self) -> None:
        """Take the weights of the file, or those that timm fetches."""
        options = self.options
        if options.weights:
            load_weights(self.network, options.weights)
        elif options.architecture.startswith(TIMM):
            fill(self.network, _timm_model(options.architecture, pretrained=True).state_dict(), options.architecture)
        else:
            raise InputError(f"weights must name the file of pretrained weights of {options.architecture}.")

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Rates that fall by `layer_decay` with each layer towards the pixels; norms and biases do not decay."""
        for number, layer in enumerate(reversed(self.layers)):
            rate = self.options.learning_rate * self.options.layer_decay**number
            matrices = [one for one in layer.parameters() if one.requires_grad and one.dim() > 1]
            others = [one for one in layer.parameters() if one.requires_grad and one.dim() == 1]
            if matrices or others:
                yield {"params": matrices, "lr": rate}
                yield {"params": others, "lr": rate, "weight_decay": 0.0}


def normalisation_of(options: PretrainedOptions) -> Normalisation:
    """What pixels from 0 to 1 were normalised by when the weights were learnt."""
    if not options.architecture.startswith(TIMM):
        return PLANS[options.architecture].normalisation
    known = _timm().get_pretrained_cfg(options.architecture.removeprefix(TIMM))
    return tuple(known.mean), tuple(known.std)


def _network(architecture: str) -> tuple[nn.Module, int]:
    """The network without a head, and the features of its map."""
    if architecture in PLANS:
        return mobile_network(PLANS[architecture]), WIDTH
    network = _timm_model(architecture, pretrained=False)
    return network, int(network.num_features)


def _timm_model(architecture: str, *, pretrained: bool) -> Any:
    timm, name = _timm(), architecture.removeprefix(TIMM)
    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}; timm.list_models() names all of them.")
    return timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as fault:  # the latter where torchvision was built for another torch
        reason = str(fault).split("\n")[0]
        advice = "install both for this torch, or choose mobilenet-v2 or efficientnet-lite0"
        raise InputError(f"models of timm need timm and torchvision, which cannot be imported ({reason}): {advice}.") from fault
    return timm
