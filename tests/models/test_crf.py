"""The CRF against all sequences written out."""

from itertools import pairwise, product

import pytest
import torch

from regard.models.crf import LinearChainCRF

TAGS, LENGTH = 3, 4
LENGTHS = (4, 3)


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
        for i, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(crf.log_partition(emissions, IS_TOKEN), torch.stack(expected))


def test_the_loss_is_the_negative_log_probability(crf, emissions):
    tags = torch.tensor([[0, 1, 2, 0], [1, 2, 2, 0]])
    expected = [
        crf.log_partition(emissions, IS_TOKEN)[i] - score(crf, emissions[i], tags[i, :length].tolist())
        for i, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(crf.loss(emissions, tags, IS_TOKEN), torch.stack(expected).mean())


def test_decoding_finds_the_best_permitted_sequence(crf, emissions):
    best = crf.decode(emissions, IS_TOKEN)
    for i, length in enumerate(LENGTHS):
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


def probabilities(crf, emissions, length):
    """Of each permitted sequence, written out."""
    sequences = list(permitted(crf, length))
    return dict(zip(sequences, torch.stack([score(crf, emissions, tags) for tags in sequences]).softmax(0), strict=True))


def test_marginals_are_sums_over_permitted_sequences(crf, emissions):
    found = crf.marginals(emissions, IS_TOKEN)
    for i, length in enumerate(LENGTHS):
        expected = torch.zeros(LENGTH, TAGS, dtype=torch.float64)
        for tags, probability in probabilities(crf, emissions[i], length).items():
            expected[range(length), tags] += probability.detach()
        torch.testing.assert_close(found[i], expected)


def test_the_n_best_are_all_permitted_sequences_from_the_best_on(crf, emissions):
    tags, log_probability = crf.n_best(emissions, IS_TOKEN, 40)
    for i, length in enumerate(LENGTHS):
        expected = sorted(probabilities(crf, emissions[i], length).items(), key=lambda pair: -pair[1])
        assert 1 < len(expected) < 40
        assert [tuple(path[:length]) for path in tags[i].tolist()[: len(expected)]] == [path for path, _ in expected]
        torch.testing.assert_close(log_probability[i, : len(expected)].exp(), torch.stack([p for _, p in expected]))
        assert (log_probability[i, len(expected) :] == -torch.inf).all()


def test_fewer_of_the_n_best_are_the_first_of_more(crf, emissions):
    (few, _), (more, _) = crf.n_best(emissions, IS_TOKEN, 3), crf.n_best(emissions, IS_TOKEN, 6)
    assert torch.equal(few[0], more[0, :3])
    assert torch.equal(few[0, 0], crf.decode(emissions, IS_TOKEN)[0])


SPANS = [(0, 0, (1,)), (0, 1, (1, 2)), (0, 0, (0, 1, 2, 0)), (1, 2, (2,)), (1, 0, (1, 1)), (0, 1, (0, 2))]


def spans_as_tensors():
    width = max(len(tags) for _, _, tags in SPANS)
    padded = torch.tensor([[*tags, *[-1] * (width - len(tags))] for _, _, tags in SPANS])
    return torch.tensor([i for i, _, _ in SPANS]), torch.tensor([start for _, start, _ in SPANS]), padded


def test_a_span_is_as_probable_as_all_sequences_that_have_it(crf, emissions):
    found = crf.span_probability(emissions, IS_TOKEN, *spans_as_tensors())
    for (i, start, wanted), probability in zip(SPANS, found, strict=True):
        every = probabilities(crf, emissions[i], LENGTHS[i]).items()
        expected = sum(p for tags, p in every if tags[start : start + len(wanted)] == wanted)
        torch.testing.assert_close(probability, torch.as_tensor(expected, dtype=torch.float64))
    assert found[-1] == 0  # the last one is forbidden


def test_a_sentence_of_one_word(crf, emissions):
    alone, is_token = emissions[:, :1], torch.ones(2, 1, dtype=torch.bool)
    assert torch.equal(crf.decode(alone, is_token), torch.zeros(2, 1, dtype=torch.long))
    assert crf.marginals(alone, is_token)[:, 0].tolist() == [[1, 0, 0], [1, 0, 0]]
    one = torch.zeros(1, dtype=torch.long)
    assert crf.span_probability(alone, is_token, one, one, torch.tensor([[0, -1]])).tolist() == [1]


def by_definition(crf, emissions, is_token):
    """log Σ exp(score) from step to step, each sum written out."""
    between, first, last = crf._widened(emissions)[1]
    alpha = first + emissions[:, 0]
    for t in range(1, emissions.shape[1]):
        onward = torch.logsumexp(alpha[:, :, None] + between, 1) + emissions[:, t]
        alpha = torch.where(is_token[:, t, None], onward, alpha)
    return torch.logsumexp(alpha + last, 1)


def value_and_gradients(function, crf, emissions, is_token):
    emissions = emissions.detach().requires_grad_()
    value = function(crf, emissions, is_token)
    return value, *torch.autograd.grad(value.sum(), (emissions, *crf.parameters()))


def random_crf(num_tags, dtype):
    """With a third of all moves forbidden."""
    torch.manual_seed(3)
    may_follow = torch.rand(num_tags, num_tags) > 1 / 3
    may_follow[0] = may_follow[:, 0] = True
    made = LinearChainCRF(may_follow, may_follow[0], may_follow[0]).to(dtype)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("spread", [1, 10, 40], ids=lambda spread: f"spread {spread}")
@pytest.mark.parametrize("num_tags", [5, 119])
def test_float32_is_as_exact_as_the_definition_in_float32(num_tags, spread):
    """Wide emissions underflow; what is lost then must be found again."""
    is_token = torch.arange(30) < torch.tensor([30, 17, 1])[:, None]
    exact = random_crf(num_tags, torch.float64)
    emissions = spread * torch.randn(3, 30, num_tags, dtype=torch.float64).float()
    truth = value_and_gradients(by_definition, exact, emissions.double(), is_token)
    plain = value_and_gradients(by_definition, exact.float(), emissions, is_token)
    fast = value_and_gradients(LinearChainCRF.log_partition, exact, emissions, is_token)
    for right, slow, found in zip(truth, plain, fast, strict=True):
        budget = 2 * (slow.double() - right).abs().max() + 1e-6 * right.abs().max()
        assert (found.double() - right).abs().max() <= budget


def test_a_tag_that_only_underflow_leads_to_is_still_found():
    """Tag 2 follows tag 1 alone, which is e^-300 as probable as tag 0, and tag 0 may not end."""
    may_follow = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1]]).bool()
    crf = LinearChainCRF(may_follow, torch.tensor([True, True, False]), torch.tensor([False, False, True]))
    emissions = torch.tensor([[[0.0, -300, 0], [0, 0, 0]]], requires_grad=True)
    is_token = torch.ones(1, 2, dtype=torch.bool)
    found = crf.log_partition(emissions, is_token)
    assert found.item() == -300
    found.backward()
    assert emissions.grad.tolist() == [[[0, 1, 0], [0, 0, 1]]]
    assert crf.marginals(emissions, is_token).tolist() == [[[0, 1, 0], [0, 0, 1]]]


