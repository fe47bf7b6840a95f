"""Labels that look like a slip of the pen for another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import zip_longest

RATIO = 10
"""How many times as frequent a label must be for another, one letter away, to be taken for a slip."""
_SHORTEST, _LONGEST = 3, 60
"""Letters of labels that are compared; what is longer is no label but an accident, and has too many neighbours."""
_SEPARATOR = re.compile(r"[\W_]+")


def near_duplicates(counts: Counter[str]) -> list[tuple[str, str]]:
    """(slip, what was likely meant): the same but for case, spaces and hyphens, or much rarer and one letter away.

    A letter put in, left out, replaced, swapped with its neighbour, or an ending put on (PERSON for PER). A digit that differs
    (A0, A1) is no slip, nor is a label whose parts are all frequent in others (C-ARG0 beside R-ARG0). Linear in the labels.
    """
    established = _established(counts)
    sharing: dict[str, list[str]] = defaultdict(list)
    for label in sorted(filter(_is_name, counts), key=lambda label: (-counts[label], label)):
        for key in _keys(_plain(label)):
            sharing[key].append(label)
    meant: dict[str, str] = {}
    for labels in sharing.values():
        for label in labels[1:]:  # only against the most frequent, lest it be quadratic
            if _is_variant(label, labels[0]) or (label not in established and _is_slip(label, labels[0], counts)):
                meant.setdefault(label, labels[0])
    return sorted(meant.items())


def _established(counts: Counter[str]) -> set[str]:
    """Labels each part of which, if longer than a letter, is far more frequent than they are."""
    split = {label: _SEPARATOR.split(label) for label in counts}
    totals = Counter[str]()
    for label, number in counts.items():
        totals.update(dict.fromkeys(split[label], number))
    return {label for label in counts if all(len(one) == 1 or totals[one] > RATIO * counts[label] for one in split[label])}


def _is_name(label: str) -> bool:
    return len(label) <= _LONGEST


def _plain(label: str) -> str:
    return _SEPARATOR.sub("", label).casefold()


def _keys(plain: str) -> Iterator[str]:
    """Strings of which labels that are near have one in common."""
    yield plain
    shortened = {plain[:i] + plain[i + 1 :] for i in range(len(plain))} if len(plain) >= _SHORTEST else set()
    yield from shortened | {plain[:stop] for stop in range(_SHORTEST, len(plain))}


def _is_variant(one: str, other: str) -> bool:
    """Whether case, spaces and hyphens are all that differs."""
    return _plain(one) == _plain(other)


def _is_slip(rare: str, frequent: str, counts: Counter[str]) -> bool:
    one, other = _plain(rare), _plain(frequent)
    if counts[rare] * RATIO > counts[frequent] or min(len(one), len(other)) < _SHORTEST:
        return False
    return _is_one_edit(one, other) or _is_ending(rare.casefold(), frequent.casefold())


def _is_one_edit(one: str, other: str) -> bool:
    """Whether a letter was put in, left out, replaced or swapped with its neighbour; digits are not replaced."""
    short, long = sorted((one, other), key=len)
    at = next((i for i, pair in enumerate(zip_longest(short, long)) if pair[0] != pair[1]), len(long))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    is_replaced = short[at + 1 :] == long[at + 1 :] and not any(map(str.isdigit, short[at] + long[at]))
    is_swapped = short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    return is_swapped or is_replaced


def _is_ending(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) :].isalpha()
