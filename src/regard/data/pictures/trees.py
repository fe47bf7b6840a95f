"""Pictures in folders or archives: the first folder is the class, further ones below it are allowed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from regard.data.files import SPLITS
from regard.data.findings import Finding, counted, first_few
from regard.data.pictures.picture import Picture
from regard.data.pictures.stores import ARCHIVES, tree_at
from regard.errors import InputError

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""How the names of files end that are read."""
_LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
"""That systems leave."""
UNNAMED = "names of files and folders must be UTF-8, got {}. Name it anew, or unpack the archive with the right encoding."


def is_tree(path: Path) -> bool:
    """Is it a folder, or by its name an archive?"""
    return path.is_dir() or path.name.lower().endswith(ARCHIVES)


def read(path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]:
    """The pictures by their names, in order, and what is odd about the rest. Classes named like parts raise InputError."""
    store = tree_at(path)
    visible = {name: parts for name in sorted(store.names()) if not _is_hidden(parts := _parts(name))}
    unnamed = [Finding("error", path, None, UNNAMED.format(ascii(name))) for name in visible if not _is_text(name)]
    pictures = {name: parts for name, parts in visible.items() if _is_picture(name) and _is_text(name)}
    if not is_labelled:
        return [Picture(store, name) for name in pictures], first_few(unnamed)
    depth = 1 if not path.is_dir() and _has_one_top(pictures.values()) else 0
    labelled = [Picture(store, name, parts[depth]) for name, parts in pictures.items() if len(parts) > depth + 1]
    _refuse_parts({picture.label or "" for picture in labelled}, path)
    loose = [name for name, parts in pictures.items() if len(parts) <= depth + 1]
    return labelled, [
        *first_few(unnamed),
        *_empty_classes(visible, depth, path),
        *_ignored(visible, depth, path),
        *_loose(loose, path),
    ]


def has_classes(folder: Path) -> bool:
    """Are there pictures in folders of this one?"""
    return bool(read(folder, is_labelled=True)[0])


def has_pictures(folder: Path) -> bool:
    """Are there pictures in it, at any depth?"""
    return bool(read(folder, is_labelled=False)[0])


def _parts(name: str) -> tuple[str, ...]:
    """Of a path, which Windows may have written."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return not parts or any(part.startswith(".") or part in _LITTER for part in parts)


def _is_text(name: str) -> bool:
    """Not so where a system had another encoding for names of files than UTF-8."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _has_one_top(paths: Iterable[tuple[str, ...]]) -> bool:
    """Is all in one folder that is not the class? Loose pictures, beside it or in it, are fewer than those in its folders."""
    inside = [parts for parts in paths if len(parts) > 1]
    num_deep = sum(len(parts) > 2 for parts in inside)
    return len({parts[0] for parts in inside}) == 1 and num_deep > len(inside) - num_deep


def _refuse_parts(labels: set[str], path: Path) -> None:
    parts = {label: split for label in sorted(labels) for split, names in SPLITS.items() if label.lower() in names}
    if len(set(parts.values())) > 1:
        advice = "Name it with --data, or each" if path.is_dir() else "Unpack it, or pack each by itself and name them"
        names = ", ".join(parts)
        raise InputError(f"it must hold one part, got {names}. {advice} with --train, --dev and --test.", file=path)


def _empty_classes(visible: dict[str, tuple[str, ...]], depth: int, path: Path) -> list[Finding]:
    num_pictures: dict[str, int] = defaultdict(int)
    for name, parts in visible.items():
        if len(parts) > depth + 1 or (len(parts) == depth + 1 and name.endswith("/")):
            num_pictures[parts[depth]] += _is_picture(name)
    message = "a class folder must hold pictures, {} has none: it is no class. Put some there, or take it out."
    return first_few(
        [Finding("warning", path, None, message.format(label)) for label, number in num_pictures.items() if not number]
    )


def _ignored(visible: dict[str, tuple[str, ...]], depth: int, path: Path) -> list[Finding]:
    """Files among the pictures that are none by their names."""
    others = [
        name for name, parts in visible.items() if len(parts) > depth + 1 and not name.endswith("/") and not _is_picture(name)
    ]
    if not others:
        return []
    are = "is no picture" if len(others) == 1 else "are no pictures"
    message = f"{counted(len(others), 'file')} in class folders {are} by name, such as {others[0]}: not read."
    return [Finding("warning", path, None, f"{message} Read are {', '.join(PICTURES)}.")]


def _loose(names: list[str], path: Path) -> list[Finding]:
    if not names:
        return []
    are = "lies" if len(names) == 1 else "lie"
    message = f"{counted(len(names), 'picture')} {are} in no class folder, such as {names[0]}: not used. Put each in one."
    return [Finding("warning", path, None, message)]
