"""A function of a call, computed block by block, with derivatives of any order that are computed block by block too.

What one block computes is recomputed in the backward pass, so memory is O(queries + keys) in every order: the gradient of a
block is again a function of a block, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from regard.attention.call import Block, Call, share
from regard.attention.positions.bias import Bias

GRAPH_NUMBERS = 2**18
"""Numbers a block may hold where a graph is kept of all that is done to them, some forty times as much."""


class Side(Enum):
    """How a block cuts a tensor."""

    ROWS = "rows"  # (batch, heads, queries, …)
    KEYS = "keys"  # (batch, heads, keys, …)
    PAIRS = "pairs"  # (#batch, #heads, #queries, #keys)
    WHOLE = "whole"  # not at all

    def take(self, x: Tensor, block: Block) -> Tensor:
        """The part of a tensor that a block works on."""
        if self is Side.WHOLE:
            return x
        x = x[block.batch.start : block.batch.stop] if x.shape[0] > 1 else x
        if self is not Side.KEYS and x.shape[2] > 1:
            x = x[:, :, block.rows.start : block.rows.stop]
        if self is Side.ROWS:
            return x
        axis = 2 if self is Side.KEYS else 3
        return x if self is Side.PAIRS and x.shape[3] == 1 else block.of_keys(x, axis)

    def summed_in(self, dtype: torch.dtype) -> torch.dtype:
        """The precision of sums over blocks: a long one in half precision would stop growing. Of rows there is none."""
        return dtype if self is Side.ROWS else torch.promote_types(dtype, torch.float32)

    def add(self, total: Tensor, block: Block, part: Tensor) -> None:
        """Add what a block computed where it belongs."""
        if self in (Side.ROWS, Side.WHOLE) or len(block.runs) == 1 or (self is Side.PAIRS and total.shape[3] == 1):
            self.take(total, block).add_(part)
            return
        axis = 2 if self is Side.KEYS else 3
        for run, piece in zip(block.runs, part.split([len(run) for run in block.runs], axis), strict=True):
            self.take(total, Block(block.batch, block.rows, (run,))).add_(piece)


@dataclass(frozen=True)
class Walk:
    """A function (block, *parts) → parts, the sides of its tensors, and the blocks over which its results are summed."""

    function: Callable[..., tuple[Tensor, ...]]
    ins: tuple[Side, ...]
    outs: tuple[tuple[Side, torch.Size, torch.dtype], ...]
    blocks: tuple[Block, ...]

    def run(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The function over all blocks."""
        totals = [tensors[0].new_zeros(size, dtype=side.summed_in(dtype)) for side, size, dtype in self.outs]
        for block in self.blocks:
            parts = self.function(block, *(side.take(x, block) for side, x in zip(self.ins, tensors, strict=True)))
            for (side, _, _), total, part in zip(self.outs, totals, parts, strict=True):
                side.add(total, block, part)
        return tuple(total.to(dtype) for total, (_, _, dtype) in zip(totals, self.outs, strict=True))

    def pullback(self, tensors: tuple[Tensor, ...], wanted: list[int]) -> Walk:
        """The walk (*tensors, *gradients of the results) → gradients of the `wanted` tensors."""
        count = len(self.ins)

        def gradients(block: Block, *parts: Tensor) -> tuple[Tensor, ...]:
            keep_graph = torch.is_grad_enabled()
            with torch.enable_grad():
                given = [
                    x if keep_graph and (x.requires_grad or i not in wanted) else x.detach().requires_grad_(i in wanted)
                    for i, x in enumerate(parts[:count])
                ]
                results = zip(self.function(block, *given), parts[count:], strict=True)
                moved = [(result, gradient) for result, gradient in results if result.requires_grad]
                return torch.autograd.grad(
                    [result for result, _ in moved],
                    [given[i] for i in wanted],
                    [gradient for _, gradient in moved],
                    create_graph=keep_graph,
                    materialize_grads=True,
                )

        ins = self.ins + tuple(side for side, _, _ in self.outs)
        outs = tuple((self.ins[i], tensors[i].shape, tensors[i].dtype) for i in wanted)
        return Walk(gradients, ins, outs, self.blocks)

    def pushed(self, tensors: tuple[Tensor, ...], tangents: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        """Tangents of the results: the transpose of the pullback, which is linear in the gradients."""
        moved = [i for i, tangent in enumerate(tangents) if tangent is not None]
        gradients = tuple(tensors[0].new_zeros(size, dtype=dtype) for _, size, dtype in self.outs)
        once = self.pullback(tensors, moved)
        twice = once.pullback((*tensors, *gradients), list(range(len(tensors), len(tensors) + len(gradients))))
        return walked(twice, *tensors, *gradients, *(tangents[i] for i in moved))  # type: ignore[arg-type]


class _Walked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, walk: Walk, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.walk = walk
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        return walk.run(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = [i for i, needs in enumerate(ctx.needs_input_grad[1:]) if needs]
        found = iter(walked(ctx.walk.pullback(tensors, wanted), *tensors, *gradients))
        return None, *(next(found) if i in wanted else None for i in range(len(tensors)))

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        return ctx.walk.pushed(ctx.saved_tensors, tangents)


def walked(walk: Walk, *tensors: Tensor) -> tuple[Tensor, ...]:
    """walk.run(*tensors), differentiable any number of times."""
    return _Walked.apply(_as_now(walk), *tensors)  # type: ignore[no-untyped-call]


def _as_now(walk: Walk) -> Walk:
    """The walk with the autocast of now, also in a backward pass, in which there is none."""
    device = "cuda" if torch.is_autocast_enabled("cuda") else "cpu"
    if not torch.is_autocast_enabled(device):
        return walk
    dtype = torch.get_autocast_dtype(device)

    def function(block: Block, *parts: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device, dtype):
            return walk.function(block, *parts)

    return Walk(function, walk.ins, walk.outs, walk.blocks)


def walk_of(call: Call, numbers: int = 0) -> tuple[Walk, tuple[Tensor, ...]]:
    """The output of a call as a walk over its blocks, and the tensors that it is a function of; see Call.blocks."""
    block_of = _BlockOf(hollow(call))
    learned = dict(block_of.named_parameters())
    bias = (call.bias,) if isinstance(call.bias, Tensor) else ()
    given = 3 + len(bias)

    def function(block: Block, *parts: Tensor) -> tuple[Tensor, ...]:
        if not learned:
            return (block_of(block, *parts),)
        parameters = dict(zip(learned, parts[given:], strict=True))
        return (torch.func.functional_call(block_of, parameters, (block, *parts[:given])),)

    ins = (Side.ROWS, Side.KEYS, Side.KEYS, *(Side.PAIRS for _ in bias), *(Side.WHOLE for _ in learned))
    out = Side.ROWS, torch.Size((*call.query.shape[:3], call.value.shape[3])), call.query.dtype
    tensors = call.query, call.key, call.value, *bias, *learned.values()
    return Walk(function, ins, (out,), tuple(call.blocks(numbers))), tensors


def hollow(given: Any, **others: Any) -> Any:
    """A call, or a form of one, whose tensors have a shape and no memory: what a graph may hold beside the tensors it saves.

    The fields named in `others` get these values.
    """
    tensors = {field.name: x for field in fields(given) if isinstance(x := getattr(given, field.name), Tensor)}
    return replace(given, **{name: x.new_empty_strided(x.shape, (0,) * x.ndim) for name, x in tensors.items()} | others)


class _BlockOf(nn.Module):
    """The output of one block, as a module that has the parameters of the call's mechanism and bias."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.mechanism = call.mechanism
        self.bias = call.bias if isinstance(call.bias, Bias) else None
        self.call = call

    def forward(self, block: Block, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        part = self.call.part(block, query, key, value, bias)
        return part.weights() @ share(part.value, part.shape[1])


class _Fused(torch.autograd.Function):
    """A kernel with a gradient of its own, which has none; second gradients and forward mode come from the walk."""

    @staticmethod
    def forward(ctx: Any, exact: Callable[..., Call], kernel: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        ctx.exact, ctx.kernel = exact, kernel
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        out, ctx.graph = _graph(kernel, tensors)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[2:]
        wanted = [i for i, need in enumerate(needs) if need]
        if torch.is_grad_enabled():
            tensors = ctx.saved_tensors
            walk, _ = walk_of(ctx.exact(*tensors), GRAPH_NUMBERS)
            found = iter(walked(walk.pullback(tensors, wanted), *tensors, gradient))
        else:
            ends = ctx.graph or _graph(ctx.kernel, ctx.saved_tensors)[1]
            ctx.graph = None
            found = iter(torch.autograd.grad(ends[-1], [ends[i] for i in wanted], gradient))
        return None, None, *(next(found) if need else None for need in needs)

    @staticmethod
    def jvp(ctx: Any, _exact: None, _kernel: None, *tangents: Tensor | None) -> Tensor:
        walk, tensors = walk_of(ctx.exact(*ctx.saved_tensors), GRAPH_NUMBERS)
        return walk.pushed(tensors, tangents)[0]


def _graph(kernel: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> tuple[Tensor, list[Any]]:
    """The kernel's output; and the ends of its graph, at each tensor and at the output, which hold no tensor themselves."""
    with torch.enable_grad():
        own = [x.view_as(x) for x in tensors]  # or one that is given twice would be one end
        out = kernel(*own)
    return out.detach(), [get_gradient_edge(x) if x.requires_grad else None for x in (*own, out)]


def fused(exact: Callable[..., Call], kernel: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """kernel(query, key, value[, bias]) with derivatives of any order; `exact` gives the call of such tensors that it computes.

    The mechanism of that call must have no parameters. Neither function may hold a tensor of the size of these.
    """
    return _Fused.apply(exact, kernel, *tensors)  # type: ignore[no-untyped-call]
