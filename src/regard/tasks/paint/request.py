"""What is to be painted: lines of a person, so many pictures, or pictures to say something about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from regard.data.json_values import one_object
from regard.errors import InputError
from regard.tasks.pictures.source import PictureSource
from regard.tasks.source import Source

if TYPE_CHECKING:
    from regard.tasks.paint.painting import Bytes
    from regard.tasks.pictures.views import View, Viewer

KEYS = "class", "seed", "to", "steps"
PIECE = 256
MOST_STEPS = 1000


@dataclass(frozen=True)
class Request:
    """A picture to be painted from the noise of a seed, or one to learn from or to be judged."""

    seed: int | None = None
    """None is that of its line; while training, chance."""
    label: str | None = None
    """Its class; None is any."""
    to: int | None = None
    share: float = 0.0
    """Such a part of the way from its own noise to that of the seed `to`."""
    view: View | None = None
    viewer: Viewer | None = field(default=None, compare=False)
    """Who brings the picture to its size."""
    is_training: bool = False
    line: int | None = field(default=None, compare=False)
    error: str = ""
    """Why it cannot be painted."""

    @property
    def number(self) -> int:
        """Of its noise."""
        return self.seed if self.seed is not None else (self.line or 1) - 1

    @property
    def original(self) -> Bytes:
        """The pixels of its picture."""
        if self.view is None or self.viewer is None:
            raise ValueError("this request came without a picture.")
        return self.viewer.values_of(self.view)

    @property
    def name(self) -> str:
        """As a person would say it."""
        if self.view is not None and self.seed is None:
            return self.view.picture.name
        way = "" if self.to is None else f" → {self.to} ({100 * self.share:.0f} %)"
        return f"{self.label or 'picture'} of seed {self.number}{way}"


def read_requests(lines: list[str]) -> list[Request]:
    """One a line: blank, the name of a class, or an object with KEYS; a walk from one seed to another is several pictures."""
    return [request for number, line in enumerate(lines, 1) for request in _requests(line.strip(), number)]


def _requests(line: str, number: int) -> list[Request]:
    if not line.startswith("{"):
        return [Request(label=line or None, line=number)]
    try:
        return list(_walk(one_object(line), number))
    except InputError as error:
        return [Request(line=number, error=error.message)]


def _walk(given: dict[str, Any], number: int) -> Iterator[Request]:
    if strange := [key for key in given if key not in KEYS]:
        raise InputError(f"a request has {', '.join(KEYS)}; got {strange[0]!r}.")
    seed, to, steps = (_whole(given, key) for key in KEYS[1:])
    label = given.get("class")
    if label is not None and not isinstance(label, str):
        raise InputError(f'"class" must be the name of a class, got {json.dumps(label)}.')
    if to is None:
        yield Request(seed, label, line=number)
        return
    count = 8 if steps is None else steps
    if not 2 <= count <= MOST_STEPS:
        raise InputError(f'"steps" must be from 2 to {MOST_STEPS}, got {count}.')
    start = number - 1 if seed is None else seed
    for step in range(count):
        yield Request(start, label, to, step / (count - 1), line=number)


def _whole(given: dict[str, Any], key: str) -> int | None:
    value = given.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63):
        raise InputError(f'"{key}" must be a whole number, 0 or more, got {json.dumps(value)}.')
    return value


class Count(Source):
    """So many pictures, of the seeds from 0 on."""

    def __init__(self, count: int) -> None:
        self.count, self.num_read = count, 0
        self.name = f"{count:,} pictures"

    @classmethod
    @contextmanager
    def open(cls, count: int) -> Iterator[Count]:
        """The requests."""
        yield cls(count)

    @property
    def share(self) -> float | None:
        return self.num_read / max(1, self.count)

    def __iter__(self) -> Iterator[list[Any]]:
        for start in range(0, self.count, PIECE):
            seeds = range(start, min(start + PIECE, self.count))
            self.num_read = seeds.stop
            yield [Request(seed, line=seed + 1) for seed in seeds]


class Given(Source):
    """Pictures to be judged; where classes are minded, that of each is the name of its folder."""

    def __init__(self, inner: PictureSource, classes: Sequence[str]) -> None:
        self.inner, self.name, self.classes = inner, inner.name, classes

    @classmethod
    @contextmanager
    def open(cls, viewer: Viewer, source: str, classes: Sequence[str]) -> Iterator[Given]:
        """The pictures that `source` names."""
        with PictureSource.open(viewer, source) as inner:
            yield cls(inner, classes)

    @property
    def share(self) -> float | None:
        return self.inner.share

    def __iter__(self) -> Iterator[list[Any]]:
        for views in self.inner:
            yield [
                Request(label=self._label(view), view=view, viewer=self.inner.viewer, line=view.line, error=view.error)
                for view in views
            ]

    def _label(self, view: View) -> str | None:
        folders = PurePosixPath(view.picture.name.replace("\\", "/")).parent.parts
        return next((folder for folder in reversed(folders) if folder in self.classes), None)

    def place_of(self, example: Request) -> str:
        return example.name
