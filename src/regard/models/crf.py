"""A linear-chain conditional random field; Lafferty, McCallum and Pereira 2001."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from regard.models.chain import Messages, best_paths, maxima, sums

FORBIDDEN = -1e4


class Scores(NamedTuple):
    """Of each tag after each tag, at the start and at the end."""

    between: Float[Tensor, "tags tags"]
    first: Float[Tensor, " tags"]
    last: Float[Tensor, " tags"]


class LinearChainCRF(nn.Module):
    """Lample et al. 2016, arXiv:1603.01360, section 2.2.

    p(tags) ∝ exp Σₜ (emission[t, tagₜ] + transition[tagₜ₋₁, tagₜ]), over the sequences of tags that are permitted.

    `may_follow[a, b]` says whether tag b may come after a, `may_start` and `may_end` which tags may stand at the ends.
    The rest has probability 0, in training and in decoding alike. O(length · tags²) time; sums in float32 or wider.
    """

    may_follow: Tensor
    may_start: Tensor
    may_end: Tensor

    def __init__(
        self, may_follow: Bool[Tensor, "tags tags"], may_start: Bool[Tensor, " tags"], may_end: Bool[Tensor, " tags"]
    ) -> None:
        super().__init__()
        num_tags = len(may_start)
        self.between = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.first = nn.Parameter(torch.zeros(num_tags))
        self.last = nn.Parameter(torch.zeros(num_tags))
        for name, allowed in (("may_follow", may_follow), ("may_start", may_start), ("may_end", may_end)):
            self.register_buffer(name, allowed, persistent=False)

    def log_partition(
        self, emissions: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, " batch"]:
        """log Σ over all permitted tag sequences of exp(score): the forward algorithm, begun at the end."""
        emissions, scores = self._widened(emissions)
        right = _from_right(sums, scores, emissions, is_token)
        return right.taken.sum(1) + torch.logsumexp(scores.first + emissions[:, 0] + right.values[:, 0], 1)

    def sequence_score(
        self,
        emissions: Float[Tensor, "batch length tags"],
        tags: Int[Tensor, "batch length"],
        is_token: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, " batch"]:
        """The unnormalised log probability of given tags."""
        emissions, (between, first, last) = self._widened(emissions)
        emitted = emissions.gather(2, tags[:, :, None]).squeeze(2) * is_token
        moved = between[tags[:, :-1], tags[:, 1:]] * is_token[:, 1:]
        final = tags.gather(1, is_token.sum(1, keepdim=True) - 1).squeeze(1)
        return emitted.sum(1) + moved.sum(1) + first[tags[:, 0]] + last[final]

    def loss(
        self,
        emissions: Float[Tensor, "batch length tags"],
        tags: Int[Tensor, "batch length"],
        is_token: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, ""]:
        """−log p(tags), a mean over the batch, in nats a sentence."""
        return (self.log_partition(emissions, is_token) - self.sequence_score(emissions, tags, is_token)).mean()

    @torch.no_grad()
    def decode(
        self, emissions: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"]
    ) -> Int[Tensor, "batch length"]:
        """The most probable permitted tags, by Viterbi; what stands behind a sentence's end means nothing."""
        emissions, scores = self._widened(emissions)
        onward = emissions + _from_right(maxima, scores, emissions, is_token).values
        path = [(scores.first + onward[:, 0]).argmax(1)]
        for t in range(1, emissions.shape[1]):
            path.append((scores.between[path[-1]] + onward[:, t]).argmax(1))
        return torch.stack(path, 1)

    @torch.no_grad()
    def n_best(
        self, emissions: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"], n: int
    ) -> tuple[Int[Tensor, "batch n length"], Float[Tensor, "batch n"]]:
        """The n most probable permitted tag sequences, best first, and their log probabilities.

        Where fewer are permitted the rest has log probability -inf, and its tags mean nothing. In float64.
        O(length · tags² · n).
        """
        exact, scores = self._widened(emissions.double(), -torch.inf)
        tags, score = best_paths(n, scores.first, exact, is_token, scores.between, scores.last)
        return tags, (score - self.log_partition(exact, is_token)[:, None]).to(self.first.dtype)

    def marginals(
        self, emissions: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length tags"]:
        """The probability of each tag at each word, by the forward-backward algorithm; 0 behind a sentence's end."""
        emissions, scores = self._widened(emissions)
        left, right = _both_sides(scores, emissions, is_token)
        return (left.values + emissions + right.values).softmax(2) * is_token[:, :, None]

    def span_probability(
        self,
        emissions: Float[Tensor, "batch length tags"],
        is_token: Bool[Tensor, "batch length"],
        sentence: Int[Tensor, " spans"],
        start: Int[Tensor, " spans"],
        tags: Int[Tensor, "spans width"],
    ) -> Float[Tensor, " spans"]:
        """The probability that `tags`, up to the first -1, stand in a sentence from `start` on: Z(these tags there) / Z.

        Where tags tell a span's first and last word, as in BIOES, that is the probability of just this span with this type.
        All spans share one pass of the forward-backward algorithm. Has gradients.
        """
        emissions, scores = self._widened(emissions)
        left, right = _both_sides(scores, emissions, is_token)
        is_inside, tags = tags >= 0, tags.clamp_min(0)
        stop = start + is_inside.sum(1) - 1
        place = torch.minimum(start[:, None] + torch.arange(tags.shape[1], device=tags.device), stop[:, None])
        emitted = emissions[sentence[:, None], place, tags]
        moved = scores.between[tags[:, :-1], tags[:, 1:]] - left.taken[sentence[:, None], place[:, 1:]]
        inside = (moved + emitted[:, 1:]) * is_inside[:, 1:]
        final = tags.gather(1, is_inside.sum(1, keepdim=True) - 1).squeeze(1)
        before, after = left.values[sentence, start, tags[:, 0]], right.values[sentence, stop, final]
        total = torch.logsumexp((left.values + emissions + right.values)[sentence, stop], 1)
        return (before + emitted[:, 0] + inside.sum(1) + after - total).exp()

    def _widened(self, emissions: Tensor, forbidden: float = FORBIDDEN) -> tuple[Tensor, Scores]:
        """Emissions and scores in one type: half precision is too coarse for sums over sequences."""
        dtype = torch.promote_types(torch.promote_types(emissions.dtype, torch.float32), self.first.dtype)
        return emissions.to(dtype), Scores(
            self.between.to(dtype).masked_fill(~self.may_follow, forbidden),
            self.first.to(dtype).masked_fill(~self.may_start, forbidden),
            self.last.to(dtype).masked_fill(~self.may_end, forbidden),
        )


def _both_sides(scores: Scores, emissions: Tensor, is_token: Tensor) -> tuple[Messages, Messages]:
    return sums(scores.first, emissions, is_token, scores.between), _from_right(sums, scores, emissions, is_token)


def _from_right(direction: Callable[..., Messages], scores: Scores, emissions: Tensor, is_token: Tensor) -> Messages:
    """What comes into each position from the end of its sentence; padding then comes first and is passed over."""
    return direction(scores.last, emissions.flip(1), is_token.flip(1), scores.between.T).flip()
