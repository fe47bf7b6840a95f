"""Who did what to whom: a tag for each word and predicate."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from regard.attention.masks import padding
from regard.attention.multihead import MultiHeadAttention
from regard.models.bio import best_spans, best_unique_spans
from regard.models.blocks import LSTM, HighwayLSTM, LockedDropout, positions_before
from regard.models.model import Batch, Model, Reader
from regard.models.options import RoleOptions
from regard.models.pretrained import Rows

SENSE_SHARE = 0.2
"""Weight of the senses' loss: there are thousands of them, and roles are what the model is for."""
IGNORED = -100
"""A tag or sense that no loss asks for."""
AT_ONCE = 2**14
"""Tokens of propositions that are read at once when predicting: those of a batch of usual sentences, but of a sentence of
thousands of words, of which hundreds are predicates, a few propositions."""


@dataclass(frozen=True)
class RoleSizes:
    """How many argument labels and senses there are, and which labels a predicate has at most once."""

    labels: int
    senses: int
    unique: tuple[int, ...] = ()


class Scores(NamedTuple):
    """What a model says of a batch."""

    found: Float[Tensor, "batch length"]
    """Above 0 for a predicate."""
    sentences: Int[Tensor, " propositions"]
    predicates: Int[Tensor, " propositions"]
    tags: Float[Tensor, "propositions length tags"]
    senses: Float[Tensor, "propositions senses"]


class FoundRoles(NamedTuple):
    """Of one sentence: which words the model takes for predicates, and of each predicate read its place, tags and senses."""

    found: list[int]
    predicates: list[int]
    tags: list[list[int]]
    sense_scores: list[Float[Tensor, " senses"]]


Choice = Callable[[Float[Tensor, "batch length"]], Rows]
"""From scores of predicates to what shall be read: (sentence, predicate) of each proposition."""


