"""A picture that is not decoded yet, and the place where its content is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.data.pictures.decoding import decode

if TYPE_CHECKING:
    import numpy as np

Key = str | int


@dataclass(frozen=True)
class Store(ABC):
    """Contents of pictures by their keys; opened when first read, again in each process, by any number of threads."""

    path: Path

    @abstractmethod
    def read(self, key: Key) -> bytes:
        """The content; raises InputError that names the picture where there is none or it is damaged."""

    def name_of(self, key: Key) -> str:
        """As a person would say it."""
        return f"{self.path}/{key}"

    def decode(self, content: bytes, name: str) -> np.ndarray:
        """The pixels of a content, (height, width, 1 or 3)."""
        return decode(content, name)

    def __getstate__(self) -> dict[str, Any]:
        """What is open stays behind."""
        return {"path": self.path}


@dataclass(frozen=True)
class Picture:
    """A picture that is not decoded yet, and its class."""

    store: Store
    key: Key
    label: str | None = None
    line: int | None = None
    """Of a table."""
    digest: str = ""
    """Of its pixels: the same picture has the same in any format without loss. Empty until it was decoded."""
    size: tuple[int, int] | None = None
    """Width and height, known with the digest."""
    channels: int | None = None
    """1 of a grey one, 3 of one in colours; known with the digest."""

    @property
    def name(self) -> str:
        """As a person would say it: photos/rose/1.jpg, train.zip/rose/1.jpg, train-images-idx3-ubyte.gz:17."""
        return self.store.name_of(self.key)


def pixels(picture: Picture) -> np.ndarray:
    """uint8 (height, width, 1 or 3): turned as EXIF says, palette resolved, alpha put on white.

    Raises InputError that names the picture where it is broken, empty, none at all or larger than MAX_PIXELS.
    """
    return picture.store.decode(picture.store.read(picture.key), picture.name)
