"""How like real pictures the painted ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from regard.errors import InputError
from regard.models.options import FeatureOptions
from regard.tasks.folder import create
from regard.tasks.paint.features import feature_network
from regard.tasks.paint.painting import Bytes, Painting
from regard.tasks.paint.request import Request
from regard.tasks.paint.statistics import Reference, likeness, reference_of


@dataclass(frozen=True)
class Originals:
    """Pictures that are known by their content."""

    digests: tuple[tuple[Any, ...], ...]
    pictures: Sequence[Bytes] = field(compare=False)

    @classmethod
    def of(cls, requests: Sequence[Request]) -> Originals:
        """Those that requests came with."""
        views = [request.view for request in requests if request.view is not None and request.view.values is not None]
        pictures = [view.values for view in views if view.values is not None]
        shapes = [tuple(picture.shape) for picture in pictures]
        return cls(tuple(zip((view.picture.digest for view in views), shapes, strict=True)), pictures)


def scores(options: FeatureOptions, requests: Sequence[Request], paintings: Sequence[Painting]) -> dict[str, Any]:
    """FID, KID, precision and recall by the features of a network; of a vae the mean of the bits too."""
    for request, painting in zip(requests, paintings, strict=True):
        if painting.error:
            raise InputError(painting.error, file=request.name)
    made = [painting.picture for painting in paintings if painting.picture is not None]
    reference = _reference(options.network, options.reference, Originals.of(requests))
    found = likeness(feature_network(options.network), reference, made)
    bits = [painting.bits_per_dimension for painting in paintings if painting.bits_per_dimension is not None]
    return found | ({"bits_per_dimension": sum(bits) / len(bits)} if bits else {})


@lru_cache(maxsize=4)
def _reference(network: str, path: str, originals: Originals) -> Reference:
    """Of real pictures, once: while training they are asked for in each pass."""
    chosen = feature_network(network)
    return reference_of(chosen, originals.pictures, _place(path, chosen.name, originals))


def _place(path: str, network: str, originals: Originals) -> str:
    """The file that is named; in a folder, one for each network and set of pictures."""
    folder = Path(path)
    if not path or folder.is_file():
        return path
    if folder.suffix:
        raise InputError("statistics must be a file that exists, or a folder to keep them in.", file=folder)
    digest = blake2b(repr((network, originals.digests)).encode(), digest_size=8).hexdigest()
    return str(create(folder, "") / f"{digest}.safetensors")
