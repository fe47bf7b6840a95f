"""Running text as tokens and back: line ends and spaces stay, and a text that was cut goes on as if it were not."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

from regard.data.vocabulary import UNKNOWN
from regard.models.options import TextOptions
from regard.tasks.subwords import END, NUM_SIGNS, Subwords, Tokens, fit_tokens, load_tokens

REPLACEMENT = "\ufffd"


class RunningText:
    """Tokens of text that goes on. Of words, a line's end is a token, the same that ends a text of another kind."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.is_words = tokens.kind == "words"

    @classmethod
    def fit(cls, texts: Iterable[str], options: TextOptions) -> RunningText:
        """Learn the tokens."""
        return cls(fit_tokens(texts, options.tokens, options.vocabulary))

    @classmethod
    def load(cls, kept: dict[str, Any]) -> RunningText:
        """Again, from its `to_json`."""
        return cls(load_tokens(kept))

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return self.tokens.to_json()

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        """Tokens of some of a text."""
        if isinstance(self.tokens, Subwords):
            return list(self.tokens.tokenizer.encode(text, add_special_tokens=False).ids)
        if not self.is_words:
            return self.tokens.encode([text])[0]
        first, *rest = self.tokens.encode(text.split("\n"))
        return [*first, *(token for line in rest for token in (END, *line))]

    def decode(self, tokens: Iterable[int], after: str = "") -> str:
        """The text, as it stands behind another."""
        speller = Speller(self, after)
        return "".join([*map(speller.add, tokens), speller.rest()])

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Each token as a person may read it."""
        own = self.tokens.pieces(list(tokens))
        return [_sign(token, self.is_words) if token < NUM_SIGNS else piece for token, piece in zip(tokens, own, strict=True)]

    def bytes_of(self, token: int) -> bytes:
        """Of its text in UTF-8, which may begin or end inside a character; none of a sign."""
        if token < NUM_SIGNS:
            return REPLACEMENT.encode() if token == UNKNOWN else b""
        return self.tokens.bytes_of(token)


class Speller:
    """Text out of tokens, one after the other; what is no whole character yet is held back."""

    def __init__(self, running: RunningText, after: str = "") -> None:
        self.running = running
        self.is_in_line = after[-1:] not in ("", "\n")
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The text that is known now and was not before."""
        if not self.running.is_words:
            return self.decoder.decode(self.running.bytes_of(token))
        if token == END:
            self.is_in_line = False
            return "\n"
        space = " " if self.is_in_line else ""
        self.is_in_line = True
        return space + self.running.bytes_of(token).decode()

    def rest(self) -> str:
        """What stands for a character that never became whole."""
        return self.decoder.decode(b"", final=True)


def _sign(token: int, is_words: bool) -> str:
    return REPLACEMENT if token == UNKNOWN else "\n" if is_words and token == END else "▪"
