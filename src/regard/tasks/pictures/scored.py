"""Which part of a person's pictures a run is scored on."""

from collections.abc import Callable
from pathlib import Path

from regard.data.files import Files
from regard.data.hub import is_data_set
from regard.data.stream import existing


def scored_part(find: Callable[[str, dict[str, str | None]], Files], given: str, archives: tuple[str, ...] = ()) -> Path:
    """The test part of a folder, a data set of the hub or an archive of parts, else dev; where there is neither, all of it."""
    path = Path(given)
    if not (is_data_set(given) or path.is_dir() or path.name.lower().endswith(archives)):
        return existing(path)
    files = find(given, {})
    return files.test or files.dev or path
