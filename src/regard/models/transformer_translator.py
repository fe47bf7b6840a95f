"""A Transformer that reads one sequence and writes another; Vaswani et al. 2017, arXiv:1706.03762."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.attention.masks import causal, padding
from regard.attention.positions.absolute import Learned, learned_for
from regard.models.decoding import Decoder
from regard.models.model import Batch
from regard.models.options import SearchOptions, TranslatorOptions
from regard.models.search import Writing
from regard.models.transformer import Transformer
from regard.models.translator import Sizes, Translator


class TransformerTranslator(Translator):
    """Two stacks of layers. Where both languages have the same tokens, source, target and output share one table."""

    looks = "decoder.layers.*.look*"

    def __init__(self, sizes: Sizes, options: TranslatorOptions, search: SearchOptions) -> None:
        super().__init__(sizes, options.d_model, options.label_smoothing, search)
        self.scale = options.d_model**0.5
        # By the usual ratio: that of `search` may be another each time the weights are loaded.
        written = int(SearchOptions.max_ratio * sizes.max_tokens)
        places = [learned_for(options.position, options.d_model, length) for length in (sizes.max_tokens, written)]
        self.encoder = Transformer(options.transformer, position=places[0])
        self.decoder = Transformer(options.transformer, causal, has_memory=True, position=places[1])

    @property
    def max_length(self) -> int | None:
        position = self.decoder.position
        return len(position.table) if isinstance(position, Learned) else None

    def read(self, batch: Batch) -> Float[Tensor, "batch length d_model"]:
        """States of the source."""
        lengths = batch["lengths"]
        return self.encoder(self.source(batch["source"]) * self.scale, padding(lengths, lengths))

    def states(self, batch: Batch) -> Float[Tensor, "batch length d_model"]:
        inputs = self.target(batch["inputs"]) * self.scale
        return self.decoder(inputs, memory=self.read(batch), memory_mask=padding(batch["lengths"]))

    def begin(self, batch: Batch) -> Writing:
        return _Writing(self, self.read(batch), batch["lengths"])


class _Writing(Writing):
    def __init__(self, model: TransformerTranslator, memory: Tensor, lengths: Tensor) -> None:
        self.model, self.memory, self.lengths = model, memory.to(model.bias.dtype), lengths
        self.mask, self.decoder = padding(lengths), Decoder(model.decoder)
        self.cache = model.decoder.new_cache()

    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        inputs = self.model.target(tokens) * self.model.scale
        with torch.autocast(tokens.device.type, enabled=False):  # for so few tokens, narrow numbers save time at the end only
            states = self.decoder(inputs, self.cache, self.memory, self.mask)
        return self.model.scores(states[:, -1])

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        self.cache.reorder(rows)

    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        self.memory, self.lengths = self.memory[sentences], self.lengths[sentences]
        self.mask = padding(self.lengths)
        self.cache.keep(sentences)
