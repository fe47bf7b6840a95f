"""Every picture is decoded once, so that none is found broken in the middle of a training."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from regard.data.findings import Finding
from regard.data.pictures.picture import Picture, pixels
from regard.errors import InputError

_RUN = 128
"""Pictures that a thread takes at once."""


def verified(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Finding]]:
    """The pictures that can be decoded, with digest and size, and errors that name the others."""
    kept: list[Picture] = []
    findings: list[Finding] = []
    runs = (pictures[start : start + _RUN] for start in range(0, len(pictures), _RUN))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for results in pool.map(_verified, runs):
            for one in results:
                if isinstance(one, Picture):
                    kept.append(one)
                else:
                    findings.append(one)
    return kept, findings


def _verified(pictures: Sequence[Picture]) -> list[Picture | Finding]:
    return list(_each(pictures))


def _each(pictures: Sequence[Picture]) -> Iterator[Picture | Finding]:
    for picture in pictures:
        try:
            values = pixels(picture)
        except InputError as error:
            yield Finding("error", Path(error.file or picture.name), error.line, error.message)
            continue
        height, width, channels = values.shape
        digest = hashlib.blake2b(f"{height} {width} {channels} ".encode(), digest_size=16)
        digest.update(values.tobytes())
        yield replace(picture, digest=digest.hexdigest(), size=(width, height), channels=channels)
