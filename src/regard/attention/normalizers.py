"""From scores to a distribution over keys. A row with no permitted key is all zero, never NaN."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def softmax(
    scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
) -> Float[Tensor, "batch heads rows keys"]:
    """exp(score) / Σ exp(score) over the permitted keys of a row."""
    if scores.shape[-1] == 0:  # a maximum over no keys does not exist
        return scores
    scores = scores.masked_fill(~allowed, float("-inf"))
    peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    mass = (scores - peak).exp()
    return mass / mass.sum(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)
