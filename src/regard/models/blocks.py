"""Small parts that several models share."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

EVEN_ROWS = 8
"""Rows of a matrix that are cut into blocks of one size without a rest."""


def hide(x: Float[Tensor, "*shape"], share: float, is_training: bool) -> Float[Tensor, "*shape"]:
    """Dropout, its share taken to whole 256ths: eight random bytes a draw, where PyTorch draws once an element on a CPU."""
    level = min(255, round(256 * share))
    if not is_training or level == 0:
        return x
    draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= level
    return x * kept.to(x.dtype).mul_(256 / (256 - level))


class LockedDropout(nn.Dropout):
    """Dropout that hides the same features along a whole sequence; Gal and Ghahramani 2016, arXiv:1512.05287.

    What is no (batch, length, features), such as weights of attention, is thinned value by value.
    """

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if x.dim() != 3:
            return super().forward(x)
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.p
        return x * kept / (1 - self.p)


def positions_before(lengths: Int[Tensor, " batch"], length: int) -> Bool[Tensor, "batch length"]:
    """True where a sequence has not ended yet."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def reverse_within(
    x: Float[Tensor, "batch length features"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch length features"]:
    """Each sequence from its own end to its start; what stands behind the end stays."""
    position = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    source = torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)
    rows = source + x.shape[1] * torch.arange(len(x), device=x.device)[:, None]
    return x.flatten(0, 1).index_select(0, rows.flatten()).view_as(x)


class LSTM(nn.LSTM):
    """nn.LSTM, batches first, whose states nobody asks for; in mixed precision on a CPU rows are filled up to whole eights.

    oneDNN cuts them into blocks of one size: for 127 it takes twice the time of 128 (PyTorch 2.13, a processor with AMX). More
    than an eighth is never filled in, and it is cut off again.
    """

    def __init__(self, d_input: int, d_hidden: int, num_layers: int = 1) -> None:
        super().__init__(d_input, d_hidden, num_layers, batch_first=True)

    def forward(self, x: Float[Tensor, "batch length d_input"]) -> Float[Tensor, "batch length d_hidden"]:  # type: ignore[override]
        missing = -len(x) % EVEN_ROWS if x.device.type == "cpu" and torch.is_autocast_enabled("cpu") else 0
        is_filled = 0 < 8 * missing <= len(x)
        return super().forward(nn.functional.pad(x, (0, 0, 0, 0, 0, missing)) if is_filled else x)[0][: len(x)]


class GRU(nn.GRU):
    """nn.GRU, batches first, whose states nobody asks for."""

    def __init__(self, d_input: int, d_hidden: int, num_layers: int = 1) -> None:
        super().__init__(d_input, d_hidden, num_layers, batch_first=True)

    def forward(self, x: Float[Tensor, "batch length d_input"]) -> Float[Tensor, "batch length d_hidden"]:  # type: ignore[override]
        return super().forward(x)[0]


CELLS: dict[str, type[LSTM | GRU]] = {"lstm": LSTM, "gru": GRU}


class Bidirectional(nn.Module):
    """Reads each sequence from both of its ends, and never padding on the way to a token.

    The same as such cells over packed sequences, except that outputs behind the end are not zero: packing keeps PyTorch
    from its fused CPU layer of LSTMs, which takes about half of the time, forward and backward.
    """

    def __init__(self, d_input: int, d_hidden: int, num_layers: int = 1, cell: str = "lstm") -> None:
        super().__init__()
        widths = [d_input, *[2 * d_hidden] * (num_layers - 1)]
        self.onward = nn.ModuleList(CELLS[cell](width, d_hidden) for width in widths)
        self.returning = nn.ModuleList(CELLS[cell](width, d_hidden) for width in widths)

    def forward(
        self, x: Float[Tensor, "batch length features"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch length d_model"]:
        """Both directions side by side."""
        for onward, returning in zip(self.onward, self.returning, strict=True):
            back = reverse_within(returning(reverse_within(x, lengths)), lengths)
            x = torch.cat([onward(x), back], -1)
        return x


class HighwayLSTM(nn.Module):
    """A layer in both directions, mixed with what it reads by a gate: g · LSTM(x) + (1 − g) · W x; g = σ(V x).

    Srivastava et al. 2015, arXiv:1505.00387, eq. 3, around whole layers. W is left out where the widths agree.
    """

    def __init__(self, d_input: int, d_hidden: int) -> None:
        super().__init__()
        self.recurrent = Bidirectional(d_input, d_hidden)
        self.gate = nn.Linear(d_input, 2 * d_hidden)
        self.carry = nn.Identity() if d_input == 2 * d_hidden else nn.Linear(d_input, 2 * d_hidden, bias=False)

    def forward(
        self, x: Float[Tensor, "batch length features"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch length d_model"]:
        carried = self.carry(x)
        return carried + self.gate(x).sigmoid() * (self.recurrent(x, lengths) - carried)


def is_bare(module: nn.Module) -> bool:
    """Does its call do no more than its class says: no hook, and no other `forward` put in its place?"""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def lay_out_for_rows(model: nn.Module) -> None:
    """Lay the weights of layers that do not narrow out by columns, which is faster for a single row on a CPU; same numbers."""
    for layer in model.modules():
        is_wide = isinstance(layer, nn.Linear) and layer.out_features >= layer.in_features
        if is_wide and layer.weight.device.type == "cpu" and layer.weight.is_contiguous():
            layer.weight.data = layer.weight.data.t().contiguous().t()
