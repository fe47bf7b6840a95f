"""Errors of a model that finds spans: how sure it was of them, which are the worst, and a picture of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from regard.data.spans import Span
from regard.metrics.errors import errors_of
from regard.models.model import Batch
from regard.tasks.excerpt import shortened
from regard.tasks.folder import Run
from regard.viewer.report import Picture

PIECE = 512
"""Examples whose scores are held at once."""


class Errors(NamedTuple):
    """What is wrong in one prediction."""

    wrong: list[tuple[str, tuple, tuple]]
    """(kind, gold span, predicted span), () where there is none; in the order of their words."""
    sureness: tuple[float, float]
    """The probabilities of the wrong spans that were said, added up; and 1 − p of those that were missed, added up."""

    @classmethod
    def of(
        cls, gold: Iterable[Span], said: Iterable[Span], types: Collection[str], probability: Callable[[list], Tensor]
    ) -> Errors:
        """`probability` gives that of each of some spans of these types; of others it is 0."""
        wrong = sorted((one for one in errors_of(gold, said) if one[0] != "right"), key=_place)
        known = [span for _, wanted, given in wrong if (span := given or wanted)[0] in types]
        p = dict(zip(known, probability(known).tolist(), strict=True)) if known else {}
        of_said = sum(p.get(given, 0.0) for _, _, given in wrong if given)
        return cls(wrong, (of_said, sum(1 - p.get(wanted, 0.0) for _, wanted, given in wrong if not given)))

    def in_words(self, tokens: Sequence[str]) -> str:
        """Each error, such as: gold: LOC New York; said: PER York (both)."""
        return " · ".join(
            f"gold: {_named(tokens, wanted)}; said: {_named(tokens, given)} ({kind})" for kind, wanted, given in self.wrong
        )

    def facts(self) -> dict[str, str]:
        """Lines for a picture."""
        num_said = sum(bool(given) for _, _, given in self.wrong)
        said = f"{num_said} said, with probabilities that add up to {self.sureness[0]:.2f}"
        return {"wrong": f"{said}; {len(self.wrong) - num_said} missed"}


def in_pieces(run: Run, examples: Sequence[Any], ask: Callable[[Batch], list[Any]]) -> Iterator[Any]:
    """`Run.answers`, of which no more than some hundred are held at once."""
    for start in range(0, len(examples), PIECE):
        yield from run.answers(examples[start : start + PIECE], ask)


def worst(errors: Sequence[Errors], most: int) -> list[int]:
    """Places of those that the model was most sure of, what it said before what it missed."""
    return sorted(range(len(errors)), key=lambda place: errors[place].sureness, reverse=True)[:most]


def picture_of_errors(picture: Picture, errors: Errors, gold: Sequence[str], subject: str = "") -> Picture:
    """A picture of a wrong prediction with a note of its errors; where labels are not those of `gold`, both are shown."""
    labels = [said if said == right else f"{said} ✗ {right}" for said, right in zip(picture.labels, gold, strict=True)]
    extras = replace(picture.extras, facts={**errors.facts(), **picture.extras.facts})
    return replace(picture, note=subject + errors.in_words(picture.keys), labels=labels, extras=extras)


def _named(tokens: Sequence[str], span: tuple) -> str:
    return f"{span[0]} {shortened(tokens[span[1] : span[2]])}" if span else "nothing"


def _place(error: tuple[str, tuple, tuple]) -> tuple:
    _, wanted, given = error
    return (wanted or given)[1:]
