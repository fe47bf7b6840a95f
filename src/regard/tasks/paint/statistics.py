"""How made pictures compare with real ones, whose statistics are kept so that they are computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from regard.data.pictures import input_pictures, pixels
from regard.data.stream import told
from regard.errors import InputError
from regard.metrics.likeness import Moments, diversity, frechet_distance, kernel_distance, precision_recall
from regard.tasks.folder import write
from regard.tasks.paint.features import FeatureNetwork
from regard.tasks.paint.painting import Bytes
from regard.tasks.pictures.views import to_tensor

LEAST, MOST_ROWS = 4, 10_000
"""Pictures that anything can be said of, and features that are kept."""
PIECE = 64
"""Pictures whose features are computed at once."""
TOGETHER = 256
"""Rows whose moments are taken at once."""
PYTORCH_FID = ".npz"


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of pictures: of all the moments, and some of them themselves."""

    network: str
    """Name of the network whose features they are."""
    moments: Moments
    """Of a count of 0 where nobody knows how many there were."""
    rows: np.ndarray | None
    """(pictures, features), float32, at most 10,000; None where only the moments are known."""

    @classmethod
    def of(cls, network: FeatureNetwork, pictures: Iterable[Bytes]) -> Reference:
        """Of any number of pictures, in bounded memory; of more than 10,000 so many rows are drawn, always the same."""
        moments, rows, dice = None, list[np.ndarray](), np.random.default_rng(0)
        for features in _pieces(network.features(batch).numpy() for batch in _batches(pictures)):
            _keep(rows, features, moments.count if moments else 0, dice)
            here = Moments.of(features)
            moments = moments.merged(here) if moments else here
        if moments is None or moments.count < LEAST:
            got = moments.count if moments else 0
            raise InputError(f"how pictures are like others can be said of {LEAST} at least, got {got}. Give more.")
        return cls(network.name, moments, np.stack(rows))

    def save(self, path: Path) -> None:
        """As safetensors, whole or not at all."""
        tensors = {"mean": self.moments.mean, "covariance": self.moments.covariance, "rows": self.rows}
        kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        write(path, save(kept, {"network": self.network, "count": str(self.moments.count)}))

    @classmethod
    def load(cls, path: Path, network: FeatureNetwork) -> Reference:
        """What `save` wrote, or an .npz of pytorch-fid, which has moments only. Raises InputError where it is of another."""
        with told(path):
            found = _from_pytorch_fid(path, network) if path.suffix == PYTORCH_FID else _from_safetensors(path)
        if found.network != network.name:
            message = f"these are statistics of another network ({found.network}); the one to compare by is {network.name}."
            raise InputError(f"{message} Name another file.", file=path)
        return found


def reference_of(network: FeatureNetwork, pictures: Iterable[Bytes], path: str = "") -> Reference:
    """Statistics of real pictures: read from the file where it exists, else computed, and kept there if it has a name."""
    file = Path(path)
    if path and file.exists():
        return Reference.load(file, network)
    if path and (file.suffix == PYTORCH_FID or not file.parent.is_dir()):
        raise InputError("statistics are kept in a file, not .npz, in a folder that exists. Name another.", file=path)
    found = Reference.of(network, pictures)
    if path:
        found.save(file)
    return found


def likeness(
    network: FeatureNetwork, reference: Reference, made: Iterable[Bytes], labels: Sequence[str] = ()
) -> dict[str, Any]:
    """How like real pictures the made ones are: the distances, lower is better, and shares in per cent.

    With `labels`, the classes of both, one by one, diversity is that within classes; not where rows were left out. It is left
    out where real pictures are all alike.
    The Fréchet distance is biased upwards the more the fewer pictures there are: only those of like numbers compare.
    """
    sample, prefix = Reference.of(network, made), network.prefix
    found: dict[str, Any] = {f"{prefix}fid": frechet_distance(reference.moments, sample.moments)}
    if reference.rows is not None and sample.rows is not None:
        kernel = kernel_distance(reference.rows, sample.rows)
        found |= {f"{prefix}kid": kernel.mean, f"{prefix}kid_error": kernel.error}
        found |= precision_recall(reference.rows, sample.rows)._asdict()
        is_paired = len(labels) == len(reference.rows) == len(sample.rows)
        share = diversity(reference.rows, sample.rows, labels if is_paired else ())
        found |= {} if share is None else {"diversity_percent": share}
    counts = {"num_samples": sample.moments.count, "num_reference": reference.moments.count}
    return {**found, "features": network.name, **{name: count for name, count in counts.items() if count}}


def compare_folders(real: str | Path, made: str | Path, network: FeatureNetwork) -> dict[str, Any]:
    """`likeness` of two folders, archives or IDX files of pictures, of any sizes."""
    return likeness(network, reference_of(network, _inside(real)), _inside(made))


def _inside(source: str | Path) -> Iterator[Bytes]:
    """All pictures there, in colour."""
    return (to_tensor(pixels(picture), 3) for picture in input_pictures(str(source)))


def _batches(pictures: Iterable[Bytes]) -> Iterator[torch.Tensor]:
    """Together those of one size that follow one another, some at a time."""
    for _, alike in groupby(pictures, lambda one: one.shape):
        while piece := list(islice(alike, PIECE)):
            yield torch.stack(piece)


def _pieces(features: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Many rows at once, however few came together: moments of a few take as long as those of many."""
    held: list[np.ndarray] = []
    for rows in features:
        held.append(rows)
        if sum(map(len, held)) >= TOGETHER:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _keep(kept: list[np.ndarray], rows: np.ndarray, seen: int, dice: np.random.Generator) -> None:
    """Some of a stream, each row with the same chance; Vitter 1985, doi:10.1145/3147.3165, algorithm R."""
    for number, row in enumerate(rows, seen):
        place = number if number < MOST_ROWS else int(dice.integers(number + 1))
        if place == len(kept) < MOST_ROWS:
            kept.append(row.copy())  # a view would hold all of the batch
        elif place < MOST_ROWS:
            kept[place] = row.copy()


def _from_safetensors(path: Path) -> Reference:
    try:
        with safe_open(str(path), "numpy") as kept:
            told_of = kept.metadata() or {}
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        moments = Moments(tensors["mean"], tensors["covariance"], int(told_of["count"]))
        return Reference(told_of["network"], moments, tensors.get("rows"))
    except (SafetensorError, KeyError, ValueError):
        message = "it must hold statistics of pictures, as this program or pytorch-fid (.npz) wrote them. Name another file."
        raise InputError(message, file=path) from None


def _from_pytorch_fid(path: Path, network: FeatureNetwork) -> Reference:
    if network.prefix:
        raise InputError(f"statistics of pytorch-fid are of the FID Inception network, not {network.name}.", file=path)
    try:
        with np.load(path, allow_pickle=False) as kept:
            mean, covariance = kept["mu"].astype(np.float64), kept["sigma"].astype(np.float64)
        found = mean.shape, covariance.shape
    except (ValueError, KeyError, AttributeError, TypeError):
        found = None
    if found != ((2048,), (2048, 2048)):
        raise InputError("an .npz must hold mu and sigma of 2048 features, as pytorch-fid saves them.", file=path)
    return Reference(network.name, Moments(mean, covariance, 0), None)
