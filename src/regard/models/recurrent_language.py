"""Recurrent layers that say what follows, and one head of attention over what they read; Merity 2019, arXiv:1911.11423."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import dropout

from regard.attention.cache import KeyValueCache
from regard.attention.masks import document, everything, window
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import LockedDropout
from regard.models.language import READ_AT_ONCE, Language, LanguageModel
from regard.models.options import LanguageOptions, WritingOptions
from regard.models.search import Writing

State = tuple[Tensor, Tensor]


class WeightDropLSTM(nn.Module):
    """While training, a share of the weights from state to state is hidden; Merity et al. 2017, arXiv:1708.02182, sec. 2."""

    def __init__(self, width: int, share: float) -> None:
        super().__init__()
        self.lstm, self.share = nn.LSTM(width, width, batch_first=True), share

    def forward(
        self, x: Float[Tensor, "batch length width"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch length width"], State]:
        """Outputs, and the last state."""
        if not self.training or not self.share:
            return self.lstm(x, state)
        thinned = dropout(self.lstm.get_parameter("weight_hh_l0"), self.share)
        return functional_call(self.lstm, {"weight_hh_l0": thinned}, (x, state))


class RecurrentLanguage(LanguageModel):
    """x + LSTM(norm x) for each layer, x + attention(norm x) before the last one; no positions, which the layers count."""

    def __init__(self, language: Language, options: LanguageOptions, sampling: WritingOptions) -> None:
        super().__init__(language, options.d_model, sampling, is_tied=options.is_tied)
        d_model = options.d_model
        self.layers = nn.ModuleList(WeightDropLSTM(d_model, options.weight_drop) for _ in range(options.num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(options.num_layers))
        seen = window(options.window or language.context)  # in training all; in a longer text what bounds the memory
        has_none = options.mechanism == "none"
        self.attention = None if has_none else MultiHeadAttention(d_model, 1, mechanism=options.mechanism, mask=seen)
        self.attention_norm = nn.LayerNorm(d_model)
        self.norm = nn.LayerNorm(d_model)
        self.dropout = LockedDropout(options.dropout)

    def forward(
        self, tokens: Int[Tensor, "batch length"], documents: Int[Tensor, "batch length"] | None = None
    ) -> Float[Tensor, "batch length d_model"]:
        return self.read(tokens, [None] * len(self.layers), None, documents)[0]

    def read(
        self,
        tokens: Int[Tensor, "batch length"],
        states: Sequence[State | None],
        cache: KeyValueCache | None,
        documents: Int[Tensor, "batch length"] | None = None,
    ) -> tuple[Float[Tensor, "batch length d_model"], list[State]]:
        """What follows the states and the cache; and the states behind it."""
        x, last = self.dropout(self.embedding(tokens) * self.scale), []
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            if number == len(self.layers) - 1 and self.attention is not None:
                mask = everything if documents is None else document(documents)
                x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask, cache=cache))
            out, state = layer(norm(x), states[number])
            last.append(state)
            x = x + self.dropout(out)
        return self.norm(x), last

    def begin(self) -> Writing:
        return _Writing(self)


class _Writing(Writing):
    """Of any length: the states are all that is kept, and the keys and values in the window."""

    def __init__(self, model: RecurrentLanguage) -> None:
        self.model = model
        self.states: Sequence[State | None] = [None] * len(model.layers)
        self.cache = None if model.attention is None else model.attention.new_cache()

    @torch.no_grad()
    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        for part in tokens.split(READ_AT_ONCE, 1):
            states, self.states = self.model.read(part, self.states, self.cache)
        return self.model.scores(states[:, -1])

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        self.states = [state and (state[0][:, rows], state[1][:, rows]) for state in self.states]
        if self.cache is not None:
            self.cache.reorder(rows)

    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        """There is nothing else to keep."""
