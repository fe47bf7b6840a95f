"""Networks that say in numbers what a picture is like, by which made pictures are measured against real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from regard.data.stream import told
from regard.errors import InputError
from regard.models.classifier import Classifier
from regard.tasks.classify.encoder import PictureEncoder
from regard.tasks.folder import MODEL, load_run
from regard.tasks.paint.inception_files import load_inception
from regard.tasks.pictures.colours import grey

Bytes = UInt8[Tensor, "batch channels height width"]
Features = Float[Tensor, "batch features"]
KINDS = (
    "The feature network must be the file of the FID Inception network, as TorchScript or pytorch-fid's .pth, or the folder of "
    "a run of regard train classify; or leave it out for a random network."
)
AT_ONCE = 32
RANDOM_SIDE = 64
RANDOM_WIDTHS = 32, 64, 128, 256


@dataclass(frozen=True)
class FeatureNetwork:
    """A network, and how its scores are called: a distance is `fid` by the features of the FID Inception network only."""

    name: str
    """Tells it from any other, also one of the same kind with other weights."""
    prefix: Literal["", "classifier_", "random_"]
    channels: int
    embed: Callable[[Bytes], Features]
    """Of pictures of so many channels, on `device`."""
    device: str = "cpu"

    def features(self, pixels: Bytes) -> Features:
        """Float32, each picture's by itself; in bounded memory whatever their number."""
        with torch.no_grad():
            parts = [self.embed(_of_channels(part, self.channels).to(self.device)) for part in pixels.split(AT_ONCE)]
        return torch.cat(parts).float().cpu()


@cache
def feature_network(path: str) -> FeatureNetwork:
    """The network of a file or run folder, or a random one where there is none; loaded once in a process.

    Raises InputError where it is none of the kinds there are.
    """
    if not path:
        return random_network()
    try:
        with torch.random.fork_rng(devices=[]):  # new layers draw weights, and what is being trained must not notice
            return _classifier(Path(path)) if Path(path).is_dir() else _inception(path)
    except InputError as error:
        raise InputError(f"{error.message} {KINDS}", file=path) from None


def random_network() -> FeatureNetwork:
    """Convolutions that learnt nothing, of a fixed seed: good to compare painters of the same pictures, and for nothing else.

    That random weights can tell how near painters come, where learnt ones look for other things than the pictures have, is of
    Naeem et al. 2020, arXiv:2002.09797. The features are the means of each layer's maps over all places.
    """
    dice = torch.Generator().manual_seed(0)
    weights, before, device = [], 3, _device()
    for width in RANDOM_WIDTHS:
        drawn = torch.randn(width, before, 3, 3, generator=dice)
        weights.append((drawn * (2 / (9 * before)) ** 0.5).to(device))
        before = width

    def embed(pixels: Bytes) -> Features:
        maps, found = _sized(pixels, RANDOM_SIDE) / 127.5 - 1, []
        for weight in weights:
            maps = conv2d(maps, weight, stride=2, padding=1).relu_()
            found.append(maps.mean((2, 3)))
        return torch.cat(found, 1)

    return FeatureNetwork("random network 1", "random_", 3, embed, device)


def _inception(path: str) -> FeatureNetwork:
    device = _device()
    with told(path):
        name, embed = load_inception(path, device)
    return FeatureNetwork(name, "", 3, embed, device)


def _classifier(folder: Path) -> FeatureNetwork:
    """What its last layer, that of the scores, would read."""
    run, device = load_run(folder), _device()
    if not isinstance(run.model, Classifier):
        raise InputError(f"got a run of regard train {run.task.name}.", file=folder)
    head = run.model.head
    head.set_submodule([name for name, layer in head.named_modules() if isinstance(layer, nn.Linear)][-1], nn.Identity())
    digest = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()[:8]
    model, encoder = run.model.to(device), cast(PictureEncoder, run.encoder)
    viewer, mean, deviation = encoder.viewer, encoder.mean.to(device), encoder.deviation.to(device)

    def embed(pixels: Bytes) -> Features:
        return model((_sized(pixels, viewer.size) / 255 - mean) / deviation)

    return FeatureNetwork(f"classifier {folder.name}, {digest}", "classifier_", viewer.channels, embed, device)


def _of_channels(pixels: Bytes, channels: int) -> Bytes:
    """Grey as colour, or colour as grey."""
    if pixels.shape[1] > channels:
        return grey(pixels.float()).round().to(torch.uint8)
    return pixels.expand(-1, channels, -1, -1)


def _sized(pixels: Bytes, side: int) -> Float[Tensor, "batch channels side side"]:
    """Of that many pixels a side, from 0 to 255; smaller pictures hold means of what was there."""
    if pixels.shape[2:] == (side, side):
        return pixels.float()
    return interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
