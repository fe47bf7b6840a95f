"""Texts as numbers in a file that is mapped into memory: a corpus may be larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from regard.data.corpus.blocks import Block, Passage, passages_of
from regard.data.corpus.files import texts_in
from regard.errors import InputError
from regard.places import cache_folder

TOKENS, BORDERS, FACTS = "tokens.bin", "borders.bin", "facts.json"
SMALL = 2**16


@dataclass(frozen=True)
class TokenFile:
    """Tokens of a corpus on disk; before the first stands one that a text begins behind."""

    folder: Path
    num_tokens: int
    """That can be predicted: one fewer than there are."""
    num_characters: int
    num_bytes: int
    """Of the text in UTF-8."""
    num_documents: int
    is_small: bool
    """Two bytes a token, else four."""

    @cached_property
    def tokens(self) -> Any:
        """All of them, as an array; what is not looked at is not read."""
        import numpy as np

        return np.memmap(self.folder / TOKENS, dtype=np.uint16 if self.is_small else np.uint32, mode="r")

    @cached_property
    def borders(self) -> Any:
        """The places behind which a document begins, in order."""
        import numpy as np

        return np.memmap(self.folder / BORDERS, dtype=np.int64, mode="r")


def tokenised(
    blocks: Sequence[Block], encode: Callable[[Passage], list[int]], first: int, identity: str, vocabulary_size: int
) -> TokenFile:
    """The tokens of some blocks behind a `first` one, made once and kept in the cache folder.

    `identity` tells encoders apart; a file that has changed since is read again.
    """
    folder = cache_folder() / "tokens" / _key(blocks, identity)
    if not (folder / FACTS).is_file():
        with _kept(folder) as part:
            _write(blocks, encode, first, part, is_small=vocabulary_size <= SMALL)
    return TokenFile(folder, **json.loads((folder / FACTS).read_text()))


def _key(blocks: Sequence[Block], identity: str) -> str:
    """Of the files, their state, which blocks of them, and the encoder."""
    paths = sorted({block.path for block in blocks})
    files = [one for path in paths for one in ([path] if path.is_file() else texts_in(path))]
    states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    places = sorted((str(block.path), block.number, block.num_bytes) for block in blocks)
    return hashlib.sha256(repr((states, places, identity)).encode()).hexdigest()[:32]


@contextmanager
def _kept(folder: Path) -> Iterator[Path]:
    """A temporary folder beside the final one, renamed when it is whole."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            yield part
            os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if not (folder / FACTS).is_file():  # else another process was faster
            message = f"the tokens of the text cannot be kept here: {error.strerror}. Name another folder: REGARD_CACHE."
            raise InputError(message, file=folder.parent) from None


def _write(
    blocks: Sequence[Block], encode: Callable[[Passage], list[int]], first: int, folder: Path, *, is_small: bool
) -> None:
    import numpy as np

    kind, length, starts = np.uint16 if is_small else np.uint32, 1, [0]
    with (folder / TOKENS).open("wb") as stream, (folder / BORDERS).open("wb") as borders:
        np.array([first], kind).tofile(stream)
        for passage in passages_of(blocks):
            tokens = np.array(encode(passage), kind)
            tokens.tofile(stream)
            length += len(tokens)
            if passage.is_end:
                starts.append(length - 1)
        np.array(starts, np.int64).tofile(borders)
    sums = {name: sum(getattr(block, name) for block in blocks) for name in ("num_characters", "num_bytes", "num_documents")}
    facts = TokenFile(folder, num_tokens=length - 1, **sums, is_small=is_small)
    (folder / FACTS).write_text(json.dumps({name: value for name, value in asdict(facts).items() if name != "folder"}))
