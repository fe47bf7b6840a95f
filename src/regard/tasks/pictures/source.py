"""Pictures to predict on: one, a folder, an archive, a table; what cannot be read is told and left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from regard.data.pictures import input_pictures
from regard.tasks.pictures.views import View, Viewer
from regard.tasks.source import Source

PIECE = 256
"""Pictures that are decoded and predicted at once."""


class PictureSource(Source):
    """Pictures of any number."""

    def __init__(self, viewer: Viewer, name: str) -> None:
        self.viewer = viewer
        self.name = "standard input" if name == "-" else name
        self.pictures = input_pictures(name)

    @classmethod
    @contextmanager
    def open(cls, viewer: Viewer, source: str) -> Iterator[PictureSource]:
        """What `source` names; paths on standard input where it is "-"."""
        yield cls(viewer, source)

    @property
    def share(self) -> float | None:
        return None

    def __iter__(self) -> Iterator[list[Any]]:
        views = (View(picture, number=number) for number, picture in enumerate(self.pictures, 1))
        while piece := list(islice(views, PIECE)):
            yield self.viewer.tolerant(piece)

    def place_of(self, example: View) -> str:
        return example.picture.name
