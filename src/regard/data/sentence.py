"""What a line, a block or a record of a data file says: words, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass

from regard.data.spans import Span, spans_of


@dataclass(frozen=True)
class Sentence:
    """Tokens, and their IOB2 tags where they are known."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    line: int | None = None
    """Line of the first token in its file."""
    text: str | None = None
    """What the tokens were cut from, where there is such a text."""
    offsets: tuple[tuple[int, int], ...] | None = None
    """[start, stop) of each token in `text`, in characters."""

    @property
    def spans(self) -> list[Span]:
        """The entities."""
        return spans_of(self.tags or ())


@dataclass(frozen=True)
class Proposition:
    """A predicate and its arguments."""

    predicate: int
    """Its token; the first one where it is discontinuous."""
    sense: str | None = None
    """Its roleset, such as "nominate.01", where it is known."""
    arguments: tuple[Span, ...] = ()
    """In order of their first token. C- continues an argument, R- refers to one; C-V is the rest of the predicate, and there is
    no V for its first token."""


@dataclass(frozen=True)
class RoleSentence:
    """Tokens, and their predicates with arguments where they are known."""

    tokens: tuple[str, ...]
    propositions: tuple[Proposition, ...] | None = None
    lemmas: tuple[str, ...] | None = None
    line: int | None = None
    """Line of the first token in its file."""
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] | None = None
    """As in `Sentence`."""
