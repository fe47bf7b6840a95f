"""What may be drawn, and how often it is."""

import pytest
import torch

from regard.errors import InputError
from regard.models.options import SamplingOptions
from regard.models.sampling import block_repetition, draw, narrowed

SCORES = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])
SHARES = SCORES.softmax(1)[0]


def left(**options):
    return narrowed(SCORES, SamplingOptions(**options)).isfinite()[0].tolist()


def test_top_k_leaves_so_many():
    assert left(top_k=2) == [True, True, False, False, False]
    assert left(top_k=99) == [True] * 5


def test_top_p_leaves_the_fewest_that_have_the_share():
    assert left(top_p=float(SHARES[0]) - 1e-4) == [True, False, False, False, False]
    assert left(top_p=float(SHARES[0]) + 1e-4) == [True, True, False, False, False]
    assert left(top_p=1e-6) == [True, False, False, False, False]


def test_min_p_is_a_share_of_the_most_probable():
    assert left(min_p=float(SHARES[1] / SHARES[0]) - 1e-4) == [True, True, False, False, False]
    assert left(min_p=1.0) == [True, False, False, False, False]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_probable(temperature):
    rows = SCORES.expand(40_000, -1)
    drawn = draw(rows, [[]] * len(rows), SamplingOptions(temperature), torch.Generator().manual_seed(0))
    shares = drawn.bincount(minlength=5) / len(rows)
    assert torch.allclose(shares, (SCORES[0] / temperature).softmax(0), atol=0.01)


def test_temperature_nothing_takes_the_most_probable_and_a_seed_repeats():
    assert draw(SCORES, [[]], SamplingOptions(0.0)).tolist() == [0]
    first, again = (
        draw(SCORES.expand(50, -1), [[]] * 50, SamplingOptions(), torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert torch.equal(first, again)


@pytest.mark.parametrize("temperature", [1e-40, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_scores_cannot_be_divided_by_is_told(temperature):
    with pytest.raises(InputError, match=r"temperature must be 0, or from 0\.0001 to 10000, got"):
        SamplingOptions(temperature)


def test_at_the_least_temperature_the_most_probable_token_is_drawn():
    assert draw(SCORES * 1e3, [[]], SamplingOptions(1e-4)).tolist() == [0]


@pytest.mark.parametrize("seed", [-1, 20_000_000_000_000])
def test_a_seed_is_what_generators_take(seed):
    with pytest.raises(InputError, match=f"seed must be from 0 to 4294967295, got {seed}"):
        SamplingOptions(seed=seed)


def test_a_penalty_makes_what_was_written_less_probable():
    options = SamplingOptions(0.0, repetition_penalty=3.0)
    assert draw(SCORES, [[0]], options).tolist() == [1]
    below = torch.tensor([[-1.0, -2.0]])
    assert draw(below, [[0]], SamplingOptions(0.0, repetition_penalty=1.9)).tolist() == [0]
    assert draw(below, [[0]], options).tolist() == [1]


def test_blocked_runs():
    scores = torch.zeros(3, 4)
    block_repetition(scores, [[1, 2, 1], [1], []], 2)
    assert scores.isinf().tolist() == [[False, False, True, False], [False] * 4, [False] * 4]
    scores = torch.zeros(1, 4)
    block_repetition(scores, [[3, 0]], 1)
    assert scores.isinf().tolist() == [[True, False, False, True]]
