"""A network that has learnt from other pictures, and a new head."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from regard.errors import InputError
from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions, PretrainedOptions
from regard.models.options.pictures import TIMM
from regard.models.pictures.heads import Head, map_of, pool_named
from regard.models.pictures.mobile import IMAGENET, PLANS, mobile_network
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
        width = self.body.width_of(sizes.height, sizes.width)
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
    """Pixels → a map of features; its layers learn more slowly the nearer they are to the pixels, or not at all."""

    def __init__(self, options: PretrainedOptions) -> None:
        super().__init__()
        self.options = options
        self.network = _network(options.architecture)
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self.layers = list(self.network.children() if options.architecture in PLANS else _blocks(self.network))
        count = len(self.layers) if options.frozen_layers < 0 else options.frozen_layers
        self.frozen = self.layers[:count]
        for layer in self.frozen:
            layer.requires_grad_(False)
        for one in self._beside_layers() if self.frozen else ():
            one.requires_grad_(False)

    def width_of(self, height: int, width: int) -> int:
        """Features of the map of such pictures. Raises InputError where the network does not read them, or has no map."""
        was_training, pixels = self.training, torch.zeros(1, CHANNELS, height, width)
        try:
            with torch.no_grad():
                return self.eval()(pixels).shape[1]
        except (AssertionError, RuntimeError) as fault:  # timm's own ways to refuse a size
            what = f"{self.options.architecture} cannot read pictures of {height} × {width} pixels"
            reason = str(fault).split("\n")[0].rstrip(".")
            raise InputError(f"{what}: {reason}. Choose their side with --views.size.") from None
        finally:
            self.train(was_training)

    def forward(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        found = self.network(pixels)
        if isinstance(found, Tensor) and found.dim() == 4:
            return found.movedim(-1, 1) if getattr(self.network, "output_fmt", "") == "NHWC" else found
        return self._map_of_tokens(found)

    def _map_of_tokens(self, found: Any) -> Float[Tensor, "batch features rows columns"]:
        """Tokens of a square picture, behind those that stand for no place of it."""
        places = found[:, getattr(self.network, "num_prefix_tokens", 0) :] if isinstance(found, Tensor) else None
        if places is None or places.dim() != 3 or isqrt(places.shape[1]) ** 2 != places.shape[1]:
            raise InputError(f"{self.options.architecture} gives no map of features over a picture. Choose another network.")
        return map_of(places, isqrt(places.shape[1]))

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
            others = [one for one in layer.parameters() if one.requires_grad and one.dim() <= 1]
            others += [one for one in self._beside_layers() if one.requires_grad and layer is self.layers[0]]
            if matrices or others:
                yield {"params": matrices, "lr": rate}
                yield {"params": others, "lr": rate, "weight_decay": 0.0}

    def _beside_layers(self) -> list[nn.Parameter]:
        """What belongs to no layer, such as the places of tokens; it goes with the first."""
        return list(self.network.parameters(recurse=False))


def _blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The layers of a network of timm, from the pixels on: each block by itself, also where several are kept as one stage."""
    for child in network.children():
        yield from child.children() if type(child) in (nn.Sequential, nn.ModuleList) else (child,)


def normalisation_of(options: PretrainedOptions) -> Normalisation:
    """What pixels from 0 to 1 were normalised by when the weights were learnt."""
    if not options.architecture.startswith(TIMM):
        return PLANS[options.architecture].normalisation
    timm, name = _timm_with(options.architecture)
    known = timm.get_pretrained_cfg(name)
    return (tuple(known.mean), tuple(known.std)) if known else IMAGENET


def _network(architecture: str) -> nn.Module:
    """The network without a head."""
    if architecture in PLANS:
        return mobile_network(PLANS[architecture])
    return _timm_model(architecture, pretrained=False)


def _timm_model(architecture: str, *, pretrained: bool) -> Any:
    timm, name = _timm_with(architecture)
    return timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")


def _timm_with(architecture: str) -> tuple[Any, str]:
    """The library, and a name that it knows."""
    try:
        import timm
    except (ImportError, RuntimeError) as fault:  # the latter where torchvision was built for another torch
        reason = str(fault).split("\n")[0]
        advice = "install both for this torch, or choose mobilenet-v2 or efficientnet-lite0"
        raise InputError(f"models of timm need timm and torchvision, which cannot be imported ({reason}): {advice}.") from fault
    name = architecture.removeprefix(TIMM)
    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}; timm.list_models() names all of them.")
    return timm, name
