"""What kinds of errors a span finder makes: a wrong border, a wrong type, both, nothing found, nothing there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

KINDS = ("right", "boundary", "type", "both", "missed", "spurious")
Pair = tuple[tuple, tuple]
_SHOWN = 5
"""Types, and mistakes, that a page names."""


def split_errors(gold: Sequence[Iterable[tuple]], predicted: Sequence[Iterable[tuple]]) -> dict[str, Any]:
    """How often each kind occurs, overall and per type; spans are (type, start, stop), `stop` not included.

    right       same type, same borders
    type        same borders, another type; `confusion` counts gold type → predicted type
    boundary    same type, overlapping, other borders
    both        overlapping, another type and other borders
    missed      a gold span, spurious a predicted one, that is none of these

    Each span is counted once: pairs are made in the order above, within a kind those first that share most words, then those
    that begin first. So right + type + boundary + both + missed are all gold spans, and with spurious instead of missed all
    predicted ones. A pair counts for its gold type.
    """
    per_type: dict[str, Counter[str]] = defaultdict(Counter)
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        for kind, wanted, given in errors_of(gold_spans, predicted_spans):
            per_type[(wanted or given)[0]][kind] += 1
            if kind == "type":
                confusion[wanted[0]][given[0]] += 1
    return {
        **_counts(sum(per_type.values(), Counter())),
        "per_type": {name: _counts(per_type[name]) for name in sorted(per_type)},
        "confusion": {name: dict(sorted(confusion[name].items())) for name in sorted(confusion)},
    }


def in_one_line(errors: Mapping[str, int]) -> str:
    """Counts of the kinds of errors as a person reads them."""
    return ", ".join(f"{errors[kind]:,} {kind}" for kind in KINDS if kind != "right")


def on_page(result: Mapping[str, Any]) -> dict[str, str]:
    """Of a score with errors, what a page says: of all, of the types that have most, and which type was read as which."""
    wrong = {name: sum(errors.values()) - errors["right"] for name, errors in result["errors_per_type"].items()}
    most = sorted(filter(wrong.get, wrong), key=wrong.__getitem__, reverse=True)[:_SHOWN]
    confused = ((number, gold, said) for gold, row in result["confusion"].items() for said, number in row.items())
    mistaken = [f"{gold} read as {said} {number:,}" for number, gold, said in sorted(confused, reverse=True)[:_SHOWN]]
    return {
        "errors": in_one_line(result["errors"]),
        **{f"errors of {name}": in_one_line(result["errors_per_type"][name]) for name in most},
        **({"types mistaken": ", ".join(mistaken)} if mistaken else {}),
    }


def errors_of(gold_spans: Iterable[tuple], predicted_spans: Iterable[tuple]) -> Iterator[tuple[str, tuple, tuple]]:
    """Of one sentence: (kind, gold span, predicted span), () where there is none; right ones among them."""
    gold, predicted = set(gold_spans), set(predicted_spans)
    for kind, fits in _PAIRED.items():
        pairs = [(wanted, given) for wanted in gold for given in predicted if fits(wanted, given)]
        for wanted, given in sorted(pairs, key=_closest_first):
            if wanted in gold and given in predicted:
                gold.remove(wanted)
                predicted.remove(given)
                yield kind, wanted, given
    yield from (("missed", wanted, ()) for wanted in gold)
    yield from (("spurious", (), given) for given in predicted)


def _shared(one: tuple, other: tuple) -> int:
    return min(one[2], other[2]) - max(one[1], other[1])


_PAIRED: dict[str, Callable[[tuple, tuple], bool]] = {
    "right": lambda one, other: one == other,
    "type": lambda one, other: one[1:] == other[1:],
    "boundary": lambda one, other: one[0] == other[0] and _shared(one, other) > 0,
    "both": lambda one, other: _shared(one, other) > 0,
}


def _closest_first(pair: Pair) -> tuple:
    wanted, given = pair
    return -_shared(wanted, given), wanted[1:], given[1:], wanted[0], given[0]


def _counts(found: Counter[str]) -> dict[str, int]:
    return {kind: found[kind] for kind in KINDS}
