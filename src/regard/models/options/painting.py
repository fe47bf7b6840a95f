"""How pictures are painted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from typing import Any, Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, require


@dataclass(frozen=True)
class GanOptions:
    """A generator and a discriminator that learn from one another.

    Args:
        d_latent: numbers of noise that a picture is made of
        widths: channels of the generator's maps, from the smallest map on, each twice as large as the one before; the
            discriminator has them the other way round; empty is as the size of the pictures needs it
        attention_at: sides of the maps whose places look at one another; of each the largest map up to it; empty is none
        mechanism: how they look, a name of `regard list mechanisms`
        objective: hinge (real above 1, made below -1) or relativistic (each real one above a made one)
        penalty: weight of the squared gradient at real pictures (R1); 0 is without
        penalty_steps: it is taken every so many batches, and so much stronger
        augment: how real and made pictures are changed alike for the discriminator: colour, move, cut; for few data
        discriminator_rate: its learning rate is so many times the generator's
        is_generator_bounded: products of the generator have spectral norm 1 too, as in SAGAN; those of the discriminator have
    """

    d_latent: int = 128
    widths: Sequence[int] = ()
    attention_at: Sequence[int] = (16,)
    mechanism: str = "softmax"
    objective: Literal["hinge", "relativistic"] = "hinge"
    penalty: float = 1.0
    penalty_steps: int = 16
    augment: Sequence[Literal["colour", "move", "cut"]] = ()
    discriminator_rate: float = 2.0
    is_generator_bounded: bool = False

    def __post_init__(self) -> None:
        require(self, d_latent=POSITIVE, penalty=COUNT, penalty_steps=POSITIVE, discriminator_rate=(0.01, 100))
        require_widths(self)


@dataclass(frozen=True)
class VaeOptions:
    """An encoder that writes a picture down in few numbers, and a decoder that paints it from them.

    Args:
        d_latent: numbers that a picture is written down in
        widths: channels of the decoder's maps, from the smallest map on; the encoder has them the other way round; empty is
            as the size of the pictures needs it
        attention_at: sides of the maps whose places look at one another; of each the largest map up to it; empty is none
        mechanism: how they look, a name of `regard list mechanisms`
        beta: weight of what the numbers cost (the divergence from the prior); 1 is the bound of the likelihood
        beta_steps: batches in which that weight rises from 0
        free_bits: bits of each number that cost nothing while training
        num_importance: samples of the importance-weighted bound by which pictures are scored
        scale: how far values may lie from what is painted: learned for all pixels as one (shared), which makes clearer
            pictures, or told by the decoder for each (pixel), which makes fewer bits
        prior: what the numbers of new pictures are drawn from: normal, as while training, or fitted, which after training
            becomes a mixture of normal distributions, for each class its own, like the numbers of the training pictures
        num_components: of that mixture
    """

    d_latent: int = 64
    widths: Sequence[int] = ()
    attention_at: Sequence[int] = (16,)
    mechanism: str = "softmax"
    beta: float = 1.0
    beta_steps: int = 1000
    free_bits: float = 0.0
    num_importance: int = 16
    scale: Literal["shared", "pixel"] = "shared"
    prior: Literal["normal", "fitted"] = "fitted"
    num_components: int = 10

    def __post_init__(self) -> None:
        require(self, d_latent=POSITIVE, beta=COUNT, beta_steps=COUNT, free_bits=COUNT)
        require(self, num_importance=POSITIVE, num_components=POSITIVE)
        require_widths(self)


@dataclass(frozen=True)
class PainterOptions:
    """What paints.

    Args:
        name: gan (a generator against a discriminator) or vae (a variational autoencoder)
        classes: paint by class: yes, no, or auto, which is yes where the pictures are of two classes or more
        gan: the parts of a gan
        vae: the parts of a vae
    """

    name: Literal["gan", "vae"] = "gan"
    classes: Literal["auto", "yes", "no"] = "auto"
    gan: GanOptions = field(default_factory=GanOptions)
    vae: VaeOptions = field(default_factory=VaeOptions)


@dataclass(frozen=True)
class FeatureOptions:
    """What the likeness of painted pictures to real ones is measured by.

    Args:
        network: file of the FID Inception network, or run folder of a classifier; empty is a fixed random network, good to
            compare runs on the same pictures alone
        reference: file of statistics to compare with, such as those of pytorch-fid, or a folder in which those of the real
            pictures are kept, so that they are computed once
        num_dev: dev pictures by which the best weights are chosen while training
    """

    network: str = ""
    reference: str = ""
    num_dev: int = 1000

    def __post_init__(self) -> None:
        require(self, num_dev=(4, None))

    @property
    def prefix(self) -> str:
        """How scores by its features are named: only those of the Inception network are FID and KID as others report them."""
        if not self.network:
            return "random_"
        return "classifier_" if Path(self.network).is_dir() else ""


SMALLEST, LARGEST_WIDTH, SMALLEST_WIDTH, AREA = 4, 128, 16, 1024
"""Side of the smallest map at least, channels of a map, and what its channels times its side are where that is between."""


def usual_widths(side: int) -> tuple[int, ...]:
    """For pictures of this side: maps of 4 to 7 places a side and up, and the fewer channels the larger they are."""
    num_maps = max(1, (side // SMALLEST).bit_length())
    sides = (side / 2 ** (num_maps - 1 - stage) for stage in range(num_maps))
    return tuple(min(LARGEST_WIDTH, max(SMALLEST_WIDTH, 2 ** round(log2(AREA / one)))) for one in sides)


def require_widths(options: Any) -> None:
    """Raise InputError unless there are channels, and sides of maps to look at."""
    if options.widths and min(options.widths) < 1:
        raise InputError(f"widths must be channels of maps, each at least 1, got {list(options.widths)}.")
    if any(side < 1 for side in options.attention_at):
        raise InputError(f"attention_at must be sides of maps, each at least 1, got {list(options.attention_at)}.")
