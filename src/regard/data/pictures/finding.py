"""Where the parts of a set of pictures are."""

from __future__ import annotations

from pathlib import Path

from regard.data.files import SPLITS, Files, find_files
from regard.data.pictures.formats import reader_of
from regard.data.pictures.parquet import is_later_shard
from regard.data.pictures.tables import is_table
from regard.data.pictures.trees import has_classes, has_pictures, is_tree, read
from regard.data.stream import existing, told
from regard.errors import InputError

_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names} | {"t10k": "test"}


def find_pictures(folder: str | Path | None, given: dict[str, str | None], *, is_labelled: bool = True) -> Files:
    """The parts in `folder`, each replaced by the one named singly in `given`.

    A name begins with that of the part, and no letter follows: val/, train_1000.zip, t10k-images-idx3-ubyte.gz. A table beside
    a folder of the same name is meant. A folder without parts but with folders of pictures is all for training; where classes
    are not needed (`is_labelled` false), any with pictures is, and an archive of one part or another file of them.
    """
    found = {split: _named(Path(path)) for split, path in given.items() if path}
    for split, paths in ({} if folder is None else _inside(Path(folder))).items():
        found.setdefault(split, _the_one(paths, split, folder))
    if not found and folder is not None and _is_train(Path(folder), is_labelled):
        return Files(train=_one_part(Path(folder)))
    if not found and folder is not None and Path(folder).is_dir():
        alone = "a folder for each class with pictures in it" if is_labelled else "pictures"
        what = f"it must hold train, dev or test (folders, archives, tables), or {alone}"
        raise InputError(f"{what}; got neither. Or name parts with --train, --dev and --test.", file=folder)
    return Files(**found) if found else find_files(folder, {})


def _is_train(path: Path, is_labelled: bool) -> bool:
    """Is all of it for training?"""
    if is_labelled:
        return path.is_dir() and has_classes(path)
    return has_pictures(path) if path.is_dir() else path.is_file() and reader_of(path) is not None


def _one_part(path: Path) -> Path:
    """The same. Raises InputError where it is an archive of several parts, as reading its classes does."""
    if is_tree(path) and not path.is_dir():
        read(path, is_labelled=True)
    return path


def _named(path: Path) -> Path:
    with told(path):
        return path if path.is_dir() else existing(path)


def _inside(folder: Path) -> dict[str, list[Path]]:
    """What may be a part, by the parts."""
    with told(folder):
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        found: dict[str, list[Path]] = {}
        for path in inside:
            split = _split_of(path)
            if split and reader_of(path) and not is_later_shard(path):
                found.setdefault(split, []).append(path)
        return found


def _split_of(path: Path) -> str | None:
    """Whose name it begins with."""
    name = path.name.lower()
    starts = (one for one in _SPLIT_OF if name.startswith(one) and not name[len(one) :][:1].isalpha())
    return next((_SPLIT_OF[one] for one in starts), None)


def _the_one(paths: list[Path], split: str, folder: str | Path | None) -> Path:
    plain = [path for path in paths if path.name.split(".")[0].lower() in _SPLIT_OF] or paths
    meant = [path for path in plain if is_table(path)] or plain
    if len(meant) > 1:
        listed = ", ".join(path.name for path in meant)
        raise InputError(f"several could be {split}: {listed}. Name one with --{split} PATH.", file=folder)
    return meant[0]
