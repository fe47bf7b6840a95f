"""Files of a data set, in a folder or an archive, by their names from its top: data/BCCD.zip/BCCD/ImageSets/Main/train.txt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from regard.data.files import SPLITS, read_lines, split_lines
from regard.data.pictures.picture import Picture
from regard.data.pictures.stores import ARCHIVES, Folder, Tree, tree_at
from regard.data.pictures.trees import PICTURES
from regard.data.stream import told
from regard.errors import InputError

_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}
_WORD = re.compile(r"[a-z]+")
_INNER = {"annotations", "annotation", "labels", "images", "imagesets", "main", "jpegimages", *_SPLIT_OF}
"""Folders of a data set beside which there are others, in lower case and without a year."""


class Within(type(Path())):  # type: ignore[misc]  # the class of this system's paths: before Python 3.12 Path has no subclasses
    """A path in a folder of which it is known that it is all of a data set."""

    top: Path
    """The folder: nothing of the data set is looked for above it."""

    @classmethod
    def of(cls, top: Path, name: str) -> Within:
        """What has this name from the top."""
        path = cls(top / name)
        path.top = top
        return path


class Source:
    """The files of a folder or an archive, litter of systems left out."""

    def __init__(self, path: Path) -> None:
        self.tree: Tree = tree_at(path)
        self.names = sorted(name for name in self.tree.names() if not name.endswith("/") and _is_visible(name))

    def path(self, name: str) -> Path:
        """By which it is named in findings and found again by `located`."""
        return Within.of(self.tree.path, name) if isinstance(self.tree, Folder) else Path(self.tree.name_of(name))

    def lines(self, name: str) -> list[str]:
        """Of a text."""
        path = self.path(name)
        return read_lines(path) if isinstance(self.tree, Folder) else split_lines(self.tree.read(name), path)

    def picture(self, name: str) -> Picture:
        """The file, as a picture that is not decoded yet."""
        return Picture(self.tree, name)

    @cached_property
    def pictures(self) -> list[str]:
        """The files that are pictures by their names."""
        return [name for name in self.names if name.lower().endswith(PICTURES)]

    @property
    def archives(self) -> list[str]:
        """The files that are archives by their names."""
        return [name for name in self.names if name.lower().endswith(ARCHIVES)]

    @cached_property
    def by_stem(self) -> dict[str, str]:
        """The pictures by their names without the ending."""
        return {str(PurePosixPath(name).with_suffix("")): name for name in self.pictures}

    @cached_property
    def _by_last_part(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for name in self.pictures:
            found[PurePosixPath(name).name].append(name)
        return dict(found)

    def picture_named(self, name: str, near: str) -> str:
        """Which picture an annotation in the file `near` means; InputError where there is none, or more than one.

        Its name may begin anywhere above it, and may be the path on the machine of the one who drew the boxes. Of several the
        one in the annotation's folder is meant, then one below it, then that of the same split.
        """
        parts = PurePosixPath(name.replace("\\", "/"))
        hits = self._by_last_part.get(parts.name, [])
        whole = hits if _is_elsewhere(parts) else [hit for hit in hits if f"/{hit}".endswith(f"/{parts}")]
        folder, split = PurePosixPath(near).parent, split_of(near)
        there = [hit for hit in whole if hit == str(folder / parts)]
        below = [hit for hit in whole if PurePosixPath(hit).is_relative_to(folder)]
        same = [hit for hit in whole if split and split_of(hit) == split]
        found = next((some for some in (there, below, same) if len(some) == 1), whole)
        if not found:
            raise InputError(f"there is no picture {name!r} in {self.tree.path}. Put it there, or take its boxes out.")
        if len(found) > 1:
            listed = ", ".join(found[:3])
            raise InputError(f"the picture {name!r} could be any of {listed}. Write its path from {self.tree.path}.")
        return found[0]


def located(path: Path) -> tuple[Source, str]:
    """The data set that a file, or a folder of it, belongs to, and its name there; "" for a whole folder or archive."""
    with told(path):
        for archive in (path, *path.parents):
            if archive.name.lower().endswith(ARCHIVES) and archive.is_file():
                return Source(archive), _inside(path, archive)
        if not path.exists():
            raise InputError("there is no such file or folder.", file=path)
        top = path.top if isinstance(path, Within) else _top_of(path)
        return Source(top), _inside(path, top)


def _top_of(path: Path) -> Path:
    """By the names of the folders above it."""
    top = path if path.is_dir() else path.parent
    while top.name.lower().rstrip("0123456789") in _INNER:
        top = top.parent
    return top


def split_of(name: str) -> str | None:
    """Which part the last folder or file names that names one: instances_val2017.json and valid/1.json are dev."""
    for part in reversed(PurePosixPath(name).parts):
        for word in _WORD.findall(part.lower()):
            if word in _SPLIT_OF:
                return _SPLIT_OF[word]
    return None


def folders(names: Sequence[str]) -> list[str]:
    """In which the files are."""
    return list(dict.fromkeys(str(PurePosixPath(name).parent) for name in names))


def _inside(path: Path, top: Path) -> str:
    name = path.relative_to(top).as_posix()
    return "" if name == "." else name


def _is_elsewhere(path: PurePosixPath) -> bool:
    """Is it a path on another machine?"""
    return path.is_absolute() or ".." in path.parts or ":" in str(path)


def _is_visible(name: str) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
