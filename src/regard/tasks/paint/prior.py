"""What a vae paints from, once it has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from regard.models.painting.vae import Vae
from regard.tasks.folder import Run
from regard.tasks.paint.request import Request

MOST = 20_000
"""Pictures that a prior is fitted to."""
AT_ONCE = 64


def fit_prior(run: Run, requests: Sequence[Request]) -> None:
    """Fit the prior of a vae to the pictures that it was trained on, as they are; evenly drawn where they are many."""
    model = run.model
    if not isinstance(model, Vae):
        return
    plain = [replace(request, is_training=False) for request in requests[:: -(-len(requests) // MOST)]]
    device = next(model.parameters()).device
    batches = (run.encoder.collate(plain[start : start + AT_ONCE]) for start in range(0, len(plain), AT_ONCE))
    model.eval().fit_prior({name: tensor.to(device) for name, tensor in batch.items()} for batch in batches)
