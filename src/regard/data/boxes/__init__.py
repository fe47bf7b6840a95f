"""Pictures with boxes around what is in them, read from the formats people have."""

from __future__ import annotations

from pathlib import Path

from regard.data.boxes.finding import find_scenes, part_at
from regard.data.boxes.quality import check_scenes, describe_scenes
from regard.data.boxes.scene import Box, Scene
from regard.data.boxes.settling import settled
from regard.data.findings import Finding, first_few
from regard.data.pictures.verification import verified

__all__ = ["Box", "Scene", "check_scenes", "describe_scenes", "find_scenes", "read_scenes"]
_MOST_ERRORS = 20


def read_scenes(path: Path) -> tuple[list[Scene], list[Finding]]:
    """The scenes of a part whose pictures can be decoded, and what is wrong with the rest. Each is decoded once.

    A part is a file or folder that says which pictures there are, on the disk or in an archive: instances_train.json,
    ImageSets/Main/train.txt, images/train, train.csv, BCCD.zip/BCCD/ImageSets/Main/train.txt; or a folder or archive of one.
    """
    part = part_at(path)
    drafts, wrong = part.reader.read(part.source, part.name)
    pictures, broken = verified([draft.picture for draft in drafts])
    scenes, warnings = settled(drafts, {picture.key: picture for picture in pictures})
    errors = [*(one for one in wrong if one.level == "error"), *broken]
    if not scenes and not errors:
        errors = [Finding("error", path, None, "it must hold pictures, got none.")]
    return scenes, [*first_few(errors, _MOST_ERRORS), *(one for one in wrong if one.level == "warning"), *warnings]
