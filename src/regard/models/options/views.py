"""How pictures are brought before a model."""

from dataclasses import dataclass
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, SHARE, require


@dataclass(frozen=True)
class ViewOptions:
    """How pictures are brought to one size.

    Args:
        size: pixels of each side; 0 is as the training pictures are, at most 224
        channels: 1 for grey, 3 for colour; 0 is as the training pictures are
        seen: share of the shorter side of a photo that is seen, from its middle on; pictures of the right size are seen whole
    """

    size: int = 0
    channels: int = 0
    seen: float = 0.9

    def __post_init__(self) -> None:
        require(self, size=(0, 4096), seen=(0.1, 1))
        if self.channels not in (0, 1, 3):
            raise InputError(f"channels must be 1 for grey, 3 for colour or 0 for what the pictures are, got {self.channels}.")


@dataclass(frozen=True)
class PaintViewOptions:
    """How pictures that are to be painted are brought to one size.

    Args:
        size: pixels of each side, from 16 to 256; 0 is as the training pictures are, at most 128
        channels: 1 for grey, 3 for colour; 0 is as the training pictures are
        mirror: half of the training pictures are mirrored, left to right
    """

    size: int = 0
    channels: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.size and not 16 <= self.size <= 256:
            raise InputError(f"size must be from 16 to 256, or 0 for what the pictures are, got {self.size}.")
        _ = self.plain

    @property
    def plain(self) -> ViewOptions:
        """All of the shorter side is seen."""
        return ViewOptions(self.size, self.channels, 1.0)


@dataclass(frozen=True)
class AugmentOptions:
    """How training pictures are changed, anew in each pass.

    Args:
        flip: half of them are mirrored, left to right
        shift: they move by up to this share of a side
        area: smallest share of a photo's area that is cut out; 1 cuts none
        policy: further changes: trivial (one of 14, of any strength), random (num_changes of strength magnitude) or none
        num_changes: of the random policy
        magnitude: of the random policy, from 0 to 1
        erase: share of pictures of which a rectangle is made grey
        mixup: how much pairs are mixed: the parameter of the beta distribution that their shares are drawn from; 0 is not
        cutmix: the same for pairs of which one has a rectangle of the other; with both, each takes half of the batches
    """

    flip: bool = True
    shift: float = 0.1
    area: float = 0.5
    policy: Literal["none", "trivial", "random"] = "none"
    num_changes: int = 2
    magnitude: float = 0.3
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        require(self, shift=(0, 0.5), area=(0.01, 1), num_changes=POSITIVE, magnitude=(0, 1), erase=SHARE)
        require(self, mixup=COUNT, cutmix=COUNT)


@dataclass(frozen=True)
class SceneOptions:
    """How pictures are brought to one size in which things are looked for.

    Args:
        size: pixels of the longer side; 0 is as the training pictures are, at most 416
    """

    size: int = 0

    def __post_init__(self) -> None:
        require(self, size=(0, 4096))


@dataclass(frozen=True)
class SceneAugmentOptions:
    """How training pictures and their boxes are changed, anew in each pass.

    Args:
        flip: half of them are mirrored, left to right
        turn: half of them are mirrored, top to bottom; for pictures that have no up, as under a microscope
        zoom: they become up to so many times as large, of which a part is cut out, or as small, with grey around
        stretch: one side becomes up to so many times as long as the other
        colour: how much brightness, contrast and colours change, at most, from 0 to 1
        mosaic: share of pictures in whose place stand four, each half as large
    """

    flip: bool = True
    turn: bool = False
    zoom: float = 1.5
    stretch: float = 1.15
    colour: float = 0.3
    mosaic: float = 0.2

    def __post_init__(self) -> None:
        require(self, zoom=(1, 10), stretch=(1, 4), colour=(0, 1), mosaic=(0, 1))


@dataclass(frozen=True)
class FindingOptions:
    """What of what is found is told.

    Args:
        threshold: least confidence; 0 is what was best on dev
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        require(self, threshold=(0, 1))
