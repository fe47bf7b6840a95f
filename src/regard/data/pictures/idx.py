"""IDX, the format of MNIST: a file of grey pictures and beside it one of labels."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from regard.data.findings import Finding
from regard.data.pictures.picture import Key, Picture, Store
from regard.data.stream import MAX_BYTES, existing, told
from regard.errors import InputError

if TYPE_CHECKING:
    import numpy as np

_IMAGES, _LABELS = 0x803, 0x801
"""Unsigned bytes in three dimensions, and in one."""
_BLOCK = 2**24


class _Content(NamedTuple):
    shape: tuple[int, ...]
    values: bytes


@dataclass(frozen=True)
class Idx(Store):
    """Grey pictures by their places from 0, all in memory."""

    def name_of(self, key: Key) -> str:
        return f"{self.path}:{int(key) + 1}"

    def read(self, key: Key) -> bytes:
        _, height, width = self.content.shape
        start = int(key) * height * width
        return self.content.values[start : start + height * width]

    def decode(self, content: bytes, name: str) -> np.ndarray:
        import numpy as np

        return np.frombuffer(content, np.uint8).reshape(*self.content.shape[1:], 1)

    @cached_property
    def content(self) -> _Content:
        """All of it."""
        return _content(self.path, _IMAGES)


def is_images(path: Path) -> bool:
    """By its name."""
    return "idx3" in path.name.lower()


def read(path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]:
    """The pictures, labelled with the numbers of the file of labels."""
    store = Idx(path)
    number = store.content.shape[0]
    if not is_labelled:
        return [Picture(store, key) for key in range(number)], []
    labels = _content(_labels_of(path), _LABELS).values
    if len(labels) != number:
        raise InputError(f"there must be a label for each of {number:,} pictures, got {len(labels):,}.", file=_labels_of(path))
    return [Picture(store, key, str(label)) for key, label in enumerate(labels)], []


def _labels_of(path: Path) -> Path:
    """The file beside it."""
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    other = beside.with_suffix("") if beside.suffix == ".gz" else beside.with_name(f"{beside.name}.gz")
    found = next((one for one in (beside, other) if one.is_file()), None)
    if found is None:
        raise InputError(f"the labels of {path.name} must be beside it, in {beside.name}; there is no such file.", file=path)
    return found


def _content(path: Path, magic: int) -> _Content:
    with told(path), existing(path).open("rb") as packed:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=packed)) if path.suffix == ".gz" else packed
        shape = _shape(file, magic, path)
        num_bytes = prod(shape)
        values = _at_most(file, min(num_bytes, MAX_BYTES) + 1)
    if len(values) != num_bytes or 0 in shape[1:]:
        sizes = " x ".join(f"{size:,}" for size in shape)
        got = f"{'more' if len(values) > num_bytes else f'{len(values):,}'}"
        raise InputError(f"the header promises {sizes} = {num_bytes:,} bytes, got {got}. Copy it again.", file=path)
    return _Content(shape, values)


def _at_most(file: BinaryIO, most: int) -> bytes:
    """Its next bytes; a block at a time, for the header may promise more than there is memory."""
    blocks = [file.read(min(_BLOCK, most - start)) for start in range(0, most, _BLOCK)]
    return b"".join(blocks)


def _shape(file: BinaryIO, magic: int, path: Path) -> tuple[int, ...]:
    """The sizes in the header."""
    num_dimensions = magic & 0xFF
    header = file.read(4 * (1 + num_dimensions))
    if header[:4] != magic.to_bytes(4, "big") or len(header) < 4 * (1 + num_dimensions):
        what = "pictures" if magic == _IMAGES else "labels"
        message = f"IDX of {what} must begin with {magic.to_bytes(4, 'big').hex()} and its sizes, got {header[:4].hex()}."
        raise InputError(message, file=path)
    return struct.unpack(f">{num_dimensions}I", header[4:])
