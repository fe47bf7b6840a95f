"""Sums over blocks: their precision, their derivatives, and what a graph of them keeps in memory."""

import weakref

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from regard.attention import DropKey, DropWeights, attention, causal
from regard.attention.blockwise import Side, Walk
from regard.attention.call import Block
from regard.attention.mechanism import mechanism_named

CALLS = {
    "sdpa": {"backend": "sdpa"},
    "sdpa, dropped keys": {"backend": "sdpa", "dropout": DropKey(0.3, seed=1)},
    "tiled": {"backend": "tiled"},
    "tiled, sinks": {"backend": "tiled", "mechanism": "sink"},
    "tiled, softcap": {"backend": "tiled", "mechanism": "softcap"},
    "tiled, dropped weights": {"backend": "tiled", "dropout": DropWeights(0.3, seed=1)},
    "tiled, sigmoid": {"backend": "tiled", "mechanism": "sigmoid"},
}
each_call = pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)


def attended(query, key, value, backend, mechanism="softmax", dropout=None):
    made = mechanism_named(mechanism, query.shape[3], query.shape[1]).to(query.dtype)
    return made(query, key, value, backend=backend, dropout=dropout)


@pytest.mark.parametrize("side", [Side.KEYS, Side.PAIRS, Side.WHOLE], ids=lambda side: side.value)
def test_a_long_sum_in_half_precision_does_not_stop_growing(side):
    """One by one, bfloat16 would count to 256."""
    blocks = tuple(Block(range(1), range(row, row + 1), (range(1),)) for row in range(1000))
    walk = Walk(lambda _, x: (x,), (Side.ROWS,), ((side, torch.Size((1, 1, 1, 1)), torch.bfloat16),), blocks)
    (total,) = walk.run(torch.ones(1, 1, 1000, 1, dtype=torch.bfloat16))
    assert total.dtype == torch.bfloat16
    assert total.item() == 1000


@pytest.mark.parametrize("mechanism", ["softmax", "softcap", "additive"])
def test_gradients_in_half_precision_are_not_lost_from_block_to_block(mechanism, monkeypatch):
    """Each row of weights sums to one, so the gradients of the values are 1 in the mean."""
    monkeypatch.setattr("regard.attention.call.TILE_ROWS", 2)
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, length, 8).bfloat16().requires_grad_() for length in (1024, 16, 16))
    attended(query, key, value, "tiled", mechanism).sum().backward()
    assert value.grad.float().mean().item() * 16 / 1024 == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("moved", [0, 1, 2], ids=["query", "key", "value"])
@each_call
def test_second_gradients_where_one_tensor_alone_moves(options, moved):
    """A sum of outputs and of squared slopes; the slope by a value has no slope by it."""
    torch.manual_seed(0)
    given = [torch.randn(1, 2, 6, 4, dtype=torch.float64) for _ in range(3)]
    given[moved].requires_grad_()
    found = []
    for backend in (options["backend"], "reference"):
        out = attended(*given, **{**options, "backend": backend})
        (slope,) = torch.autograd.grad(out.sum(), given[moved], create_graph=True)
        found.append(torch.autograd.grad(out.sum() + slope.square().sum(), given[moved])[0])
    torch.testing.assert_close(*found)


def memory_of(tensors):
    return [weakref.ref(x.untyped_storage()) for x in tensors]


@each_call
def test_the_graph_lets_go_of_its_tensors_in_the_backward_pass(options):
    leaf = torch.randn(1, 2, 70, 4, requires_grad=True)
    given = [leaf * factor for factor in (1, 2, 3)]
    seen, out = memory_of(given), attended(*given, **options).sum()
    del given
    assert all(kept() is not None for kept in seen)
    out.backward()
    assert all(kept() is None for kept in seen)


@each_call
def test_activation_checkpointing_drops_what_it_computes_again(options):
    seen, leaf = [], torch.randn(1, 2, 70, 4, requires_grad=True)

    def computed(x):
        given = [x * factor for factor in (1, 2, 3)]
        out = attended(*given, **options)
        seen.extend(memory_of([*given, out]))
        return out.sin().sin()

    out = checkpoint(computed, leaf, use_reentrant=False)
    assert all(kept() is None for kept in seen)
    (found,) = torch.autograd.grad(out.sum(), leaf)
    torch.testing.assert_close(found, torch.autograd.grad(computed(leaf).sum(), leaf)[0])


def test_no_memory_of_blocks_is_kept_between_the_passes():
    x = torch.randn(1, 2, 300, 4, requires_grad=True)
    tiles = attention(x, x, x, mask=causal, dropout=DropWeights(0.3), backend="tiled").grad_fn.tiles
    assert len(tiles.blocks) > 1
    assert not tiles._scratch
    assert tiles._last is None
