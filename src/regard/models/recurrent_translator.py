"""Recurrent layers that read one sequence and write another, looking back by attention; Bahdanau et al. 2015."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.overrides import has_torch_function

from regard.attention.masks import Mask, padding
from regard.attention.mechanism import Mechanism, mechanism_named
from regard.models.blocks import Bidirectional, LockedDropout
from regard.models.model import Batch
from regard.models.options import SearchOptions, TranslatorOptions
from regard.models.search import Writing
from regard.models.translator import Sizes, Translator


@dataclass(frozen=True)
class Source:
    """What is known of the sentences that were read."""

    memory: Float[Tensor, "batch keys d_model"]
    summary: Float[Tensor, "batch d_model"]
    lengths: Int[Tensor, " batch"]

    @property
    def mask(self) -> Mask:
        """Tokens only."""
        return padding(self.lengths)

    def of(self, sentences: Tensor) -> Source:
        """Of some of them, with repeats."""
        return Source(self.memory[sentences], self.summary[sentences], self.lengths[sentences])


@dataclass(frozen=True)
class State:
    """Where the rows that are written stand: of each layer output and cell, what was seen last, and what so far.

    A GRU's layer has no cell beside its output.
    """

    layers: tuple[tuple[Tensor, ...], ...]
    seen: Float[Tensor, "rows d_embedding"]
    covered: Float[Tensor, "rows keys"]

    def of(self, rows: Tensor) -> State:
        """Of some of the rows, with repeats."""
        return State(tuple(tuple(one[rows] for one in layer) for layer in self.layers), self.seen[rows], self.covered[rows])


class RecurrentTranslator(Translator):
    """LSTMs or GRUs read in both directions; others write, and after each step look at the source.

    Luong et al. 2015, arXiv:1508.04025; GRUs are of Cho et al. 2014, arXiv:1406.1078.

    Looking after the step (section 3) makes all steps of a known answer one call of attention. With `input_feeding` (section
    3.3) what was seen goes into the next step, and with `coverage` (See et al. 2017, arXiv:1704.04368, eq. 11) the weights so
    far go into the next look: then the steps are taken one by one. Without attention each step is told the summary of the
    source instead, as in the latter.
    """

    def __init__(self, sizes: Sizes, options: TranslatorOptions, search: SearchOptions) -> None:
        super().__init__(sizes, options.d_embedding, options.label_smoothing, search)
        d_model, d_embedding, num_layers = options.d_model, options.d_embedding, options.num_layers
        self.is_fed, self.is_stepwise = options.input_feeding, options.input_feeding or options.coverage
        self.encoder = Bidirectional(d_embedding, d_model // 2, num_layers, options.cell)
        self.bridge = nn.Linear(d_model, num_layers * d_model)
        widths = [(1 + self.is_fed) * d_embedding, *[d_model] * (num_layers - 1)]
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[options.cell]
        self.decoder = nn.ModuleList(kind(width, d_model, batch_first=True) for width in widths)
        self.attention: Mechanism | None = None
        self.looks = "" if options.mechanism == "none" else "attention*"
        if self.looks:
            self.attention = mechanism_named(options.mechanism or "additive", d_model)
        self.cover = nn.Linear(1, d_model, bias=False) if options.coverage else None
        self.join = nn.Linear(2 * d_model, d_embedding)
        self.dropout = LockedDropout(options.dropout)

    def read(self, batch: Batch) -> Source:
        """The source; its summary is the last state of each direction."""
        lengths = batch["lengths"]
        memory = self.encoder(self.dropout(self.source(batch["source"])), lengths)
        half = memory.shape[2] // 2
        last = memory[torch.arange(len(memory), device=memory.device), lengths - 1, :half]
        return Source(self.dropout(memory), torch.cat([last, memory[:, 0, half:]], 1), lengths)

    def states(self, batch: Batch) -> Float[Tensor, "batch length d_embedding"]:
        source = self.read(batch)
        return self.write(batch["inputs"], source, self.first_state(source))[0]

    def first_state(self, source: Source) -> State:
        """Before anything is written."""
        layers = torch.tanh(self.bridge(source.summary)).to(source.memory.dtype).chunk(len(self.decoder), 1)
        seen = source.memory.new_zeros(len(source.memory), self.join.out_features)
        is_lstm = isinstance(self.decoder[0], nn.LSTM)
        begun = tuple((h, torch.zeros_like(h)) if is_lstm else (h,) for h in layers)
        return State(begun, seen, source.memory.new_zeros(*source.memory.shape[:2]))

    def write(
        self, tokens: Int[Tensor, "rows new"], source: Source, state: State
    ) -> tuple[Float[Tensor, "rows new d_embedding"], State]:
        """What each step sees and means; several rows a sentence stand side by side."""
        embedded = self.dropout(self.target(tokens))
        kept = self._kept(embedded)
        if not self.is_stepwise:
            return self._steps(embedded, source, state, kept)
        found = []
        for step in embedded.split(1, 1):
            states, state = self._steps(step, source, state, kept)
            found.append(states)
        return torch.cat(found, 1), state

    def _kept(self, x: Tensor) -> list[Tensor | None]:
        """What dropout leaves of each layer and of the states, drawn once for all steps; None where nothing is learnt."""
        widths = *[self.bridge.in_features] * len(self.decoder), self.join.out_features
        return [self.dropout(x.new_ones(len(x), 1, width)) if self.training else None for width in widths]

    def _steps(self, x: Tensor, source: Source, state: State, kept: list[Tensor | None]) -> tuple[Tensor, State]:
        if self.is_fed:
            x = torch.cat([x, state.seen[:, None]], 2)
        layers = []
        for layer, begun, left in zip(self.decoder, state.layers, kept[:-1], strict=True):
            before = tuple(one[None].contiguous() for one in begun)
            x, after = layer(x, before if isinstance(layer, nn.LSTM) else before[0])
            x = _thinned(x, left)
            layers.append(tuple(one[0] for one in (after if isinstance(layer, nn.LSTM) else (after,))))
        context, covered = self._look(x, source, state.covered)
        states = _thinned(torch.tanh(self.join(torch.cat([x, context], 2))), kept[-1])
        return states, replace(state, layers=tuple(layers), seen=states[:, -1], covered=covered)

    def _look(self, x: Tensor, source: Source, covered: Tensor) -> tuple[Tensor, Tensor]:
        """What each row sees, and how much it has seen of each token by then."""
        rows = torch.arange(len(source.memory), device=x.device).repeat_interleave(len(x) // len(source.memory))
        if self.attention is None:
            return source.summary[rows, None].expand(-1, x.shape[1], -1), covered
        if self.cover is None:  # the rows of a sentence look together, as if they were one longer row
            query, memory = x.reshape(len(source.memory), 1, -1, x.shape[2]), source.memory[:, None]
            return self.attention(query, memory, memory, source.mask).view(x.shape), covered
        source = source.of(rows)
        memory = source.memory[:, None]
        key = memory + self.cover(covered[:, None, :, None])
        weights = self.attention.weights(x[:, None], key, source.mask)
        is_watched = has_torch_function((x, key, memory))  # then the lens has to see a call, though the weights are known
        seen = self.attention(x[:, None], key, memory, source.mask) if is_watched else weights @ memory
        return seen[:, 0], covered + weights[:, 0].sum(1)

    def begin(self, batch: Batch) -> Writing:
        return _Writing(self, self.read(batch))


def _thinned(x: Tensor, kept: Tensor | None) -> Tensor:
    return x if kept is None else x * kept.to(x.dtype)


class _Writing(Writing):
    def __init__(self, model: RecurrentTranslator, source: Source) -> None:
        self.model, self.source, self.state = model, source, model.first_state(source)

    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        states, self.state = self.model.write(tokens, self.source, self.state)
        return self.model.scores(states[:, -1])

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        self.state = self.state.of(rows)

    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        self.source = self.source.of(sentences)
