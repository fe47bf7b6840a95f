"""How much each token counts for a prediction: as attention has it, and as gradients have it, to hold it against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import InputError
from regard.lens.record import Lens
from regard.lens.rollout import rollout

RECEIVED, ROW, ROLLOUT = "attention received", "attention row", "attention rollout"
GRADIENT, TIMES_INPUT = "gradient", "gradient × input"


@torch.no_grad()
def of_attention(lens: Lens, tokens: Sequence[int]) -> dict[str, Float[Tensor, " tokens"]]:
    """Of one example: what each token receives (mean over layers, heads and queries), what the `tokens` that the prediction is
    made at look at (last layer, mean over heads), and their rollout.

    `lens` watched "mass_received" of one forward pass of that example alone, with keep_calls=True.
    """
    readings = [lens[layer] for layer in lens.layers]
    if not readings:
        raise InputError("The lens saw no attention: the model has none, or was not called inside the watch.")
    if any(reading.shape[0] != 1 for reading in readings):
        raise InputError(f"Attributions are of one example at a time, got a batch of {readings[0].shape[0]}.")
    received = [reading.statistics.mass_received[0].double().mean(0) / reading.shape[2] for reading in readings]
    last = readings[-1]
    rows = torch.cat([last.weights(range(token % last.shape[2], token % last.shape[2] + 1)) for token in tokens], 2)
    return {
        RECEIVED: torch.stack(received).mean(0),
        ROW: rows[0].double().mean((0, 1)),
        ROLLOUT: rollout(lens, tokens)[0].double().mean(0).cpu(),
    }


def of_gradients(embedding: nn.Module, probability: Callable[[], Tensor]) -> dict[str, Float[Tensor, " tokens"]]:
    """‖∂p/∂x‖₂ and x · ∂p/∂x of each token's vector x, what `embedding` returns (1, tokens, width) while p is computed.

    Simonyan et al. 2014, arXiv:1312.6034, section 3, and Denil et al. 2014, arXiv:1412.6815, section 4.
    """
    seen: list[Tensor] = []

    def cut(_module: nn.Module, _given: object, out: Tensor) -> Tensor:
        seen.append(out.detach().requires_grad_())
        return seen[-1]

    hook = embedding.register_forward_hook(cut)
    try:
        # cuDNN has no backward pass for a recurrent layer that is not in training mode
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            found = probability()
    finally:
        hook.remove()
    if len(seen) != 1 or seen[0].dim() != 3 or seen[0].shape[0] != 1:
        shapes = [tuple(x.shape) for x in seen]
        raise InputError(f"embedding must return (1, tokens, width) once in a forward pass, got {shapes}.")
    (gradient,) = torch.autograd.grad(found.sum(), seen)
    x = seen[0].detach()
    return {GRADIENT: gradient[0].norm(dim=-1).double().cpu(), TIMES_INPUT: (gradient * x)[0].sum(-1).double().cpu()}
