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
from regard.tasks.folder import writable
from regard.tasks.paint.features import feature_network
from regard.tasks.paint.painting import Painting
from regard.tasks.paint.request import Request
from regard.tasks.paint.statistics import Reference, likeness, reference_of


@dataclass(frozen=True)
class Originals:
    """Pictures that are known by their content."""

    digests: tuple[tuple[Any, ...], ...]
    requests: Sequence[Request] = field(compare=False)

    @classmethod
    def of(cls, requests: Sequence[Request]) -> Originals:
        """Those that requests came with."""
        known = [(one.view, one.viewer) for one in requests if one.view and one.viewer]
        keys = ((view.picture.digest, (viewer.channels, viewer.size, viewer.size)) for view, viewer in known)
        return cls(tuple(keys), requests)


def prepared(options: FeatureOptions) -> None:
    """Raise InputError where the network, or a file or a folder of statistics, cannot be used."""
    network, path = feature_network(options.network), Path(options.reference)
    if path.is_file():
        Reference.load(path, network)
    elif options.reference:
        _made(path)


def scores(options: FeatureOptions, requests: Sequence[Request], paintings: Sequence[Painting]) -> dict[str, Any]:
    """FID, KID, precision and recall by the features of a network; of a vae the mean of the bits too."""
    for request, painting in zip(requests, paintings, strict=True):
        if painting.error:
            raise InputError(painting.error, file=request.view.picture.name if request.view else request.name)
    made = [painting.picture for painting in paintings if painting.picture is not None]
    reference = _reference(options.network, options.reference, Originals.of(requests))
    is_file = Path(options.reference).is_file()
    labels = [] if is_file else [painting.label or "" for painting in paintings]
    found = likeness(feature_network(options.network), reference, made, labels)
    bits = [painting.bits_per_dimension for painting in paintings if painting.bits_per_dimension is not None]
    return found | ({"bits_per_dimension": sum(bits) / len(bits)} if bits else {})


@lru_cache(maxsize=4)
def _reference(network: str, path: str, originals: Originals) -> Reference:
    """Of real pictures, once: while training they are asked for in each pass."""
    chosen = feature_network(network)
    pictures = (request.original for request in originals.requests)
    return reference_of(chosen, pictures, _place(path, chosen.name, originals))


def _place(path: str, network: str, originals: Originals) -> str:
    """The file that is named; in a folder, one for each network and set of pictures."""
    if not path or Path(path).is_file():
        return path
    digest = blake2b(repr((network, originals.digests)).encode(), digest_size=8).hexdigest()
    return str(_made(Path(path)) / f"{digest}.safetensors")


def _made(folder: Path) -> Path:
    """A folder for statistics, new if need be; InputError where nothing can be kept in it."""
    if folder.suffix and not folder.is_dir():
        raise InputError("statistics must be a file that exists, or a folder to keep them in.", file=folder)
    return writable(folder, "statistics cannot be kept there: {}. Name another folder with --features.reference.")
