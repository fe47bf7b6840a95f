"""The CRF against all sequences written out."""

from itertools import pairwise, product

import pytest
import torch

from regard.models.crf import LinearChainCRF

TAGS, LENGTH = 3, 4


@pytest.fixture
def crf():
    torch.manual_seed(0)
    may_follow = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1]]).bool()
    made = LinearChainCRF(may_follow, torch.tensor([True, True, False]), torch.tensor([True, False, True])).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


@pytest.fixture
def emissions():
    torch.manual_seed(1)
    return torch.randn(2, LENGTH, TAGS, dtype=torch.float64, requires_grad=True)


IS_TOKEN = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool()


def permitted(crf, length):
    for tags in product(range(TAGS), repeat=length):
        moves = all(crf.may_follow[a, b] for a, b in pairwise(tags))
        if moves and crf.may_start[tags[0]] and crf.may_end[tags[-1]]:
            yield tags


def score(crf, emissions, tags):
    total = crf.first[tags[0]] + crf.last[tags[-1]] + sum(emissions[t, tag] for t, tag in enumerate(tags))
    return total + sum(crf.between[a, b] for a, b in pairwise(tags))


def test_the_partition_is_the_sum_over_permitted_sequences(crf, emissions):
    expected = [
        torch.logsumexp(torch.stack([score(crf, emissions[i], tags) for tags in permitted(crf, length)]), 0)
        for i, length in enumerate((4, 3))
    ]
    torch.testing.assert_close(crf.log_partition(emissions, IS_TOKEN), torch.stack(expected))


def test_the_loss_is_the_negative_log_probability(crf, emissions):
    tags = torch.tensor([[0, 1, 2, 0], [1, 2, 2, 0]])
    expected = [
        crf.log_partition(emissions, IS_TOKEN)[i] - score(crf, emissions[i], tags[i, :length].tolist())
        for i, length in enumerate((4, 3))
    ]
    torch.testing.assert_close(crf.loss(emissions, tags, IS_TOKEN), torch.stack(expected).mean())


def test_decoding_finds_the_best_permitted_sequence(crf, emissions):
    best = crf.decode(emissions, IS_TOKEN)
    for i, length in enumerate((4, 3)):
        expected = max(permitted(crf, length), key=lambda tags, i=i: score(crf, emissions[i], tags))
        assert tuple(best[i, :length].tolist()) == expected


def test_what_is_forbidden_is_never_decoded_however_strong(crf):
    loud = torch.zeros(1, LENGTH, TAGS, dtype=torch.float64)
    loud[..., 2] = 100
    first = crf.decode(loud, torch.ones(1, LENGTH, dtype=torch.bool))[0, 0]
    assert crf.may_start[first]


def test_gradients(crf, emissions):
    tags = torch.tensor([[0, 1, 2, 0], [1, 2, 2, 0]])
    assert torch.autograd.gradcheck(lambda e, *_: crf.loss(e, tags, IS_TOKEN), (emissions, *crf.parameters()))
