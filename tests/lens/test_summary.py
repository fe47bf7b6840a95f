"""Heads that were planted are called by their names."""

import torch
from torch import nn

import regard
from regard.attention.normalizers.softmax import Sink
from regard.lens.statistics import Wanted
from regard.lens.summary import ROLES, induction_keys, roles

LENGTH = 200


class Planted(nn.Module):
    """Heads that look where they are told: score 12 at one key of each row, 0 elsewhere."""

    def __init__(self, *keys):
        super().__init__()
        self.keys = keys

    def forward(self, x):
        places = torch.stack([torch.arange(LENGTH) * 0 + torch.as_tensor(one) for one in self.keys])
        query = 12 * nn.functional.one_hot(places.clamp(min=0), LENGTH).float() * (places >= 0)[..., None]
        key = torch.eye(LENGTH).expand(len(self.keys), -1, -1)
        return nn.functional.scaled_dot_product_attention(query[None], key[None], key[None], scale=1.0)


def test_planted_heads_get_their_names():
    at = torch.arange(LENGTH)
    torch.manual_seed(0)
    given = torch.randint(20, LENGTH, (LENGTH,))
    tokens = torch.randint(30, (1, LENGTH))
    repeat = induction_keys(tokens)[0]
    near = at + torch.randint(2, 7, (LENGTH,))
    model = Planted((at - 1).clamp(min=0), 0, given, -1, repeat, near.clamp(max=LENGTH - 1), 150)
    wanted = Wanted(alignments={"alignment": given[None], "induction": repeat[None]})
    with regard.watch(model, wanted) as lens:
        model(torch.zeros(1))
    expected = ["previous token", "sink", "alignment", "diffuse", "induction", "one key", "one key"]
    assert roles(lens)["Planted"] == expected
    for name in expected:
        assert name in lens.summary()


def test_a_spread_out_neighbourhood_is_local_and_a_short_text_is_not():
    def seen(length):
        at = torch.arange(length, dtype=torch.float32)
        near = -(at[:, None] - at).abs() / 2
        with regard.watch(nn.Identity()) as lens:
            x = torch.zeros(1, 1, length, 2)
            nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=near)
        return next(iter(roles(lens).values()))

    assert seen(200) == ["local"]
    assert seen(12) != ["local"]


def test_a_head_that_looks_at_nothing_rests():
    mechanism = regard.ScaledDot(normalize=Sink(1))
    mechanism.normalize.sink.data.fill_(10.0)
    x = torch.zeros(1, 1, 50, 4)
    with regard.watch(mechanism) as lens:
        mechanism(x, x, x)
    assert next(iter(roles(lens).values())) == ["rests"]


def test_induction_looks_after_the_last_time_that_the_token_was_there():
    tokens = torch.tensor([[1, 2, 3, 1, 2, 5, 1], [7, 7, 7, 7, 7, 7, 7]])
    expected = [[-1, -1, -1, 1, 2, -1, 4], [-1, 1, 2, 3, 4, 5, 6]]
    assert induction_keys(tokens).tolist() == expected


def test_every_role_says_what_it_means():
    assert len({role.name for role in ROLES}) == len(ROLES)
    assert all(role.says for role in ROLES)


def test_a_long_table_is_cut_and_says_so():
    from regard.lens.summary import table

    x = torch.zeros(1, 30, 4, 2)
    with regard.watch(nn.Identity()) as lens:
        nn.functional.scaled_dot_product_attention(x, x, x)
    assert "and 21 heads more: lens.to_pandas() has all" in table(lens, most_lines=10)
