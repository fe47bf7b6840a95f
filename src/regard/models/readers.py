"""The ways of reading a word, side by side."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from regard.models.blocks import positions_before
from regard.models.model import Batch, Reader
from regard.models.pretrained import PretrainedReader, Rows, VectorReader
from regard.models.words import WordReader


class Readers(Reader):
    """Words as training knows them, joined to given vectors and to the states of a pretrained encoder, where there are any."""

    def __init__(self, words: WordReader, vectors: VectorReader | None = None, encoder: PretrainedReader | None = None) -> None:
        super().__init__()
        self.words, self.vectors, self.encoder = words, vectors, encoder
        self.width = words.width + sum(reader.width for reader in (vectors, encoder) if reader is not None)
        self.can_mark = encoder is not None and encoder.mark is not None

    def forward(self, batch: Batch) -> Float[Tensor, "batch length width"]:
        read = self._without_encoder(batch)
        return read if self.encoder is None else torch.cat([read, self.encoder(batch)], -1)

    def marked(self, batch: Batch, choose: Callable[[Tensor], Rows]) -> Float[Tensor, "rows length width"]:
        """The sentences that `choose` names, with the encoder's states for a mark on a word; as `PretrainedReader.marked`.

        What `choose` is given is as wide as what `forward` returns.
        """
        read = self._without_encoder(batch)
        rows: list[Rows] = []

        def chosen(states: Tensor) -> Rows:
            rows.append(choose(torch.cat([read, states], -1)))
            return rows[0]

        assert self.encoder is not None
        states = self.encoder.marked(batch, chosen)
        return torch.cat([read[rows[0][0]], states], -1)

    def _without_encoder(self, batch: Batch) -> Float[Tensor, "batch length features"]:
        read = self.words(batch, positions_before(batch["lengths"], batch["words"].shape[1]))
        return read if self.vectors is None else torch.cat([read, self.vectors(batch)], -1)
