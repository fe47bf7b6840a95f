"""The best spans under scores of tags, for tags O, B-1 … B-n, I-1 … I-n in this order."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LOWEST = -1e9


@torch.no_grad()
def best_spans(
    scores: Float[Tensor, "batch length tags"], is_token: Bool[Tensor, "batch length"]
) -> Int[Tensor, "batch length"]:
    """The tags with the largest sum of scores in which each I-k stands after a B-k or an I-k. O(length · tags).

    Viterbi's algorithm; He et al. 2017, section 2.2. What stands behind a sentence's end means nothing.
    """
    num_kinds = scores.shape[2] // 2
    best = scores[:, 0].clone()
    best[:, 1 + num_kinds :] = LOWEST
    stay = torch.arange(scores.shape[2], device=scores.device)
    came_from = []
    for t in range(1, scores.shape[1]):
        top, origin = best.max(1, keepdim=True)
        inside, choice = best[:, 1:].unflatten(1, (2, num_kinds)).max(1)
        entered = torch.cat([top.expand(-1, 1 + num_kinds), inside], 1) + scores[:, t]
        within = 1 + choice * num_kinds + stay[:num_kinds]
        origins = torch.cat([origin.expand(-1, 1 + num_kinds), within], 1)
        going_on = is_token[:, t, None]
        came_from.append(torch.where(going_on, origins, stay))
        best = torch.where(going_on, entered, best)
    return _trace(best.argmax(1), came_from)


def _trace(tag: Tensor, came_from: list[Tensor]) -> Tensor:
    path = [tag]
    for origin in reversed(came_from):
        tag = origin.gather(1, tag[:, None]).squeeze(1)
        path.append(tag)
    return torch.stack(path[::-1], 1)


@torch.no_grad()
def best_unique_spans(scores: Float[Tensor, "length tags"], unique: list[int]) -> Int[Tensor, " length"]:
    """The same for one sentence, where each kind in `unique` (counted from 0) occurs at most once. O(2^unique · length · tags).

    The state of the search is the tag and which of these kinds have begun; Täckström et al. 2015, section 4.
    """
    length, num_tags = scores.shape
    num_kinds = num_tags // 2
    used = torch.arange(2 ** len(unique))
    begins = torch.arange(num_tags).expand(len(used), -1) < 1 + num_kinds
    best = torch.full((len(used), num_tags), LOWEST, dtype=scores.dtype)
    best[0, 0] = 0
    tags = torch.arange(num_tags)
    steps = []
    for t in range(length):
        top, origin = best.max(1)
        entered = top[:, None].expand(-1, num_tags).clone()
        came_from = (used * num_tags + origin)[:, None].expand(-1, num_tags).clone()
        for bit, kind in enumerate(unique):
            without = used & ~(1 << bit)
            has = (used >> bit & 1).bool()
            entered[:, 1 + kind] = torch.where(has, top[without], LOWEST)
            came_from[:, 1 + kind] = without * num_tags + origin[without]
        inside, choice = best[:, 1:].unflatten(1, (2, num_kinds)).max(1)
        within = used[:, None] * num_tags + 1 + choice * num_kinds + tags[:num_kinds]
        entered = torch.where(begins, entered, torch.cat([inside[:, :1], inside, inside], 1))
        steps.append(torch.where(begins, came_from, torch.cat([within[:, :1], within, within], 1)))
        best = entered + scores[t]
    state = int(best.argmax())
    path = []
    for came_from in reversed(steps):
        path.append(state % num_tags)
        state = int(came_from.flatten()[state])
    return torch.tensor(path[::-1])