def test_a_tag_that_nothing_leads_to_has_no_part():
    crf = LinearChainCRF(torch.tensor([[1, 0], [1, 0]]).bool(), torch.tensor([True, False]), torch.tensor([True, True]))
    emissions, is_token = torch.zeros(1, 3, 2, requires_grad=True), torch.ones(1, 3, dtype=torch.bool)
    crf.log_partition(emissions, is_token).backward()
    assert emissions.grad.tolist() == [[[1, 0]] * 3]


def test_a_long_sentence_loses_no_digits():
    crf = random_crf(5, torch.float64)
    emissions, is_token = 5 * torch.randn(1, 5000, 5, dtype=torch.float64), torch.ones(1, 5000, dtype=torch.bool)
    exact = crf.marginals(emissions, is_token)
    torch.testing.assert_close(crf.float().marginals(emissions.float(), is_token).double(), exact, rtol=0, atol=1e-5)


def test_padding_changes_nothing(crf, emissions):
    longer = torch.cat([emissions, 50 * torch.ones_like(emissions)], 1)
    is_token = torch.cat([IS_TOKEN, torch.zeros_like(IS_TOKEN)], 1)
    assert torch.equal(crf.log_partition(longer, is_token), crf.log_partition(emissions, IS_TOKEN))
    assert torch.equal(crf.marginals(longer, is_token)[:, :LENGTH], crf.marginals(emissions, IS_TOKEN))
    assert torch.equal(crf.n_best(longer, is_token, 5)[1], crf.n_best(emissions, IS_TOKEN, 5)[1])


def test_mixed_precision_sums_in_float32(crf, emissions):
    crf, emissions = crf.float(), emissions.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = crf.log_partition(emissions, IS_TOKEN)
    torch.testing.assert_close(found, by_definition(crf, emissions.float(), IS_TOKEN))


def test_gradients_of_a_span(crf, emissions):
    spans = spans_as_tensors()
    assert torch.autograd.gradcheck(lambda e, *_: crf.span_probability(e, IS_TOKEN, *spans), (emissions, *crf.parameters()))
