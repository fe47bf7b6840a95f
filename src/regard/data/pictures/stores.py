"""Folders and archives, by the names of the files in them. Nothing is unpacked to where a name says."""

from __future__ import annotations

import gzip
import mmap
import os
import posixpath
import tarfile
import zipfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, BinaryIO, NamedTuple

from regard.data.pictures.picture import Key, Store
from regard.data.stream import MAX_BYTES, existing, told
from regard.errors import InputError

MAX_CONTENT = 2**30
"""Bytes of one picture's file."""
TARS = (".tar", ".tar.gz", ".tgz")
ARCHIVES = (".zip", *TARS)


@dataclass(frozen=True)
class Tree(Store):
    """Files in folders, which may be in an archive. Their names are the keys."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of all files and folders, with slashes; those of folders end in one."""


@dataclass(frozen=True)
class Folder(Tree):
    """A folder of the disk; links are followed, but not in a circle."""

    def names(self) -> list[str]:
        found = []
        with told(self.path):
            for place, folders, files in os.walk(self.path, followlinks=True, onerror=_raised):
                above = Path(os.path.realpath(place))
                folders[:] = [one for one in folders if not above.is_relative_to(os.path.realpath(os.path.join(place, one)))]
                inside = Path(place).relative_to(self.path)
                found += [*((inside / one).as_posix() for one in files), *((inside / one).as_posix() + "/" for one in folders)]
        return found

    def name_of(self, key: Key) -> str:
        return str(self.path / str(key))

    def read(self, key: Key) -> bytes:
        path = existing(self.path / str(key))
        with told(path):
            _refuse_long(path.stat().st_size, path)
            return path.read_bytes()


class _Handle(NamedTuple):
    archive: zipfile.ZipFile
    lock: Lock


@dataclass(frozen=True)
class Zip(Tree):
    """A .zip; a process reads through a handle of its own, one thread at a time."""

    def names(self) -> list[str]:
        infos = self._handle().archive.infolist()
        if any(info.flag_bits & 1 for info in infos):
            raise InputError("the archive must have no password. Pack it again without one.", file=self.path)
        return list(dict.fromkeys(info.filename for info in infos))

    def read(self, key: Key) -> bytes:
        archive, lock = self._handle()
        name = self.name_of(key)
        with _unpacking(name), lock:
            _refuse_long(archive.getinfo(str(key)).file_size, name)
            return archive.read(str(key))

    def _handle(self) -> _Handle:
        process = os.getpid()  # a fork shares the place in a file that is open
        return self._handles.get(process) or self._handles.setdefault(process, self._opened())

    @cached_property
    def _handles(self) -> dict[int, _Handle]:
        return {}

    def _opened(self) -> _Handle:
        with _unpacking(self.path):
            return _Handle(zipfile.ZipFile(existing(self.path)), Lock())


class Span(NamedTuple):
    """Where a content is in a file."""

    start: int
    size: int


class Spans(NamedTuple):
    """Contents in one file, which any number of threads and forks may read."""

    file: mmap.mmap
    places: dict[Key, Span]

    def read(self, key: Key) -> bytes:
        """The content of a key."""
        start, size = self.places[key]
        return self.file[start : start + size]


def spans(file: IO[bytes], places: dict[Key, Span]) -> Spans:
    """With the file in view, which must not be empty; `file` may be closed."""
    file.flush()
    return Spans(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), places)


@dataclass(frozen=True)
class Tar(Tree):
    """A .tar; one that is compressed is unpacked to a file without a name, once in each process that was not forked."""

    def names(self) -> list[str]:
        return [str(key) for key in self._spans.places]

    def read(self, key: Key) -> bytes:
        _refuse_long(self._spans.places[key].size, self.name_of(key))
        return self._spans.read(key)

    @cached_property
    def _spans(self) -> Spans:
        with _unpacking(self.path), existing(self.path).open("rb") as packed:
            if self.path.name.lower().endswith(".tar"):
                return _members(packed)
            with TemporaryFile() as file:
                _gunzip(packed, file, self.path)
                return _members(file)


def tree_at(path: Path) -> Tree:
    """The folder or archive."""
    if path.is_dir():
        return Folder(path)
    return (Zip if path.name.lower().endswith(".zip") else Tar)(path)


def _members(file: IO[bytes]) -> Spans:
    """What a tar holds."""
    file.seek(0)
    places: dict[Key, Span] = {}
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.isfile() or member.isdir():
                places[posixpath.normpath(member.name) + "/" * member.isdir()] = Span(member.offset_data, member.size)
    return spans(file, places)


def _gunzip(packed: BinaryIO, file: IO[bytes], path: Path) -> None:
    with gzip.GzipFile(fileobj=packed) as content:
        while block := content.read(2**24):
            file.write(block)
            if file.tell() > MAX_BYTES:
                raise InputError(f"an archive must be at most {MAX_BYTES >> 30} GiB unpacked. Split it.", file=path)


def _refuse_long(num_bytes: int, name: str | Path) -> None:
    if num_bytes > MAX_CONTENT:
        raise InputError(f"a picture must have at most {MAX_CONTENT:,} bytes, got {num_bytes:,}.", file=name)


def _raised(error: OSError) -> None:
    raise error


@contextmanager
def _unpacking(name: str | Path) -> Iterator[None]:
    """What can go wrong with an archive, as errors that name it."""
    with told(name):
        try:
            yield
        except (tarfile.TarError, RuntimeError, UnicodeDecodeError) as error:  # RuntimeError: a password, an unknown method
            raise InputError(f"the archive cannot be read: {str(error).rstrip('.')}. Pack it again.", file=name) from None
