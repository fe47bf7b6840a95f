"""How readily a word is taken for part of an entity: what is chosen on dev between precision and recall.

Minkov et al. 2006, aclanthology.org/N06-2024: one number, taken off the score of O, moves a CRF from the one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf, sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.data.sentence import Sentence
from regard.data.spans import Span

SHIFTS = tuple(quarter / 4 for quarter in range(-8, 13))
"""Nats that may be taken off."""


def balance(run: Any, dev: Sequence[Sentence], beta: float) -> float:
    """Take so many nats off the model's score of O that F-beta on dev is best; returns how many.

    The least is taken that lies within one standard error of the best: what is chosen on few entities would else fit these
    alone, and a file with no entity leaves the model as it is. Reads dev once.
    """
    gold = [set(sentence.spans) for sentence in dev]
    readings = zip(*run.answers(dev, partial(run.model.shifted, shifts=SHIFTS)), strict=True)
    scores = [f_beta(_counts(gold, [set(run.encoder.spans(tags)) for tags in own]), beta) for own in readings]
    best = max(score for score, _ in scores)
    taken = min((shift for shift, (score, error) in zip(SHIFTS, scores, strict=True) if score + error >= best), key=abs)
    run.model.take_off(taken)
    return taken


def f_beta(counts: Float[Tensor, "sentences 3"], beta: float) -> tuple[float, float]:
    """(1 + β²) right / (β² wanted + given), and its standard error over sentences, by linearising the ratio."""
    right, wanted, given = counts.unbind(1)
    above, below = (1 + beta**2) * right, beta**2 * wanted + given
    size, num_sentences = below.sum().clamp(min=1), len(counts)
    score = above.sum() / size
    if num_sentences < 2:
        return float(score), inf
    return float(score), float((above - score * below).norm() / size) * sqrt(num_sentences / (num_sentences - 1))


def _counts(gold: Sequence[set[Span]], found: Sequence[set[Span]]) -> Float[Tensor, "sentences 3"]:
    """Of each sentence: entities found rightly, those that are there, those found."""
    counts = [(len(own & right), len(right), len(own)) for right, own in zip(gold, found, strict=True)]
    return torch.tensor(counts, dtype=torch.float64)
