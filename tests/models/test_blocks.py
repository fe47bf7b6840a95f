"""Parts of models: layers that read each sequence by itself, hidden features, weights for single rows."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from regard.models.blocks import (
    LSTM,
    Bidirectional,
    LockedDropout,
    hide,
    lay_out_for_rows,
    positions_before,
    reverse_within,
)

LENGTHS = torch.tensor([4, 2, 1])


def test_reversal_by_hand():
    x = torch.arange(12.0).view(3, 4, 1)
    reversed_x = reverse_within(x, LENGTHS)[..., 0].tolist()
    assert reversed_x == [[3, 2, 1, 0], [5, 4, 6, 7], [8, 9, 10, 11]]
    assert torch.equal(reverse_within(reverse_within(x, LENGTHS), LENGTHS), x)


@pytest.mark.parametrize(("cell", "plain"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_the_same_as_packed_sequences_with_the_same_weights(cell, plain):
    torch.manual_seed(0)
    ours, theirs = (
        Bidirectional(5, 3, num_layers=2, cell=cell).double(),
        plain(5, 3, 2, bidirectional=True, batch_first=True).double(),
    )
    for layer in range(2):
        for suffix, direction in (("", ours.onward), ("_reverse", ours.returning)):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(direction[layer], f"{name}_l0").data = getattr(theirs, f"{name}_l{layer}{suffix}").data
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True)
    expected = pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    is_token = positions_before(LENGTHS, 4)
    torch.testing.assert_close(ours(x, LENGTHS)[is_token], expected[is_token])


def test_what_stands_behind_the_end_changes_nothing():
    torch.manual_seed(0)
    model = Bidirectional(5, 3)
    x = torch.randn(3, 4, 5)
    is_token = positions_before(LENGTHS, 4)
    other = torch.where(is_token[:, :, None], x, torch.randn_like(x))
    torch.testing.assert_close(model(x, LENGTHS)[is_token], model(other, LENGTHS)[is_token])


@pytest.mark.parametrize(("num_rows", "is_mixed", "read"), [(23, True, 24), (63, True, 64), (17, True, 17), (23, False, 23)])
def test_rows_are_filled_up_for_mixed_precision_alone_and_change_nothing(monkeypatch, num_rows, is_mixed, read):
    torch.manual_seed(0)
    ours, plain = LSTM(5, 3), nn.LSTM(5, 3, batch_first=True)
    plain.load_state_dict(ours.state_dict())
    x, rows, forward = torch.randn(num_rows, 4, 5), [], nn.LSTM.forward
    monkeypatch.setattr(nn.LSTM, "forward", lambda self, x, hx=None: rows.append(len(x)) or forward(self, x, hx))
    with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
        found, expected = ours(x), plain(x)[0]
    assert rows == [read, num_rows]
    assert found.shape == (num_rows, 4, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
    found.float().sum().backward()
    expected.float().sum().backward()
    for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=0.03, atol=0.03)


def test_dropout_is_the_same_along_a_sequence_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = LockedDropout(0.25)(torch.ones(200, 7, 50))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(4 / 3).item()}
    assert abs(dropped.mean() - 1) < 0.02
    assert torch.equal(LockedDropout(0.25).eval()(dropped), dropped)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hidden_features_are_a_share_and_what_stays_makes_up_for_them(share, dtype):
    torch.manual_seed(0)
    x = torch.ones(300, 1001, dtype=dtype, requires_grad=True)
    hidden = hide(x, share, True)
    assert hidden.dtype == dtype
    assert float((hidden == 0).double().mean()) == pytest.approx(share, abs=0.005)
    assert float(hidden.detach().double().mean()) == pytest.approx(1, abs=0.02)
    hidden.sum().backward()
    assert torch.equal(x.grad, hidden.detach())


def test_nothing_is_hidden_where_nothing_is_learnt():
    x = torch.randn(3, 5)
    assert hide(x, 0.5, False) is x
    assert hide(x, 0.0, True) is x


def test_nearly_all_may_be_hidden():
    assert hide(torch.ones(10_000), 0.999, True).isfinite().all()


def test_weights_laid_out_for_rows_are_the_same_weights():
    wide, narrow = torch.nn.Linear(4, 9), torch.nn.Linear(9, 4)
    before = [layer.weight.clone() for layer in (wide, narrow)]
    lay_out_for_rows(torch.nn.Sequential(wide, narrow))
    assert torch.equal(wide.weight, before[0])
    assert torch.equal(narrow.weight, before[1])
    assert not wide.weight.is_contiguous()
    assert narrow.weight.is_contiguous()
