"""One string into another: a recurrent encoder and decoder, joined by attention."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.attention.masks import padding
from regard.attention.mechanism import Mechanism, mechanism_named
from regard.models.blocks import Bidirectional, LockedDropout
from regard.models.model import Batch, Model
from regard.models.options import TransducerOptions

PADDING = 0
State = tuple[Tensor, Tensor]


class Transducer(Model):
    """Bidirectional LSTM encoder, LSTM decoder, one attention head over the source.

    The score may be the additive one of Bahdanau et al. 2015, arXiv:1409.0473; the decoder looks after each step, as in
    Luong et al. 2015, arXiv:1508.04025, section 3: so that all steps of a known target are one call of attention.
    """

    def __init__(self, num_source: int, num_target: int, target_length: int, options: TransducerOptions) -> None:
        super().__init__()
        self.target_length = target_length
        self.source = nn.Embedding(num_source, options.d_embedding, padding_idx=PADDING)
        self.target = nn.Embedding(num_target, options.d_embedding, padding_idx=PADDING)
        self.encoder = Bidirectional(options.d_embedding, options.d_model // 2)
        self.decoder = nn.LSTM(options.d_embedding, options.d_model, batch_first=True)
        self.attention: Mechanism = mechanism_named(options.mechanism, options.d_model)
        self.join = nn.Linear(2 * options.d_model, options.d_model)
        self.emit = nn.Linear(options.d_model, num_target)
        self.dropout = LockedDropout(options.dropout)

    def forward(self, batch: Batch) -> Float[Tensor, "batch length target"]:
        """Scores of the next target character after each of `batch["inputs"]`."""
        memory = self._encode(batch)
        return self._decode(batch["inputs"], memory, batch["lengths"], None)[0]

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy in nats a character."""
        return nn.functional.cross_entropy(self(batch).flatten(0, 1), batch["outputs"].flatten(), ignore_index=PADDING)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[list[int]]:
        """The most probable next character, step by step."""
        memory, state = self._encode(batch), None
        last, written = batch["inputs"][:, :1], []
        for _ in range(self.target_length):
            scores, state = self._decode(last, memory, batch["lengths"], state)
            last = scores.argmax(-1)
            written.append(last)
        return torch.cat(written, 1).tolist()

    def _encode(self, batch: Batch) -> Float[Tensor, "batch length d_model"]:
        return self.encoder(self.dropout(self.source(batch["source"])), batch["lengths"])

    def _decode(
        self,
        inputs: Int[Tensor, "batch length"],
        memory: Float[Tensor, "batch source_length d_model"],
        lengths: Int[Tensor, " batch"],
        state: State | None,
    ) -> tuple[Tensor, State]:
        states, state = self.decoder(self.dropout(self.target(inputs)), state)
        query, key = self.dropout(states).unsqueeze(1), self.dropout(memory).unsqueeze(1)
        context = self.attention(query, key, key, padding(lengths)).squeeze(1)
        return self.emit(torch.tanh(self.join(torch.cat([context, states], -1)))), state
