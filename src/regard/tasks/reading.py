"""How sentences are read for every task that tags words: own vocabularies, given vectors, a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.vectors import read_vectors
from regard.data.vocabulary import UNKNOWN, Vocabulary
from regard.models.options import EncoderOptions, WordOptions
from regard.models.pretrained import PretrainedReader, VectorReader
from regard.models.readers import Readers
from regard.models.words import Sizes, WordReader
from regard.tasks.pieces import PieceEncoder
from regard.tasks.words import Remembered, WordEncoder, normal_form

if TYPE_CHECKING:
    from torch import nn


class Reading:
    """Turns tokens into what `Readers` reads."""

    def __init__(self, words: WordEncoder, vectors: Vocabulary | None, d_vector: int, pieces: PieceEncoder | None) -> None:
        self.words, self.vectors, self.d_vector, self.pieces = words, vectors, d_vector, pieces
        self.vector_numbers = Remembered(self._vector)

    @classmethod
    def fit(cls, sentences: Sequence[Sequence[str]], words: WordOptions, encoder: EncoderOptions) -> Reading:
        """Learn the vocabularies of sentences, each its tokens."""
        pieces = PieceEncoder.load(encoder.path, encoder.max_pieces) if encoder.path else None
        if not words.vectors:
            return cls(WordEncoder.fit(sentences), None, 0, pieces)
        known, vectors = read_vectors(words.vectors, words.max_vectors)
        return cls(WordEncoder.fit(sentences), Vocabulary(known), vectors.shape[1], pieces)

    @classmethod
    def load(cls, kept: dict[str, Any]) -> Reading:
        """Again, from its `to_json`."""
        vectors, pieces = kept["vectors"], kept["pieces"]
        return cls(
            WordEncoder(**kept["words"]),
            None if vectors is None else Vocabulary(vectors),
            kept["d_vector"],
            None if pieces is None else PieceEncoder(**pieces),
        )

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {
            "words": self.words.to_json(),
            "vectors": None if self.vectors is None else self.vectors.items,
            "d_vector": self.d_vector,
            "pieces": None if self.pieces is None else self.pieces.to_json(),
        }

    def collate(self, sentences: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """A batch of them."""
        batch = self.words.collate(sentences)
        if self.vectors is not None:
            rows = [torch.tensor([self.vector_numbers[word] for word in words]) for words in sentences]
            batch["vectors"] = pad_sequence(rows, batch_first=True)
        return batch if self.pieces is None else batch | self.pieces.collate(sentences)

    def _vector(self, word: str) -> int:
        """Of the word as it is, else in small letters, else with 0 for each digit, as GloVe's older vectors have it."""
        known = self.vectors or Vocabulary([])
        return next((known[form] for form in (word, word.lower(), normal_form(word)) if form in known), UNKNOWN)

    def build(self, words: WordOptions, encoder: EncoderOptions) -> nn.Module:
        """A new reader of such batches."""
        sizes = Sizes(
            len(self.words.words),
            len(self.words.letters),
            tuple(len(affix) for affix in self.words.affixes),
            self.words.first_rare,
        )
        vectors = None if self.vectors is None else VectorReader(len(self.vectors), self.d_vector)
        pretrained = None if self.pieces is None else PretrainedReader(self.pieces.config, encoder)
        return Readers(WordReader(sizes, words), vectors, pretrained)


def load_pretrained(read: Any, words: WordOptions, encoder: EncoderOptions) -> None:
    """Fill a new reader with what was learnt elsewhere: vectors, and an encoder's weights."""
    if read.vectors is not None:
        given = torch.from_numpy(read_vectors(words.vectors, words.max_vectors)[1])
        with torch.no_grad():
            read.vectors.vectors.weight.zero_()
            # numbers that are all the same have no deviation but that of rounding
            read.vectors.vectors.weight[2:] = given / (given.std() if given.min() < given.max() else 1)
    if read.encoder is not None:
        read.encoder.load_pretrained(encoder.path)
