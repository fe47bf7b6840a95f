"""Messages along a chain of tags: what all that may stand on one side of a position says of the tag there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Step = Callable[[Tensor], Tensor]
"""reduceᵢ (here[i] + between[i, j]) for each tag j, by a sum in the log domain or by a maximum."""


class Messages(NamedTuple):
    """From the left: into position t come values[:, t] + taken[:, : t + 1].sum(1), in nats."""

    values: Float[Tensor, "batch length tags"]
    taken: Float[Tensor, "batch length"]
    """The largest at each step, taken off so that long sentences lose no digits."""

    def flip(self) -> Messages:
        """The same, seen from the other side."""
        return Messages(self.values.flip(1), self.taken.flip(1))


def sums(
    start: Float[Tensor, " tags"],
    emissions: Float[Tensor, "batch length tags"],
    is_token: Bool[Tensor, "batch length"],
    between: Float[Tensor, "tags tags"],
) -> Messages:
    """log Σ over all tags to the left, as log(exp(here) @ exp(between)); by the slow definition where that underflows."""
    with torch.autocast(emissions.device.type, enabled=False):
        weights = between.exp()
        found = _messages(lambda here: (here.exp() @ weights).log(), start, emissions, is_token)
        if _is_exact(found.values, is_token):
            return found
        return _messages(lambda here: torch.logsumexp(here[:, :, None] + between, 1), start, emissions, is_token)


def maxima(
    start: Float[Tensor, " tags"],
    emissions: Float[Tensor, "batch length tags"],
    is_token: Bool[Tensor, "batch length"],
    between: Float[Tensor, "tags tags"],
) -> Messages:
    """The largest over all tags to the left."""
    return _messages(lambda here: (here[:, None] + between.T).amax(2), start, emissions, is_token)


def _messages(step: Step, start: Tensor, emissions: Tensor, is_token: Tensor) -> Messages:
    """A padded position passes on what came into it, so padding may stand on either side."""
    message = start.expand(len(emissions), -1)
    values, taken = [message], [emissions.new_zeros(len(emissions), 1)]
    for emission, going_on in zip(emissions.unbind(1)[:-1], is_token[:, :, None].unbind(1), strict=False):
        here = message + emission
        largest = here.detach().amax(1, keepdim=True)
        # Zeros for padding: a step that underflows there would be left out, but not its gradient, 0 times infinity.
        message = torch.where(going_on, step(torch.where(going_on, here - largest, 0)), message)
        values.append(message)
        taken.append(largest * going_on)
    return Messages(torch.stack(values, 1), torch.cat(taken, 1))


def _is_exact(values: Tensor, is_token: Tensor) -> bool:
    """Whether no message is so small that terms lost to underflow could be seen in it."""
    number = torch.finfo(values.dtype)
    limit = math.log(values.shape[2] * number.tiny / number.eps)
    is_fine = (values[:, 1:] > limit) & (values[:, 1:] < torch.inf)
    return bool((is_fine | ~is_token[:, :-1, None]).all())


def best_paths(
    n: int,
    start: Float[Tensor, " tags"],
    emissions: Float[Tensor, "batch length tags"],
    is_token: Bool[Tensor, "batch length"],
    between: Float[Tensor, "tags tags"],
    end: Float[Tensor, " tags"],
) -> tuple[Int[Tensor, "batch n length"], Float[Tensor, "batch n"]]:
    """The n sequences of tags with the largest scores, and these; -inf where there are fewer. O(length · tags² · n).

    From the right, each tag at each position keeps the n best ways to go on; a state is a tag and which of them.
    """
    num_tags = len(start)
    ways = torch.full((len(emissions), num_tags, n), -torch.inf, dtype=emissions.dtype, device=emissions.device)
    ways[:, :, 0] = end
    between = between.repeat_interleave(n, 1)
    steps = []
    for t in range(emissions.shape[1] - 1, 0, -1):
        after = (ways + emissions[:, t, :, None]).flatten(1)
        found, state = (after[:, None] + between).topk(n)
        ways = torch.where(is_token[:, t, None, None], found, ways)
        steps.append(state.flatten(1))
    score, state = (ways + (start + emissions[:, 0])[:, :, None]).flatten(1).topk(n)
    path = [state]
    for step in reversed(steps):
        path.append(step.gather(1, path[-1]))
    return torch.stack(path, 2) // n, score
