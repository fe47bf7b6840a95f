"""A Transformer that says what follows; Radford et al. 2019, with rotary positions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.attention.masks import causal, document, everything, window
from regard.attention.positions.absolute import learned_for
from regard.models.decoding import Decoder
from regard.models.language import READ_AT_ONCE, Language, LanguageModel
from regard.models.options import LanguageOptions, WritingOptions
from regard.models.search import Writing
from regard.models.transformer import Transformer


class TransformerLanguage(LanguageModel):
    """One stack of layers that look back."""

    def __init__(self, language: Language, options: LanguageOptions, sampling: WritingOptions) -> None:
        super().__init__(language, options.d_model, sampling, is_tied=options.is_tied)
        mask = window(options.window) if options.window else causal
        position = learned_for(options.position, options.d_model, language.context)
        self.body = Transformer(options.transformer, mask, position=position)
        self.is_endless = options.is_endless

    def forward(
        self, tokens: Int[Tensor, "batch length"], documents: Int[Tensor, "batch length"] | None = None
    ) -> Float[Tensor, "batch length d_model"]:
        return self.body(self.embedding(tokens) * self.scale, everything if documents is None else document(documents))

    def begin(self) -> Writing:
        return _Endless(self) if self.is_endless else _Restarting(self)


class _Endless(Writing):
    """Behind a window: what it can never see again is forgotten."""

    def __init__(self, model: TransformerLanguage) -> None:
        self.model, self.decoder = model, Decoder(model.body)
        self.cache = model.body.new_cache()

    @torch.no_grad()
    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        for part in tokens.split(READ_AT_ONCE, 1):
            states = self.decoder(self.model.embedding(part) * self.model.scale, self.cache)
        return self.model.scores(states[:, -1])

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        self.cache.reorder(rows)

    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        pass


class _Restarting(_Endless):
    """When the context is full, its last half is read again as the beginning of a new one.

    So each token's scores are those of a full pass over at least half a context before it, or all there is.
    """

    def __init__(self, model: TransformerLanguage) -> None:
        super().__init__(model)
        self.recent = torch.empty(0, 0, dtype=torch.long)

    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        context = self.model.language.context
        recent = torch.cat([self.recent, tokens], 1) if self.recent.numel() else tokens
        if recent.shape[1] > context:
            kept = context // 2 if self.recent.numel() else context
            tokens = recent = recent[:, -max(1, kept) :]
            self.cache = self.model.body.new_cache()
        self.recent = recent
        return super().advance(tokens)

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        super().reorder(rows)
        self.recent = self.recent[rows]
