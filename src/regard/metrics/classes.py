"""How well pictures were classified: top-1 and top-5, each class, confusions, and how far probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from regard.metrics.spans import figures

if TYPE_CHECKING:
    import numpy as np

BINS = 15
"""Of confidence; Guo et al. 2017, arXiv:1706.04599, section 4."""


def score_classes(truth: Sequence[int], probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Figures in per cent from the numbers of the right classes and (pictures, classes) of probabilities.

    A row of zeros is a picture that nothing was said of: it is wrong. `confusion` counts, of each right class a row, what was
    said; top-5 is that of as many classes as there are where they are fewer.
    """
    import numpy as np

    right, shares = np.asarray(truth, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    said = shares.argmax(1) if len(shares) else np.zeros(0, dtype=np.int64)
    of_right = shares[np.arange(len(right)), right]
    is_said = shares.any(1)
    # as many classes are before the right one as are more probable, or as probable with a lower number
    before = (shares > of_right[:, None]).sum(1) + (
        (shares == of_right[:, None]) & (np.arange(len(names)) < right[:, None])
    ).sum(1)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (right[is_said], said[is_said]), 1)
    wanted = np.bincount(right, minlength=len(names))
    per_class = {
        name: figures(int(counts[place, place]), int(wanted[place]), int(counts[:, place].sum()))
        for place, name in enumerate(names)
    }
    return {
        "top1_percent": _percent((before < 1) & is_said),
        "top5_percent": _percent((before < 5) & is_said),
        "mean_class_recall_percent": _mean([one["recall_percent"] for one in per_class.values() if one["num_gold"]]),
        "calibration_error_percent": 100 * calibration_error(shares.max(1), (before < 1) & is_said) if len(shares) else 0.0,
        "num_pictures": len(right),
        "per_class": per_class,
        "confusion": {"classes": list(names), "counts": counts.tolist()},
    }


def calibration_error(confidences: np.ndarray, is_right: np.ndarray) -> float:
    """Mean distance between confidence and share of right answers, over bins of like confidence; Guo et al. 2017, eq. 3."""
    import numpy as np

    bins = np.minimum((np.asarray(confidences) * BINS).astype(np.int64), BINS - 1)
    sums = np.bincount(bins, confidences - is_right.astype(np.float64), BINS)
    return float(np.abs(sums).sum() / len(bins))


def _percent(is_right: np.ndarray) -> float:
    return 100 * float(is_right.mean()) if len(is_right) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
