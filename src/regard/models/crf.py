"""A linear-chain conditional random field; Lafferty, McCallum and Pereira 2001."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

FORBIDDEN = -1e4


class LinearChainCRF(nn.Module):
    """Lample et al. 2016, arXiv:1603.01360, section 2.2.

    p(tags) ∝ exp Σₜ (emission[t, tagₜ] + transition[tagₜ₋₁, tagₜ]), over the sequences of tags that are permitted.

    `may_follow[a, b]` says whether tag b may come after a, `may_start` and `may_end` which tags may stand at the ends.
    The rest has probability 0, in training and in decoding alike. O(length · tags²) time.
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

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        return (
            self.between.masked_fill(~self.may_follow, FORBIDDEN),
            self.first.masked_fill(~self.may_start, FORBIDDEN),
            self.last.masked_fill(~self.may_end, FORBIDDEN),
        )

    def log_partition(
        self, emissions: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, " batch"]:
        """log Σ over all permitted tag sequences of exp(score): the forward algorithm."""
        between, first, last = self._scores()
        alpha = first + emissions[:, 0]
        for t in range(1, emissions.shape[1]):
            following = torch.logsumexp(alpha[:, :, None] + between, 1) + emissions[:, t]
            alpha = torch.where(is_token[:, t, None], following, alpha)
        return torch.logsumexp(alpha + last, 1)

    def sequence_score(
        self,
        emissions: Float[Tensor, "batch length tags"],
        tags: Int[Tensor, "batch length"],
        is_token: Bool[Tensor, "batch length"],
    ) -> Float[Tensor, " batch"]:
        """The unnormalised log probability of given tags."""
        between, first, last = self._scores()
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
        between, first, last = self._scores()
        best, came_from = first + emissions[:, 0], []
        stay = torch.arange(emissions.shape[2], device=emissions.device)
        for t in range(1, emissions.shape[1]):
            score, origin = (best[:, :, None] + between).max(1)
            came_from.append(torch.where(is_token[:, t, None], origin, stay))
            best = torch.where(is_token[:, t, None], score + emissions[:, t], best)
        tag = (best + last).argmax(1)
        path = [tag]
        for origin in reversed(came_from):
            tag = origin.gather(1, tag[:, None]).squeeze(1)
            path.append(tag)
        return torch.stack(path[::-1], 1)
