"""Attention to a few places of maps of several sizes, chosen by the query; Zhu et al. 2021, arXiv:2010.04159."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from regard.errors import InputError

Map = Float[Tensor, "batch heads head_dim _ _"]


class Samples(NamedTuple):
    """Where each query looks, and how much: the weights of a head sum to 1 over levels and points."""

    places: Float[Tensor, "batch queries heads levels points 2"]
    """x and y in shares of a map's sides: 0 and 1 are the outer edges of its first and its last cell."""
    weights: Float[Tensor, "batch queries heads levels points"]


def deformable_attention(maps: Sequence[Map], samples: Samples) -> Float[Tensor, "batch queries d_model"]:
    """Σ over levels and points of weight · map(place), the heads side by side; eq. 3.

    Between four cells a map is read bilinearly, and beyond its edges as zeros. O(queries · heads · levels · points). On a GPU
    with Triton nothing that was read is held, and gradients of maps are added up in no fixed order; there are no second ones.
    """
    if _has_kernels(maps, samples):
        from regard.attention.kernels.sampling import sampled

        return sampled(maps, samples.places, samples.weights)
    heads = torch.stack([_read(one, samples.places[:, :, :, level]) for level, one in enumerate(maps)], -2)
    weighed = heads * samples.weights.transpose(1, 2)[:, :, None]
    return weighed.sum((-2, -1)).flatten(1, 2).mT


def _has_kernels(maps: Sequence[Map], samples: Samples) -> bool:
    return (
        all(one.is_cuda and one.dtype in (torch.float32, torch.bfloat16, torch.float16) for one in maps)
        and samples.places.dtype == samples.weights.dtype == torch.float32
        and find_spec("triton") is not None
    )


def _read(one: Map, places: Float[Tensor, "batch queries heads points 2"]) -> Tensor:
    """(batch, heads, head_dim, queries, points)."""
    grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)
    return grid_sample(one.flatten(0, 1).to(grid.dtype), grid, align_corners=False).unflatten(0, one.shape[:2])


class DeformableAttention(nn.Module):
    """Σ over heads of W Σ over levels and points of weight · (W' map)(reference + offset); eq. 3.

    A reference is a box, and offsets are in halves of its sides, divided by the number of points: appendix A.4. At first the
    offsets do not depend on the query: each head looks in a direction of its own, at each level alike, one point behind the
    other. Who wants to see where a call looked gives the same arguments to `samples`.
    """

    def __init__(self, d_model: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        if min(num_heads, num_levels, num_points) < 1 or d_model % num_heads:
            raise InputError(
                "d_model must be a multiple of num_heads, and heads, levels and points at least 1, "
                f"got {d_model}, {num_heads}, {num_levels} and {num_points}."
            )
        self.sides = num_heads, num_levels, num_points
        self.offset = nn.Linear(d_model, 2 * math.prod(self.sides))
        self.weight = nn.Linear(d_model, math.prod(self.sides))
        self.value, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        for layer in (self.offset, self.weight):
            nn.init.zeros_(layer.weight)
        for layer in (self.weight, self.value, self.out):
            nn.init.zeros_(layer.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
        with torch.no_grad():
            self.offset.bias.copy_(_ring(num_heads, num_points)[:, None].expand(*self.sides, 2).flatten())

    def forward(
        self,
        x: Float[Tensor, "batch queries d_model"],
        boxes: Float[Tensor, "batch queries 4"],
        maps: Sequence[Float[Tensor, "batch d_model _ _"]],
        inside: Sequence[Float[Tensor, "batch 1 _ _"]] | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """`boxes` are (x, y, width, height) of middles, in shares of the maps' sides; where `inside` is 0 a map is zero."""
        values = [self._values(one) for one in maps]
        if inside is not None:
            values = [one * kept[:, None] for one, kept in zip(values, inside, strict=True)]
        return self.out(deformable_attention(values, self.samples(x, boxes)))

    def samples(
        self, x: Float[Tensor, "batch queries d_model"], boxes: Float[Tensor, "batch queries 4"], *_: object
    ) -> Samples:
        """Where a call looks, in the precision of the boxes."""
        offsets = self.offset(x).to(boxes.dtype).unflatten(-1, (*self.sides, 2))
        middle, side = (part[:, :, None, None, None] for part in boxes.split(2, -1))
        weights = self.weight(x).to(boxes.dtype).unflatten(-1, (self.sides[0], -1)).softmax(-1)
        places = middle + offsets * side / (2 * self.sides[2])
        return Samples(places, weights.unflatten(-1, self.sides[1:]))

    def _values(self, one: Float[Tensor, "batch d_model _ _"]) -> Map:
        return self.value(one.movedim(1, -1)).movedim(-1, 1).unflatten(1, (self.sides[0], -1))


def _ring(num_heads: int, num_points: int) -> Float[Tensor, "heads points 2"]:
    """The edge of a square around the middle, a direction a head, and its points at distances 1, 2, …"""
    turns = torch.arange(num_heads) * (2 * math.pi / num_heads)
    directions = torch.stack([turns.cos(), turns.sin()], -1)
    directions = directions / directions.abs().amax(-1, keepdim=True)
    return directions[:, None] * torch.arange(1, num_points + 1)[:, None]
