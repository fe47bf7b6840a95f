"""Beam search against all sequences there are, and against the most probable next token."""

import itertools

import pytest
import torch

from regard.models.options import SearchOptions
from regard.models.search import Start, Writing, beam_search, greedy, largest, length_penalty

END, VOCABULARY = 3, 6


class Table(Writing):
    """Scores that depend on the sentence and the last two tokens; checks that rows stay with their sentences."""

    def __init__(self, num_sentences, seed=0):
        generator = torch.Generator().manual_seed(seed)
        shape = (num_sentences, VOCABULARY, VOCABULARY, VOCABULARY)
        self.table = torch.randn(shape, generator=generator, dtype=torch.float64) * 2
        self.sentences = torch.arange(num_sentences)
        self.rows = torch.zeros(num_sentences, 0, dtype=torch.long)
        self.num_sentences = num_sentences

    def advance(self, tokens):
        self.rows = torch.cat([self.rows, tokens], 1)
        each = self.sentences.repeat_interleave(len(self.rows) // len(self.sentences))
        before = self.rows[:, -2] if self.rows.shape[1] > 1 else torch.zeros(len(self.rows), dtype=torch.long)
        return self.table[each, before, self.rows[:, -1]]

    def reorder(self, rows):
        self.rows = self.rows[rows]

    def keep(self, sentences):
        self.sentences = self.sentences[sentences]

    def log_probability(self, sentence, tokens, start=(2,)):
        before, last, total = ([0, *start])[-2], start[-1], 0.0
        for token in tokens:
            total += float(self.table[sentence, before, last].log_softmax(0)[token])
            before, last = last, token
        return total


def start(num_sentences, limits, begun=(2,)):
    limits = torch.tensor(limits) if isinstance(limits, list) else torch.full((num_sentences,), limits)
    return Start(torch.tensor([list(begun)] * num_sentences), limits)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_beam_as_wide_as_all_sequences_finds_the_best(power):
    table = Table(3)
    found = beam_search(table, start(3, 4), END, SearchOptions(beam=700, length_penalty=power))
    others = [token for token in range(VOCABULARY) if token != END]
    for sentence, own in enumerate(found):
        whole = [[*body, END] for length in range(4) for body in itertools.product(others, repeat=length)]
        whole += [list(body) for body in itertools.product(others, repeat=4)]
        scores = {
            tuple(tokens): table.log_probability(sentence, tokens) / length_penalty(len(tokens), power) for tokens in whole
        }
        best = max(scores, key=scores.get)
        assert own[0].tokens == [token for token in best if token != END]
        assert own[0].score == pytest.approx(scores[best], abs=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_is_greedy(seed):
    searched = beam_search(Table(5, seed), start(5, [1, 3, 7, 2, 9]), END, SearchOptions(beam=1))
    taken = greedy(Table(5, seed), start(5, [1, 3, 7, 2, 9]), END)
    assert [own[0].tokens for own in searched] == taken


@pytest.mark.parametrize("beam", [2, 5, 12])
def test_hypotheses_are_sorted_and_unique_and_their_scores_are_true(beam):
    table = Table(4, 3)
    for sentence, own in enumerate(beam_search(table, start(4, 6), END, SearchOptions(beam=beam))):
        assert len(own) == beam
        assert [one.score for one in own] == sorted((one.score for one in own), reverse=True)
        assert len({tuple(one.tokens) for one in own}) == beam
        for tokens, score, total in own:
            ended = tokens if len(tokens) == 6 else [*tokens, END]
            assert total == pytest.approx(table.log_probability(sentence, ended), abs=1e-4)
            assert score == pytest.approx(total / length_penalty(len(ended), 1.0), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_batch_does_not_change_what_is_found(beam):
    options = SearchOptions(beam=beam)
    together = beam_search(Table(6, 1), start(6, [2, 9, 4, 9, 1, 6]), END, options)
    for sentence, limit in enumerate([2, 9, 4, 9, 1, 6]):
        table = Table(6, 1)
        table.sentences = torch.tensor([sentence])
        table.rows = torch.zeros(1, 0, dtype=torch.long)
        assert beam_search(table, start(1, limit), END, options)[0] == together[sentence]


def test_what_is_begun_stands_before_what_is_found():
    table = Table(2, 5)
    found = beam_search(table, start(2, 5, begun=(2, 4, 1)), END, SearchOptions(beam=3, length_penalty=0.0))
    for sentence, own in enumerate(found):
        ended = own[0].tokens if len(own[0].tokens) == 5 else [*own[0].tokens, END]
        assert own[0].score == pytest.approx(table.log_probability(sentence, ended, start=(2, 4, 1)), abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_run_stands_twice_where_that_is_blocked(size):
    found = beam_search(Table(8, 2), start(8, 12, begun=(2, 4)), END, SearchOptions(beam=4, repetition_block=size))
    for sentence, own in enumerate(found):
        for tokens, _, total in own:
            ended = tokens if len(tokens) == 12 else [*tokens, END]
            assert total == pytest.approx(Table(8, 2).log_probability(sentence, ended, start=(2, 4)), abs=1e-4)
            written = [4, *tokens]
            runs = [tuple(written[at : at + size]) for at in range(len(written) - size + 1)]
            assert len(runs) == len(set(runs))


def test_longer_answers_win_with_a_higher_penalty():
    lengths = [
        sum(len(own[0].tokens) for own in beam_search(Table(20, 9), start(20, 12), END, SearchOptions(6, power)))
        for power in (0.0, 2.0)
    ]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("columns", [40, 64, 1280, 8000, 8011])
def test_the_largest_by_blocks_are_the_largest(columns):
    x = torch.randn(7, columns, generator=torch.Generator().manual_seed(0)).double()
    best, places = largest(x, 10)
    expected = x.topk(10)
    assert torch.equal(best, expected.values)
    assert torch.equal(places, expected.indices)
    assert torch.equal(x.gather(1, places), best)


@pytest.mark.parametrize("beam", [1, 3])
def test_what_may_never_be_written_is_not(beam):
    """The others have the probabilities of a model that does not know it."""
    begun = start(4, 5)
    never = Start(begun.tokens, begun.max_lengths, never=(0, 4))
    options = SearchOptions(beam=beam, length_penalty=0.0)

    def without():
        writing = Table(4)
        writing.table[..., [0, 4]] = -torch.inf
        return writing

    found = beam_search(Table(4), never, END, options)
    assert all({0, 4}.isdisjoint(one.tokens) for hypotheses in found for one in hypotheses)
    assert found == beam_search(without(), begun, END, options)
    assert greedy(Table(4), never, END) == greedy(without(), begun, END)
