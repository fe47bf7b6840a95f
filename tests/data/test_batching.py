"""Every example once a pass, in an order that can be restored."""

import functools
import math
import operator
from itertools import islice

import pytest

from regard.data.batching import Batches

EXAMPLES = [("x" * (i % 17), i) for i in range(103)]


def batches(seed=0):
    return Batches(EXAMPLES, list, 8, length=lambda example: len(example[0]), seed=seed)


def numbers(batch):
    return [number for _, number in batch]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_each_example_comes_once_a_pass(seed):
    loader = batches(seed)
    for _ in range(3):
        seen = [number for batch in loader for number in numbers(batch)]
        assert sorted(seen) == list(range(103))
    assert len(list(loader)) == len(loader) == 13


def test_passes_differ_and_seeds_decide():
    loader = batches()
    first, second = (list(map(numbers, loader)) for _ in range(2))
    assert first != second
    assert first == list(map(numbers, batches()))
    assert first != list(map(numbers, batches(1)))


def test_a_batch_holds_like_lengths():
    for batch in batches():
        lengths = [len(text) for text, _ in batch]
        assert max(lengths) - min(lengths) <= 8


@pytest.mark.parametrize("given", [0, 5, 13, 18])
def test_a_restored_loader_goes_on_where_the_other_stopped(given):
    whole = batches()
    expected = [numbers(batch) for _ in range(3) for batch in whole]
    stopped, seen = batches(), []
    while len(seen) < given:
        seen += [numbers(batch) for batch in islice(stopped, given - len(seen))]
    restored = batches()
    restored.load_state_dict(stopped.state_dict())
    while len(seen) < len(expected):
        seen += [numbers(batch) for batch in restored]
    assert seen == expected


def test_a_pass_that_ends_without_being_exhausted_is_over():
    """Training loops that know the length ask for no batch more."""
    loader = batches()
    first = [numbers(batch) for batch in islice(iter(loader), len(loader))]
    second = [numbers(batch) for batch in islice(iter(loader), len(loader))]
    assert sorted(functools.reduce(operator.iadd, second, [])) == list(range(103))
    assert first != second


@pytest.mark.parametrize("batch_tokens", [1, 20, 200, 10_000])
def test_batches_may_be_as_long_as_they_have_tokens(batch_tokens):
    loader = Batches(EXAMPLES, list, 8, length=lambda example: len(example[0]), seed=0, batch_tokens=batch_tokens)
    total = sum(len(text) for text, _ in EXAMPLES)
    assert len(loader) == min(len(EXAMPLES), math.ceil(total / batch_tokens))
    for _ in range(3):
        found = list(loader)
        assert len(found) == len(loader)
        assert all(found)
        assert sorted(number for batch in found for number in numbers(batch)) == list(range(103))


def test_a_batch_of_short_examples_has_more_of_them():
    loader = Batches(EXAMPLES, list, 8, length=lambda example: len(example[0]), seed=0, batch_tokens=100)
    sizes = {len(batch): max(len(text) for text, _ in batch) for batch in loader}
    assert sizes[max(sizes)] < sizes[min(sizes)]
    assert all(sum(len(text) for text, _ in batch) <= 100 + 16 for batch in loader)
