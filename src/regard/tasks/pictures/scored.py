"""Which part of a person's pictures a run is scored on."""

from collections.abc import Callable
from pathlib import Path

from regard.data.boxes.sources import split_of
from regard.data.files import Files
from regard.data.hub import is_data_set
from regard.data.stream import existing
from regard.errors import InputError


def scored_part(find: Callable[[str, dict[str, str | None]], Files], given: str, archives: tuple[str, ...] = ()) -> Path:
    """The test part of a folder, a data set of the hub or an archive of parts, else dev; what holds no parts, all of it.

    Raises InputError where train is the only part: a score on it would promise too much.
    """
    path = Path(given)
    is_packed = any(one.name.lower().endswith(archives) for one in (path, *path.parents))
    if not (is_data_set(given) or path.is_dir() or is_packed):
        return existing(path)
    files = find(given, {})
    if files.train and not (files.test or files.dev) and _is_a_part(files.train, path):
        advice = f"To score on it all the same, name it: --data {files.train}."
        raise InputError(f"the data must hold a test or a dev part, got train alone. {advice}", file=path)
    return files.test or files.dev or path


def _is_a_part(train: Path, given: Path) -> bool:
    """Rather than all that was given, which is for training too where it names no part."""
    return not train.is_relative_to(given) or split_of(str(train.relative_to(given))) is not None
