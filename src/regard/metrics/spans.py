"""Strict span precision, recall and F1: right means the same type and the same first and last token.

The same figures as conlleval, and as seqeval with mode="strict" and scheme=IOB2 on valid IOB2 tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


def score_spans(gold: Sequence[Iterable[tuple]], predicted: Sequence[Iterable[tuple]]) -> dict[str, Any]:
    """Micro averages in per cent and counts, overall and per type; spans are tuples that begin with their type."""
    right, wanted, given = Counter[str](), Counter[str](), Counter[str]()
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        gold_set, predicted_set = set(gold_spans), set(predicted_spans)
        wanted.update(span[0] for span in gold_set)
        given.update(span[0] for span in predicted_set)
        right.update(span[0] for span in gold_set & predicted_set)
    per_type = {kind: figures(right[kind], wanted[kind], given[kind]) for kind in sorted(wanted | given)}
    return {**figures(right.total(), wanted.total(), given.total()), "per_type": per_type}


def figures(right: int, wanted: int, given: int) -> dict[str, float | int]:
    """Per cent; 0 where there is nothing to divide by, as conlleval has it."""
    return {
        "f1_percent": 200 * right / (wanted + given) if wanted + given else 0.0,
        "precision_percent": 100 * right / given if given else 0.0,
        "recall_percent": 100 * right / wanted if wanted else 0.0,
        "num_gold": wanted,
        "num_predicted": given,
        "num_right": right,
    }
