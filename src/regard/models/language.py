"""What language models share: the loss of every token, sliding scores, and writing."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from regard.models.blocks import is_bare, lay_out_for_rows
from regard.models.cross_entropy import cross_entropy_of
from regard.models.model import Batch, Model
from regard.models.options import WritingOptions
from regard.models.sampling import draw
from regard.models.search import Writing
from regard.models.transformer import embedding

PADDING = 0
READ_AT_ONCE = 1024
"""Tokens of a prompt, where what has to be kept of a text is bounded."""
SCORED_AT_ONCE = 2**23
"""Numbers of scores that are held while losses are taken without gradients."""


@dataclass(frozen=True)
class Language:
    """What a model has to know of the tokens."""

    num_tokens: int
    context: int
    """Tokens that are read at once."""
    never_written: tuple[int, ...] = ()
    end: int | None = None
    """The token behind a whole text; None where texts have no end."""
    is_over: Callable[[Sequence[int]], bool] = lambda written: False
    """Has what was written come to a stop, though no end was?"""


class LanguageModel(Model):
    """Tokens → states → scores of the next token.

    A batch has "tokens", each row with one more than is read; "lengths" of what is scored, at the end of each row but for its
    padding; and where rows begin earlier, "history", how many tokens stand before. Or it has "prompt", with "lengths", and
    "place" among other prompts.
    """

    def __init__(self, language: Language, d_model: int, sampling: WritingOptions, *, is_tied: bool) -> None:
        super().__init__()
        self.language, self.sampling = language, sampling
        self.scale = d_model**0.25  # a table that is read wants √d, one that scores wants 1: midway it learns fastest
        self.embedding = embedding(language.num_tokens, d_model, PADDING)
        self.output = None if is_tied else nn.Linear(d_model, language.num_tokens, bias=False)

    @abstractmethod
    def forward(
        self, tokens: Int[Tensor, "batch length"], documents: Int[Tensor, "batch length"] | None = None
    ) -> Float[Tensor, "batch length d_model"]:
        """States behind each token; those of another document are not looked at."""

    @abstractmethod
    def begin(self) -> Writing:
        """A text that is being written, or several rows of as many tokens each; it may become of any length."""

    def scores(self, states: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows vocabulary"]:
        """Of each token, that it is next."""
        return linear(states, self.embedding.weight) if self.output is None else self.output(states)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Nats a token."""
        targets = batch["tokens"][:, 1:].flatten()
        tokens = (targets != PADDING).nonzero().squeeze(1)
        states = self(batch["tokens"][:, :-1], batch.get("documents")).flatten(0, 1).index_select(0, tokens)
        targets = targets.index_select(0, tokens)
        if self.output is not None and not (type(self.output) is nn.Linear and is_bare(self.output)):
            return cross_entropy(self.scores(states).float(), targets)  # somebody put a part of their own there
        weight = self.embedding.weight if self.output is None else self.output.weight
        return cross_entropy_of(states, weight, None, targets)

    @torch.no_grad()
    def estimate(self, batch: Batch) -> list[float]:
        """The loss of each row in nats, each token predicted from those before it in its row alone."""
        history = _history(batch)
        documents = batch.get("documents")
        found = self._nats(batch["tokens"][:, history:], None if documents is None else documents[:, history:])
        return found.double().sum(1).tolist()

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[float] | list[list[int]]:
        """The loss of each row in nats, each token predicted from all of the row that the context holds; or what is written."""
        if "prompt" in batch:
            rows = zip(batch["prompt"].tolist(), batch["lengths"].tolist(), batch["place"].tolist(), strict=True)
            return [list(self.write(prompt[:length], place)) for prompt, length, place in rows]
        if not (history := _history(batch)):
            return self.estimate(batch)
        starts = range(0, self.language.context, self.language.context - history)
        return torch.stack([self._slid(batch, history, start) for start in starts]).sum(0).tolist()

    def write(self, prompt: Sequence[int], place: int = 0) -> Iterator[int]:
        """What follows, token by token, drawn as `sampling` says, from its seed and the `place` of the prompt.

        In the precision of the weights: for one token it costs more to make them narrow than it saves. The end is not given.
        """
        lay_out_for_rows(self)
        return self._written(prompt, place)

    @torch.inference_mode()
    def _written(self, prompt: Sequence[int], place: int) -> Iterator[int]:
        options, language, device = self.sampling, self.language, self.embedding.weight.device
        writing, new, written = self.begin(), list(prompt), []  # type: Writing, list[int], list[int]
        recent = deque((token for token in prompt if token != language.end), language.context)  # an end is no repetition
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + place)
        while len(written) < options.max_tokens and not language.is_over(written):
            with torch.autocast(device.type, enabled=False):
                scores = writing.advance(torch.tensor([new], device=device)).float().cpu()
            scores[:, list(language.never_written)] = -torch.inf
            token = int(draw(scores, [recent], options, generator))
            if token == language.end:
                return
            yield token
            written.append(token)
            recent.append(token)
            new = [token]

    def _slid(self, batch: Batch, history: int, start: int) -> Float[Tensor, " batch"]:
        """Nats of the tokens from `start` on, a stride of them, in windows of a context that end with them."""
        context = self.language.context
        stride = context - history
        begin = history + (-batch["history"]).clamp(min=min(0, start + stride - context))
        places = begin[:, None] + torch.arange(context + 1, device=begin.device)
        width = batch["tokens"].shape[1]
        rows = batch["tokens"].gather(1, places.clamp(max=width - 1)).masked_fill(places >= width, PADDING)
        documents = batch.get("documents")
        if documents is not None:
            documents = documents.gather(1, places[:, :-1].clamp(max=width - 2))
        scored = places[:, 1:] - 1 - history - start
        return (self._nats(rows, documents).double() * ((scored >= 0) & (scored < stride))).sum(1)

    def _nats(self, tokens: Tensor, documents: Tensor | None) -> Float[Tensor, "batch length"]:
        """Of each token but the first of a row; 0 of padding."""
        states, targets = self(tokens[:, :-1], documents), tokens[:, 1:]
        at_once = max(1, SCORED_AT_ONCE // self.language.num_tokens)
        parts = zip(states.flatten(0, 1).split(at_once), targets.flatten().split(at_once), strict=True)
        found = [cross_entropy(self.scores(x).float(), y, ignore_index=PADDING, reduction="none") for x, y in parts]
        return torch.cat(found).view(targets.shape)


def _history(batch: Batch) -> int:
    """Tokens before those that are scored, in the row that has most."""
    return batch["tokens"].shape[1] - 1 - int(batch["lengths"].max())
