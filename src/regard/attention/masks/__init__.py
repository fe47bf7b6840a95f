"""Masks as functions of positions, joined by `& | ~`. True means: this query may look at this key."""

import torch

from regard.attention.masks.band import Band, causal, dilated, everything, lower_right, window
from regard.attention.masks.blocks import block_sparse, dense
from regard.attention.masks.content import document, global_local, padding, prefix
from regard.attention.masks.mask import EMPTY, FULL, PARTIAL, Both, Mask, edges

__all__ = [
    "EMPTY",
    "EXAMPLES",
    "FULL",
    "PARTIAL",
    "Band",
    "Both",
    "Mask",
    "block_sparse",
    "causal",
    "dense",
    "dilated",
    "document",
    "edges",
    "everything",
    "global_local",
    "lower_right",
    "padding",
    "picture",
    "prefix",
    "window",
]


def picture(mask: Mask, queries: int, keys: int | None = None, *, batch: int = 0, head: int = 0) -> str:
    """Row by row, `x` where the query may look and `.` where not: picture(causal, 3) == "x.. xx. xxx"."""
    allowed = mask.write((batch + 1, head + 1), range(queries), range(queries if keys is None else keys))
    rows = allowed[min(batch, allowed.shape[0] - 1), min(head, allowed.shape[1] - 1)].tolist()
    return " ".join("".join("x" if may else "." for may in row) for row in rows)


EXAMPLES: dict[str, Mask] = {
    "everything": everything,
    "causal": causal,
    "window": window(1),
    "dilated": dilated(2, 4, 2),
    "prefix": prefix(torch.tensor([2])),
    "padding": padding(torch.tensor([3])),
    "document": document(torch.tensor([[0, 0, 1, 1, 1]])),
    "global-local": global_local([1], 1, 0),
    "block-sparse": block_sparse(torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0]]).bool(), 2),
    "dense": dense(torch.eye(5, dtype=torch.bool)),
}
"""One of each mask of the catalog over five positions, for pictures and for the laws."""
