"""What is known of pairs of query and key without going through all of them. O(queries) memory."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.attention import dots
from regard.attention.blockwise import Side
from regard.attention.call import Call
from regard.attention.masks.band import Band


def permitted_keys(call: Call) -> Int[Tensor, "batch heads queries"]:
    """How many keys each query may look at; a bias of −inf forbids too. Writes the mask, block by block, where it must."""
    batch, heads, queries, keys = call.shape
    counts = torch.zeros(batch, heads, queries, dtype=torch.long, device=call.query.device)
    if isinstance(call.mask, Band) and not isinstance(call.bias, Tensor):
        row = torch.arange(queries, device=counts.device)
        left, right = ((queries + keys if limit is None else limit) for limit in (call.mask.left, call.mask.right))
        return counts + ((row + right).clamp(max=keys - 1) - (row - left).clamp(min=0) + 1).clamp(min=0)
    for block in call.blocks():
        if block.is_full and not isinstance(call.bias, Tensor):
            Side.ROWS.take(counts, block).fill_(sum(map(len, block.runs)))
            continue
        sides = range(len(block.rows)), range(sum(map(len, block.runs)))
        mask = call.mask.part(block.rows, block.keys, block.batch)
        allowed = mask.write((len(block.batch), heads), *sides, counts.device)
        if isinstance(call.bias, Tensor):
            allowed = allowed & ~call.bias_of(block).isneginf()  # type: ignore[union-attr]
        Side.ROWS.take(counts, block).copy_(allowed.sum(-1))
    return counts


def scores_at(
    call: Call, form: dots.Dots, keys: Int[Tensor, "#batch queries"]
) -> tuple[Bool[Tensor, "batch heads queries"], Float[Tensor, "batch heads queries"]]:
    """Of one key for each query: may the query look at it, and its score. O(queries) memory."""
    batch, heads, queries, num_keys = call.shape
    keys = keys.to(call.query.device).expand(batch, queries)
    is_named = (keys >= 0) & (keys < num_keys)
    sides = (torch.arange(size, device=keys.device) for size in (batch, heads, queries))
    b, h, q = torch.meshgrid(*sides, indexing="ij")
    k = keys.clamp(0, max(0, num_keys - 1))[:, None].expand(batch, heads, queries)
    scores = (form.query * form.key[b, h // (heads // call.key.shape[1]), k]).sum(-1) * form.scale
    if form.softcap is not None:
        scores = form.softcap * torch.tanh(scores / form.softcap)
    if isinstance(call.bias, Tensor):
        at = zip((b, h, q, k), call.bias.shape, strict=True)
        scores = scores + call.bias[tuple(i if size > 1 else torch.zeros_like(i) for i, size in at)]
    elif call.bias is not None:
        scores = scores + call.bias.at(h, q, k).to(scores.dtype)
    is_there = is_named[:, None] & call.mask.allows(b, h, q, k) & ~scores.isneginf()
    return is_there, torch.where(is_there, scores, 0)


def weights_at(
    form: dots.Dots, log_sum: Float[Tensor, "batch heads queries"], keys: Int[Tensor, "#batch queries"]
) -> Float[Tensor, "batch heads queries"]:
    """exp(S − log_sum) of one key for each query; NaN where it is −1."""
    is_there, scores = scores_at(form.call, form, keys)
    weights = torch.where(is_there & log_sum.isfinite(), (scores - log_sum).exp(), 0)
    return weights.masked_fill((keys < 0).to(weights.device)[:, None], math.nan)
