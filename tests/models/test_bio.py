"""Searches for spans, held to all sequences of tags there are."""

import itertools

import pytest
import torch

from regard.models.bio import best_spans, best_unique_spans

KINDS, LENGTH = 2, 5
NUM_TAGS = 1 + 2 * KINDS


def is_permitted(tags, unique=()):
    """O is 0, B-k is 1 + k, I-k is 1 + KINDS + k."""
    within = all(after <= KINDS or before in (after, after - KINDS) for before, after in itertools.pairwise((0, *tags)))
    return within and all(tags.count(1 + kind) <= 1 for kind in unique)


def best_of_all(scores, unique=()):
    permitted = (tags for tags in itertools.product(range(NUM_TAGS), repeat=len(scores)) if is_permitted(tags, unique))
    return list(max(permitted, key=lambda tags: float(scores[range(len(scores)), tags].sum())))


@pytest.mark.parametrize("seed", range(20))
def test_the_best_spans_are_found(seed):
    scores = torch.randn(2, LENGTH, NUM_TAGS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    is_token = torch.arange(LENGTH) < torch.tensor([[LENGTH], [3]])
    found = best_spans(scores, is_token)
    assert found[0].tolist() == best_of_all(scores[0])
    assert found[1, :3].tolist() == best_of_all(scores[1, :3])


@pytest.mark.parametrize("unique", [[], [0], [1], [0, 1]])
@pytest.mark.parametrize("seed", range(10))
def test_the_best_spans_with_each_kind_once_are_found(seed, unique):
    scores = torch.randn(LENGTH, NUM_TAGS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scores[:, 1 : 1 + KINDS] += 2  # else few would begin twice
    assert best_unique_spans(scores, unique).tolist() == best_of_all(scores, unique)