class RoleLabeler(Model):
    """A sentence is read once, then again for each of its predicates.

    Tags are O, B-1 … B-n, I-1 … I-n. Each word's tag has a distribution of its own while training; the best sequence of whole
    spans is searched for when predicting, as He et al. 2017 do. Predicates are found, and their senses told apart, by two more
    linear layers that are trained along.
    """

    def __init__(self, read: Reader, d_sentence: int, d_model: int, sizes: RoleSizes, options: RoleOptions) -> None:
        super().__init__()
        self.read, self.sizes = read, sizes
        self.is_core_unique = True
        self.dropout = LockedDropout(options.dropout)
        self.indicator = nn.Embedding(2, options.d_indicator)
        self.attention = None
        if options.mechanism != "none":
            self.attention = MultiHeadAttention(d_model, options.num_heads, mechanism=options.mechanism)
            self.norm = nn.LayerNorm(d_model)
        self.find = nn.Linear(d_sentence, 1)
        self.tell_sense = nn.Linear(d_model, sizes.senses)
        self.before_tags: nn.Module = nn.Identity()
        self.emit = nn.Linear(d_model, 1 + 2 * sizes.labels)

    @abstractmethod
    def read_rows(self, batch: Batch, choose: Choice) -> tuple[Tensor, Rows, Float[Tensor, "propositions length features"]]:
        """Scores of predicates, what was chosen by them, and for each what is known of the words of its sentence."""

    @abstractmethod
    def read_marked(
        self, states: Float[Tensor, "propositions length features"], marks: Tensor, lengths: Int[Tensor, " propositions"]
    ) -> Float[Tensor, "propositions length d_model"]:
        """The same once more, where `marks`, (propositions, length, d_indicator), is another at the predicate."""

    def forward(self, batch: Batch, choose: Choice | None = None) -> Scores:
        """For the propositions that are chosen; else for those of the batch."""
        given = batch["sentences"], batch["predicates"]
        counted: list[int] = []

        def chosen(found: Tensor) -> Rows:
            rows = given if choose is None else choose(found)
            counted.append(len(rows[0]))
            return rows if counted[0] else (given[0].new_zeros(1), given[0].new_zeros(1))  # no layer takes an empty batch

        found, (sentences, predicates), states = self.read_rows(batch, chosen)
        tags, senses = self._propositions(states, predicates, batch["lengths"][sentences])
        return Scores(found, *(part[: counted[0]] for part in (sentences, predicates, tags, senses)))

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropies in nats: of tags a word, of predicates a word, of senses a predicate."""
        scores = self(batch)
        is_token = positions_before(batch["lengths"], scores.found.shape[1])
        is_predicate = batch["is_predicate"][is_token].to(scores.found.dtype)
        losses = [binary_cross_entropy_with_logits(scores.found[is_token], is_predicate)]
        if len(scores.tags):
            losses.append(cross_entropy(scores.tags.flatten(0, 1), batch["tags"].flatten(), ignore_index=IGNORED))
        if (batch["senses"] != IGNORED).any():
            losses.append(SENSE_SHARE * cross_entropy(scores.senses, batch["senses"], ignore_index=IGNORED))
        return torch.stack(losses).sum()

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[FoundRoles]:
        """For the predicates given in the batch, where there are any, and for those that are found; some at a time."""
        is_token = positions_before(batch["lengths"], batch["words"].shape[1])
        groups: list[Rows] = []

        def first_of_found_or_given(found: Tensor) -> Rows:
            is_read = (found > 0) & is_token
            is_read[batch["sentences"], batch["predicates"]] = True
            size = max(1, AT_ONCE // found.shape[1])
            sentences, predicates = (places.split(size) for places in is_read.nonzero(as_tuple=True))
            groups.extend(zip(sentences, predicates, strict=True))
            return groups[0]

        scores = self(batch, first_of_found_or_given)
        found = [FoundRoles(one.nonzero().flatten().tolist(), [], [], []) for one in (scores.found > 0) & is_token]
        self._add(scores, batch, found)
        for rows in groups[1:]:
            self._add(self(batch, lambda _, rows=rows: rows), batch, found)
        return found

    def _add(self, scores: Scores, batch: Batch, found: list[FoundRoles]) -> None:
        """What was said of some predicates, to what is known of their sentences."""
        tags = self._decode(scores.tags, batch["lengths"][scores.sentences])
        rows = zip(scores.sentences.tolist(), scores.predicates.tolist(), tags, scores.senses.cpu(), strict=True)
        for sentence, predicate, own_tags, sense_scores in rows:
            found[sentence].predicates.append(predicate)
            found[sentence].tags.append(own_tags)
            found[sentence].sense_scores.append(sense_scores)

    def _propositions(self, states: Tensor, predicates: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of tags and senses for each predicate."""
        rows = torch.arange(len(predicates), device=states.device)
        is_predicate = torch.zeros(states.shape[:2], dtype=torch.long, device=states.device)
        is_predicate[rows, predicates] = 1
        x = self.read_marked(states, self.indicator(is_predicate), lengths)
        if self.attention is not None:
            x = self.norm(x + self.attention(x, mask=padding(lengths, lengths)))
        return self.emit(self.before_tags(x)), self.tell_sense(x[rows, predicates])

    def _decode(self, scores: Tensor, lengths: Tensor) -> list[list[int]]:
        scores = scores.float().log_softmax(-1)
        best = best_spans(scores, positions_before(lengths, scores.shape[1])).tolist()
        found = [tags[:length] for tags, length in zip(best, lengths.tolist(), strict=True)]
        return [self._once_each(*pair) for pair in zip(scores, found, strict=True)] if self.is_core_unique else found

    def _once_each(self, scores: Float[Tensor, "length tags"], tags: list[int]) -> list[int]:
        """The best tags where a predicate has each core role at most once, from the best where it has as many as it likes.

        Only roles that came twice are held to it: what is best so and breaks no other limit is the best under all of them.
        """
        held: set[int] = set()
        while repeated := self._repeated(tags):
            held |= repeated
            tags = best_unique_spans(scores[: len(tags)].cpu(), sorted(held)).tolist()
        return tags

    def _repeated(self, tags: list[int]) -> set[int]:
        """The core roles that begin more than once."""
        begun = Counter(tag - 1 for tag in tags if 1 <= tag <= self.sizes.labels)
        return {role for role in self.sizes.unique if begun[role] > 1}


