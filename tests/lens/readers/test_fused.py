"""What PyTorch may run as one kernel is read from its own inputs, and what a subclass runs instead is met."""

import pytest
import torch
from torch import nn

import regard
from tests.lens.readers.test_pytorch import Fused, scores_of


@pytest.fixture
def x():
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


def test_a_subclass_with_the_forward_of_pytorch_keeps_its_fused_path(x):
    class Own(nn.MultiheadAttention):
        """Only its name differs."""

    model = Own(8, 2, batch_first=True).eval()
    with torch.no_grad():
        without, weights = model(x, x, x, average_attn_weights=False)
        with regard.watch(model) as lens:
            within, _ = model(x, x, x, average_attn_weights=False)
    assert torch.equal(without, within)
    torch.testing.assert_close(lens["Own"].statistics.block_map, weights)


def test_a_layer_of_ones_own_is_seen_inside_an_encoder_of_pytorch(x):
    class Layer(nn.TransformerEncoderLayer):
        def __init__(self):
            super().__init__(8, 2, 8, batch_first=True)
            self.attend = Fused()

        def forward(self, src, **_):
            return self.attend(src).transpose(1, 2).flatten(2)

    model = nn.TransformerEncoder(Layer(), 2, enable_nested_tensor=False).eval()
    with regard.watch(model) as lens:
        model(x)
    assert lens.layers == ["layers.0.attend", "layers.1.attend"]
    torch.testing.assert_close(lens[0].statistics.block_map, scores_of(x).softmax(-1))


class Causal(nn.TransformerEncoderLayer):
    """A layer with an attention block of its own."""

    def __init__(self):
        super().__init__(8, 2, 8, dropout=0.0, batch_first=True)
        self.options = {"is_causal": True}

    def _sa_block(self, x, *_, **__):
        return Fused.forward(self, x).transpose(1, 2).flatten(2)


def test_an_attention_block_of_ones_own_is_met(x):
    model = Causal()
    without = model(x)
    with regard.watch(model) as lens:
        within = model(x)
    assert torch.equal(without, within)
    assert lens.layers == ["Causal"]
    hidden = torch.ones(5, 5).tril() == 0
    torch.testing.assert_close(lens[0].statistics.block_map, scores_of(x).masked_fill(hidden, -torch.inf).softmax(-1))
    assert "_sa_block" not in vars(model)


def test_an_attention_block_that_pytorch_passes_over_is_not_read(x):
    model = Causal().eval()
    with torch.no_grad():
        without = model(x)
        _, weights = model.self_attn(x, x, x, average_attn_weights=False)
        with regard.watch(model) as lens:
            within = model(x)
    assert torch.equal(without, within)
    assert lens.layers == ["self_attn"]
    torch.testing.assert_close(lens[0].statistics.block_map, weights)


def test_a_block_that_was_put_into_one_layer_stays_there(x):
    model = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    model._sa_block = block = lambda x, *_, **__: Fused(is_causal=True)(x).transpose(1, 2).flatten(2)
    with regard.watch(model) as lens:
        model(x)
    assert lens[0].statistics.permitted_keys[0, 0].tolist() == [1, 2, 3, 4, 5]
    assert vars(model)["_sa_block"] is block


def test_a_layer_whose_attention_shows_no_softmax_is_said_to_be_unseen(x):
    class Average(nn.Module):
        def forward(self, query, key, value, **_):
            return value.mean(1, keepdim=True).expand_as(query), None

    model = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    model.self_attn = Average()
    with pytest.warns(UserWarning, match="its self-attention multiplies no softmax by values"), regard.watch(model) as lens:
        model(x)
    assert [layer for layer, _ in lens.unseen] == ["TransformerEncoderLayer"]
