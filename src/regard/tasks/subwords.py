"""Text as tokens and back, without loss: pieces of words, characters or bytes; the trained parts are of `tokenizers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from regard.data.vocabulary import UNKNOWN, Vocabulary

PADDING, START, END = 0, 2, 3
"""Of every kind; 1 stands for what a vocabulary of characters or words does not know."""
SIGNS = ("‹padding›", "‹unknown›", "‹start›", "‹end›")
"""Names that no text can spell: U+2039 is none of the characters that stand for bytes."""
NUM_SIGNS = len(SIGNS)
NUM_NAMED = 8
Kind = Literal["bpe", "unigram", "characters", "bytes", "words"]


def is_text(token: int) -> bool:
    """Does it stand for some of a text, be it unknown?"""
    return token == UNKNOWN or token >= NUM_SIGNS


class Tokens(Protocol):
    """How a text is cut; what it cuts, it puts together again."""

    kind: Kind

    def __len__(self) -> int:
        """How many different tokens there are, the signs included."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, without start and end."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; signs are left out."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Each token as a person may read it."""

    def bytes_of(self, token: int) -> bytes:
        """What one that is no sign stands for, in UTF-8; it may begin or end inside a character."""

    def to_json(self) -> dict[str, Any]:
        """All it knows, its kind included."""


def fit_tokens(texts: Iterable[str], kind: Kind, size: int) -> Tokens:
    """Learn tokens of a kind; `size` is how many there are at most, of those whose number is free to choose."""
    if kind == "bytes":
        return Bytes()
    if kind == "characters":
        return Characters(Vocabulary.counted(char for text in texts for char in text).items)
    if kind == "words":
        counts = Counter(word for text in texts for word in text.split())
        return Words([word for word, _ in counts.most_common(size - NUM_SIGNS)])
    return Subwords.fit(texts, kind, size)


def unknown_in(tokens: Tokens, text: str) -> list[str]:
    """The characters or words of a text that are no tokens, each once."""
    if not isinstance(tokens, Characters):
        return []
    return [part for part in dict.fromkeys(tokens.cut(text)) if part not in tokens.numbers]


def remark_on_unknown(tokens: Tokens, text: str) -> str:
    """What a person should be told of them; nothing where there are none."""
    unknown = unknown_in(tokens, text)
    if not unknown:
        return ""
    named = ", ".join(map(repr, unknown[:NUM_NAMED])) + (", …" if len(unknown) > NUM_NAMED else "")
    return f"the training text has no {'words' if tokens.kind == 'words' else 'characters'} {named}: each is read as unknown."


def load_tokens(kept: dict[str, Any]) -> Tokens:
    """Again, from `to_json`."""
    known = dict(kept)
    kind = known.pop("kind")
    if kind in ("bpe", "unigram"):
        return Subwords(kind, **known)
    return {"bytes": Bytes, "characters": Characters, "words": Words}[kind](**known)


class Subwords:
    """Byte pairs (Sennrich et al. 2016, arXiv:1508.07909) or a unigram model (Kudo 2018, arXiv:1804.10959), over bytes.

    Over bytes, so that no character is unknown. A space is put before the text, so that its first word is one like others.
    """

    def __init__(self, kind: Kind, tokenizer: str) -> None:
        from tokenizers import Tokenizer

        self.kind: Kind = kind
        self.tokenizer = Tokenizer.from_str(tokenizer)
        self.tokenizer.encode_special_tokens = True  # a text that has the name of a sign in it means its letters

    @classmethod
    def fit(cls, texts: Iterable[str], kind: Kind, size: int) -> Subwords:
        """Learn `size` of them, signs and 256 bytes included; fewer where the texts have no more."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE() if kind == "bpe" else models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        named: dict[str, Any] = {
            "vocab_size": max(size, NUM_SIGNS + 256),
            "special_tokens": list(SIGNS),
            "initial_alphabet": pre_tokenizers.ByteLevel.alphabet(),
            "show_progress": False,
        }
        trainer = trainers.BpeTrainer(**named) if kind == "bpe" else trainers.UnigramTrainer(**named, unk_token=SIGNS[UNKNOWN])
        tokenizer.train_from_iterator(texts, trainer)
        return cls(kind, tokenizer.to_str())

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self.tokenizer.encode_batch([f" {text}" for text in texts], add_special_tokens=False)]

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode([token for token in tokens if token >= NUM_SIGNS])).removeprefix(" ")

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [self.tokenizer.decode([token]) for token in tokens]

    def bytes_of(self, token: int) -> bytes:
        return bytes(map(_BYTE_OF.__getitem__, str(self.tokenizer.id_to_token(token))))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokenizer": self.tokenizer.to_str()}


class Characters:
    """Each character by itself; one never seen is unknown, and written as U+FFFD."""

    kind: Kind = "characters"

    def __init__(self, items: list[str]) -> None:
        self.items = items
        self.numbers = {item: number for number, item in enumerate(items, NUM_SIGNS)}

    def __len__(self) -> int:
        return NUM_SIGNS + len(self.items)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[self.numbers.get(item, UNKNOWN) for item in self.cut(text)] for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return self._join(self.pieces(list(filter(is_text, tokens))))

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [self.items[token - NUM_SIGNS] if token >= NUM_SIGNS else "\ufffd" for token in tokens]

    def bytes_of(self, token: int) -> bytes:
        return self.pieces([token])[0].encode()

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "items": self.items}

    def cut(self, text: str) -> Iterable[str]:
        """What of a text is a token each."""
        return text

    def _join(self, pieces: Iterable[str]) -> str:
        return "".join(pieces)


class Words(Characters):
    """What stands between white space; lines are joined again by single spaces. One never seen is unknown."""

    kind: Kind = "words"

    def cut(self, text: str) -> Iterable[str]:
        return text.split()

    def _join(self, pieces: Iterable[str]) -> str:
        return " ".join(pieces)


class Bytes:
    """Each byte of UTF-8 by itself: no vocabulary to learn."""

    kind: Kind = "bytes"

    def __len__(self) -> int:
        return NUM_SIGNS + 256

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[byte + NUM_SIGNS for byte in text.encode()] for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token - NUM_SIGNS for token in tokens if token >= NUM_SIGNS).decode(errors="replace")

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        return [self.decode([token]) for token in tokens]

    def bytes_of(self, token: int) -> bytes:
        return bytes([token - NUM_SIGNS])

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind}


def _bytes_by_letter() -> dict[str, int]:
    """How byte pairs are spelled: printable bytes by themselves, the others by the letters from U+0100 on; GPT-2's table."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


_BYTE_OF = _bytes_by_letter()