class DeepRoleLabeler(RoleLabeler):
    """Highway layers in both directions, and self-attention; after He et al. 2017, doi:10.18653/v1/P17-1044.

    The first layers do not know the predicate and run once a sentence; a sentence has three predicates and more.
    """

    def __init__(self, read: Reader, sizes: RoleSizes, options: RoleOptions) -> None:
        width, d_model, num_shared = read.width, 2 * options.d_recurrent, options.num_sentence_layers
        super().__init__(read, d_model if num_shared else width, d_model, sizes, options)
        self.shared = nn.ModuleList(HighwayLSTM(d_in, options.d_recurrent) for d_in in [width, *[d_model] * num_shared][:-1])
        d_in = self.find.in_features + options.d_indicator
        widths = [d_in, *[d_model] * options.num_layers]
        self.marked = nn.ModuleList(HighwayLSTM(d_in, options.d_recurrent) for d_in in widths[:-1])
        self.join = nn.Identity() if options.num_layers else nn.Linear(d_in, d_model)

    def read_rows(self, batch: Batch, choose: Choice) -> tuple[Tensor, Rows, Tensor]:
        lengths = batch["lengths"]
        if not self.read.can_mark:
            states = self._share(self.read(batch), lengths)
            found = self.find(states).squeeze(2)
            rows = choose(found)
            return found, rows, states[rows[0]]
        chosen: list[tuple[Tensor, Rows]] = []

        def by_states(read: Tensor) -> Rows:
            found = self.find(self._share(read, lengths)).squeeze(2)
            chosen.append((found, choose(found)))
            return chosen[0][1]

        read = self.read.marked(batch, by_states)  # type: ignore[operator]
        found, rows = chosen[0]
        return found, rows, self._share(read, lengths[rows[0]])

    def _share(self, read: Tensor, lengths: Tensor) -> Tensor:
        x = self.dropout(read)
        for layer in self.shared:
            x = self.dropout(layer(x, lengths))
        return x

    def read_marked(self, states: Tensor, marks: Tensor, lengths: Tensor) -> Tensor:
        x = self.join(torch.cat([states, marks], -1))
        for layer in self.marked:
            x = self.dropout(layer(x, lengths))
        return x


class DocumentRoleLabeler(RoleLabeler):
    """Embedding → LSTM → multi-head attention → linear layers: the source document's RoleLabeling, corrected.

    The predicate's indicator is joined to the features of each word, not to the sentence; attention is a softmax over keys;
    each word has a tag of each role instead of two sigmoids. Predicates are found by the LSTM without an indicator.
    """

    def __init__(self, read: Reader, sizes: RoleSizes, options: RoleOptions) -> None:
        d_model = 2 * options.d_recurrent
        super().__init__(read, d_model, d_model, sizes, options)
        num_layers = max(1, options.num_sentence_layers + options.num_layers)
        self.recurrent = LSTM(read.width + options.d_indicator, d_model, num_layers)
        self.before_tags = nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU())

    def read_rows(self, batch: Batch, choose: Choice) -> tuple[Tensor, Rows, Tensor]:
        states = self.dropout(self.read(batch))
        unmarked = self.indicator.weight[0].expand(*states.shape[:2], -1)
        found = self.find(self.read_marked(states, unmarked, batch["lengths"])).squeeze(2)
        rows = choose(found)
        return found, rows, states[rows[0]]

    def read_marked(self, states: Tensor, marks: Tensor, lengths: Tensor) -> Tensor:
        return self.dropout(self.recurrent(torch.cat([states, marks], -1)))
