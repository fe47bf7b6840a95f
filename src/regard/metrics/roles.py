"""Precision, recall and F1 of semantic roles, as srl-eval.pl of CoNLL-2005 counts them, and of predicates and senses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from regard.metrics.spans import figures

PREDICATE, CONTINUATION = "V", "C-"
Argument = tuple[str, tuple[tuple[int, int], ...]]
"""Its label and its parts [start, stop): several where C- continues it."""
_RULE = "-" * 60


class Proposition(Protocol):
    """A predicate's token, and spans (label, start, stop); a predicate of one token needs no V among them."""

    @property
    def predicate(self) -> int: ...
    @property
    def sense(self) -> str | None: ...
    @property
    def arguments(self) -> Sequence[tuple[str, int, int]]: ...


Sentences = Sequence[Iterable[Proposition]]


def score_roles(gold: Sentences, predicted: Sentences) -> dict[str, Any]:
    """Micro averages in per cent and counts, overall, per label and for the predicate itself, which the total leaves out.

    An argument is right where label and all parts are. Propositions are matched by their predicate's token: one that was not
    predicted misses all its arguments, one that is not in gold is passed over. Perfect ones miss nothing and add nothing.
    """
    counts = right, wanted, given = Counter[str](), Counter[str](), Counter[str]()
    num_propositions = num_perfect = 0
    for wanted_arguments, given_arguments in _pairs(gold, predicted):
        wanted.update(label for label, _ in wanted_arguments)
        given.update(label for label, _ in given_arguments)
        right.update(label for label, _ in wanted_arguments & given_arguments)
        num_propositions += 1
        num_perfect += all(label == PREDICATE for label, _ in wanted_arguments ^ given_arguments)
    predicate_span = figures(*(count.pop(PREDICATE, 0) for count in counts))
    return {
        **figures(*(count.total() for count in counts)),
        "perfect_percent": _percent(num_perfect, num_propositions),
        "num_sentences": len(gold),
        "num_propositions": num_propositions,
        "per_type": {label: figures(*(count[label] for count in counts)) for label in sorted(wanted | given)},
        "predicate_span": predicate_span,
    }


def score_predicates(gold: Sentences, predicted: Sentences) -> dict[str, float]:
    """In per cent: F1 of the predicates' tokens, and how many of gold's known senses were found at their token."""
    right = wanted = given = num_senses = num_right_senses = 0
    for gold_sentence, predicted_sentence in zip(gold, predicted, strict=True):
        gold_senses, senses = ({one.predicate: one.sense for one in some} for some in (gold_sentence, predicted_sentence))
        right, wanted, given = right + len(gold_senses.keys() & senses), wanted + len(gold_senses), given + len(senses)
        known = {token: sense for token, sense in gold_senses.items() if sense is not None}
        num_senses += len(known)
        num_right_senses += sum(senses.get(token) == sense for token, sense in known.items())
    scores = figures(right, wanted, given)
    return {
        **{f"predicate_{name}_percent": scores[f"{name}_percent"] for name in ("f1", "precision", "recall")},
        "sense_accuracy_percent": _percent(num_right_senses, num_senses),
    }


def format_table(result: dict[str, Any]) -> list[str]:
    """The lines that srl-eval.pl prints, from what `score_roles` gives."""
    heads = ("corr.", "excess", "missed", "prec.", "rec.", "F1")
    return [
        f"Number of Sentences    :      {result['num_sentences']:6d}",
        f"Number of Propositions :      {result['num_propositions']:6d}",
        f"Percentage of perfect props : {result['perfect_percent']:6.2f}",
        "",
        "{:>10}   {:>6}  {:>6}  {:>6}   {:>6}  {:>6}  {:>6}".format("", *heads),
        _RULE,
        _row("Overall", result),
        "-" * 10,
        *(_row(label, row) for label, row in result["per_type"].items()),
        _RULE,
        *([_row(PREDICATE, result["predicate_span"])] if result["num_propositions"] else []),
        _RULE,
    ]


def _row(label: str, row: dict[str, Any]) -> str:
    right = row["num_right"]
    counts = f"{right:6d}  {row['num_predicted'] - right:6d}  {row['num_gold'] - right:6d}"
    rates = f"{row['precision_percent']:6.2f}  {row['recall_percent']:6.2f}  {row['f1_percent']:6.2f}"
    return f"{label:>10}   {counts}   {rates}"


def _pairs(gold: Sentences, predicted: Sentences) -> Iterator[tuple[set[Argument], set[Argument]]]:
    """The arguments of each gold proposition, and those predicted for it."""
    for gold_sentence, predicted_sentence in zip(gold, predicted, strict=True):
        offered = {one.predicate: one for one in predicted_sentence}
        for proposition in gold_sentence:
            found = offered.get(proposition.predicate)
            yield _joined(proposition), _joined(found) if found else set()


def _joined(proposition: Proposition) -> set[Argument]:
    """Arguments with each C-X joined to the last X before it; a C-X that has none is an X."""
    arguments: list[tuple[str, list[tuple[int, int]]]] = []
    last: dict[str, list[tuple[int, int]]] = {}
    for label, start, stop in sorted(_with_predicate(proposition), key=lambda span: (span[1], -span[2])):
        continued = label.removeprefix(CONTINUATION)
        if label != continued and continued in last:
            last[continued].append((start, stop))
        else:
            last[continued] = [(start, stop)]
            arguments.append((continued, last[continued]))
    return {(label, tuple(parts)) for label, parts in arguments}


def _with_predicate(proposition: Proposition) -> Iterator[tuple[str, int, int]]:
    yield from proposition.arguments
    own, token = (PREDICATE, CONTINUATION + PREDICATE), proposition.predicate
    if not any(label in own and start <= token < stop for label, start, stop in proposition.arguments):
        yield PREDICATE, token, token + 1


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
