"""What is written for other programs: a folder, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regard.errors import InputError


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name once it is full. Raises InputError where the name is taken or cannot be had."""
    if folder.exists():
        raise InputError("the folder must not exist yet. Choose another with --out.", file=folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"the folder cannot be written: {error.strerror}. Choose another with --out.", file=folder) from None
    try:
        yield part
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def contents_of(folder: Path) -> dict[str, Any]:
    """What a person is told of a folder that was written."""
    files = sorted(folder.iterdir())
    return {
        "folder": str(folder),
        "files": [path.name for path in files],
        "bytes": sum(path.stat().st_size for path in files),
    }
