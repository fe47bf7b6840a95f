"""What is left to do once a painter has learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from regard.data.splitting import evenly
from regard.models.painting import Gan, Vae
from regard.tasks.folder import Run
from regard.tasks.paint.request import Request

MOST = 20_000
"""Pictures that a prior is fitted to."""
AT_ONCE, BATCHES = 64, 50
"""Requests of a batch, and batches that a gan settles by."""


def settle(run: Run, requests: Sequence[Request]) -> None:
    """A vae gets its prior from the pictures that it was trained on, a gan means and variances of its own maps."""
    model = run.model
    if isinstance(model, Vae):
        plain = [replace(request, is_training=False) for request in evenly(requests, MOST)]
        model.eval().fit_prior(_batches(run, plain))
    elif isinstance(model, Gan):
        model.settle(_batches(run, _noise([request.label for request in requests])))


def _noise(labels: Sequence[str | None]) -> list[Request]:
    """Seeds for full batches, with the classes of training mixed: each batch counts as much as any other."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).tolist()
    return [Request(seed, labels[order[seed % len(order)]]) for seed in range(AT_ONCE * BATCHES)]


def _batches(run: Run, requests: Sequence[Request]) -> Iterator[dict[str, Tensor]]:
    device = next(run.model.parameters()).device
    for start in range(0, len(requests), AT_ONCE):
        batch = run.encoder.collate(list(requests[start : start + AT_ONCE]))
        yield {name: tensor.to(device) for name, tensor in batch.items()}
