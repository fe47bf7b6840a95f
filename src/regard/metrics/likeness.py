"""How like real pictures made ones are, by their features: Fréchet and kernel distance, precision, recall and diversity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from regard.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST = 4000
"""Pictures of a kind that neighbours are sought among."""
BLOCK = 500
_SAME = 1e-12
"""A squared distance is 0 where it is less than this share of the squared lengths: the difference is rounding."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of features, in float64."""

    mean: np.ndarray
    covariance: np.ndarray
    """Divided by count - 1; zeros where there is one row only."""
    count: int

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Of (pictures, features), of which there must be one at least."""
        import numpy as np

        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(0)
        centred = rows - mean
        return cls(mean, centred.T @ centred / max(1, len(rows) - 1), len(rows))

    def merged(self, other: Moments) -> Moments:
        """Those of both together; Chan et al. 1983, doi:10.1080/00031305.1983.10483115, eq. 2.1."""
        import numpy as np

        count, shift = self.count + other.count, other.mean - self.mean
        scatter = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        scatter += np.outer(shift, shift) * (self.count * other.count / count)
        return Moments(self.mean + shift * (other.count / count), scatter / (count - 1), count)

    @cached_property
    def root(self) -> np.ndarray:
        """A matrix whose product with its own transpose is the covariance, without the columns that are 0 but for rounding."""
        import numpy as np

        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
        return vectors[:, kept] * np.sqrt(values[kept])


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁C₂)^½); Heusel et al. 2017, arXiv:1706.08500, eq. 6.

    The trace of the root is the sum of the singular values of R₁ᵀR₂, where RRᵀ = C. No root of the product is taken, which
    is what fails where a covariance is not of full rank, as that of fewer pictures than features never is.
    """
    import numpy as np

    apart = one.mean - other.mean
    shared = np.linalg.svd(one.root.T @ other.root, compute_uv=False).sum()
    return float(apart @ apart + one.covariance.trace() + other.covariance.trace() - 2 * shared)


class KernelDistance(NamedTuple):
    """The mean over subsets, and its standard error as an estimate of what endless pictures would give."""

    mean: float
    error: float


def kernel_distance(
    real: np.ndarray, made: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy under (x·y / d + 1)³, unbiased; Bińkowski et al. 2018, arXiv:1801.01401, section 4.

    Each subset, of two at least, is drawn without repetition from both, and has at most half of either.
    """
    import numpy as np

    size = min(subset_size, len(real) // 2, len(made) // 2)
    if size < 2:
        raise InputError(f"a kernel distance needs 4 real and 4 made pictures at least, got {len(real)} and {len(made)}.")
    dice = np.random.default_rng(seed)
    found = [
        discrepancy(real[dice.choice(len(real), size, False)], made[dice.choice(len(made), size, False)])
        for _ in range(subsets)
    ]
    # Subsets of the same pictures agree more than those of fresh ones would: their spread alone would be too sure of itself.
    overlap = size / (min(len(real), len(made)) - size)
    return KernelDistance(float(np.mean(found)), float(np.std(found, ddof=1) * (1 / subsets + overlap) ** 0.5))


def discrepancy(real: np.ndarray, made: np.ndarray) -> float:
    """The unbiased estimate from two samples, which may be below 0; Gretton et al. 2012, JMLR 13, eq. 3."""
    import numpy as np

    x, y = np.asarray(real, dtype=np.float64), np.asarray(made, dtype=np.float64)
    within = sum((kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1)) for kernel in (_cubic(x, x), _cubic(y, y)))
    return float(within - 2 * _cubic(x, y).mean())


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


class PrecisionRecall(NamedTuple):
    """Shares in per cent: of made pictures that are like real ones, and of real ones that some made one is like."""

    precision_percent: float
    recall_percent: float


def precision_recall(real: np.ndarray, made: np.ndarray, *, neighbours: int = 3) -> PrecisionRecall:
    """A picture is like a set where it is as near to one of it as the k-th nearest other of the set is.

    Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1-2. Of more than 4,000 of a kind so many are drawn, always the same; both
    figures rise with the number of pictures, so that only those of like numbers compare.
    """
    if min(len(real), len(made)) <= neighbours:
        least = neighbours + 1
        raise InputError(f"precision needs {least} real and {least} made pictures at least, got {len(real)} and {len(made)}.")
    real, made = _drawn(real), _drawn(made)
    return PrecisionRecall(_share_inside(made, real, neighbours), _share_inside(real, made, neighbours))


def diversity(real: np.ndarray, made: np.ndarray, labels: Sequence[str] = ()) -> float | None:
    """The mean distance of two made pictures, in per cent of that of two real ones; near 0 where all made ones are alike.

    With `labels`, the classes of both, one by one, two of a class are meant; where no class has two, any two. None where real
    ones are all alike, or there is one only. Pictures are drawn as for `precision_recall`.
    """
    import numpy as np

    pairs = [label for label, count in Counter(labels).items() if count > 1]
    owns = [np.asarray(labels) == label for label in pairs] or [slice(None)]
    among_real, among_made = (
        np.average([_mean_distance(_drawn(rows[own])) for own in owns], weights=[len(rows[own]) for own in owns])
        for rows in (real, made)
    )
    return float(100 * among_made / among_real) if among_real else None


def _drawn(rows: np.ndarray) -> np.ndarray:
    """In float64, `MOST` at most."""
    import numpy as np

    rows = np.asarray(rows, dtype=np.float64)
    return rows if len(rows) <= MOST else rows[np.random.default_rng(0).choice(len(rows), MOST, False)]


def _share_inside(rows: np.ndarray, others: np.ndarray, neighbours: int) -> float:
    """Of rows, the share in per cent that lie as near to one of the others as its own k-th neighbour does."""
    import numpy as np

    # place 0 of the nearest is the row itself
    reach = np.concatenate([np.partition(one, neighbours, 1)[:, neighbours] for one in _squared_distances(others, others)])
    inside = np.concatenate([(one <= reach).any(1) for one in _squared_distances(rows, others)])
    return 100 * float(inside.mean())


def _mean_distance(rows: np.ndarray) -> float:
    """Of two different ones."""
    import numpy as np

    total = sum(float(np.sqrt(one).sum()) for one in _squared_distances(rows, rows))
    return total / max(1, len(rows) * (len(rows) - 1))


def _squared_distances(rows: np.ndarray, others: np.ndarray) -> Iterator[np.ndarray]:
    """From some rows at a time to all others."""
    lengths = (others**2).sum(1)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        both = (block**2).sum(1)[:, None] + lengths
        found = both - 2 * block @ others.T
        found[found < _SAME * both] = 0
        yield found
