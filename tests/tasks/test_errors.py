"""Errors in words, and which are the worst."""

import torch

from regard.data.spans import Span
from regard.tasks.errors import Errors, worst
from regard.tasks.excerpt import distinct, shortened

TOKENS = ["in", "New", "York", "they", "met", "Ada"]


def test_errors_are_told_in_the_order_of_their_words():
    gold, said = [Span("PER", 5, 6), Span("LOC", 1, 3)], [Span("PER", 2, 3), Span("LOC", 0, 1)]
    errors = Errors.of(gold, said, {"PER", "LOC"}, lambda spans: torch.full((len(spans),), 0.5))
    assert errors.in_words(TOKENS) == (
        "gold: nothing; said: LOC in (spurious) · gold: LOC New York; said: PER York (both) · "
        "gold: PER Ada; said: nothing (missed)"
    )


def test_sureness_adds_up_what_was_said_and_what_was_not_thought_of():
    p = {Span("PER", 0, 1): 0.75, Span("LOC", 1, 3): 0.25, Span("ORG", 5, 6): 0.5}
    asked = []

    def probability(spans):
        asked.extend(spans)
        return torch.tensor([p[span] for span in spans])

    gold, said = [Span("LOC", 1, 3), Span("NEW", 3, 4), Span("PER", 5, 6)], [Span("PER", 0, 1), Span("ORG", 5, 6)]
    errors = Errors.of(gold, said, {"PER", "LOC", "ORG"}, probability)
    assert errors.sureness == (0.75 + 0.5, 0.75 + 1)  # a type that training never saw has no probability
    assert set(asked) == set(p)
    assert errors.facts() == {"wrong": "2 said, with probabilities that add up to 1.25; 2 missed"}


def test_the_worst_were_said_most_surely():
    sureness = [(0.2, 3.0), (0.9, 0.0), (0.0, 1.0), (0.9, 0.5)]
    assert worst([Errors([], one) for one in sureness], 3) == [3, 1, 0]


def test_long_spans_are_shortened_and_names_told_apart():
    assert shortened(["a", "b", "c", "d", "e", "f"]) == "a b c d e f"
    assert shortened(["a", "b", "c", "d", "e", "f", "g"]) == "a b c … f g"
    assert distinct(["LOC Paris", "PER Ada", "LOC Paris"]) == ["LOC Paris", "PER Ada", "LOC Paris (2)"]
