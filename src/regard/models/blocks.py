"""Small parts that several models share."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class LockedDropout(nn.Module):
    """Dropout that hides the same features along a whole sequence; Gal and Ghahramani 2016, arXiv:1512.05287."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Float[Tensor, "batch length features"]) -> Float[Tensor, "batch length features"]:
        if not self.training or self.share == 0:
            return x
        kept = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.share
        return x * kept / (1 - self.share)


def positions_before(lengths: Int[Tensor, " batch"], length: int) -> Bool[Tensor, "batch length"]:
    """True where a sequence has not ended yet."""
    return torch.arange(length, device=lengths.device) < lengths[:, None]


def run_packed(
    rnn: nn.LSTM | nn.GRU, x: Float[Tensor, "batch length features"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch length d_model"]:
    """The outputs of a recurrent layer that never sees padding; zeros behind the end."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]
