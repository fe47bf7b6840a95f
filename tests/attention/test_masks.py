"""Masks against pictures drawn by hand: laws cannot see a wrong definition."""

from itertools import product

import jaxtyping
import pytest
import torch

from regard import InputError
from regard.attention import (
    block_sparse,
    causal,
    dense,
    dilated,
    document,
    everything,
    global_local,
    lower_right,
    padding,
    picture,
    prefix,
    window,
)
from regard.attention.masks import EMPTY, FULL, Band

LENGTHS = torch.tensor([2, 4])
IDS = torch.tensor([[7, 7, 3, 3], [1, 2, 1, 1]])
PICTURES = [
    (everything, 0, "xxxx xxxx xxxx xxxx"),
    (causal, 0, "x... xx.. xxx. xxxx"),
    (window(1), 0, "x... xx.. .xx. ..xx"),
    (window(1, 2), 0, "xxx. xxxx .xxx ..xx"),
    (window(0), 0, "x... .x.. ..x. ...x"),
    (Band(None, 1), 0, "xx.. xxx. xxxx xxxx"),
    (padding(LENGTHS), 0, "xx.. xx.. xx.. xx.."),
    (padding(LENGTHS), 1, "xxxx xxxx xxxx xxxx"),
    (padding(LENGTHS, LENGTHS), 0, "xx.. xx.. .... ...."),
    (document(IDS), 0, "xx.. xx.. ..xx ..xx"),
    (document(IDS), 1, "x.xx .x.. x.xx x.xx"),
    (dense(torch.eye(4, dtype=torch.bool)), 0, "x... .x.. ..x. ...x"),
    (causal & window(1, 1), 0, "x... xx.. .xx. ..xx"),
    (window(0) | causal & padding(LENGTHS), 0, "x... xx.. xxx. xx.x"),
    (~causal, 0, ".xxx ..xx ...x ...."),
    (causal & ~window(1), 0, ".... .... x... xx.."),
    (dilated(2), 0, "x... .x.. x.x. .x.x"),
    (dilated(2, 1, 2), 0, "x.x. .x.x ..x. ...x"),
    (prefix(torch.tensor([2, 3])), 0, "xx.. xx.. xxx. xxxx"),
    (prefix(torch.tensor([2, 3])), 1, "xxx. xxx. xxx. xxxx"),
    (global_local([2], 1, 0), 0, "x.x. xxx. xxxx ..xx"),
    (block_sparse(torch.tensor([[True, False], [False, True]]), 2), 0, "xx.. xx.. ..xx ..xx"),
    (document(IDS) & causal, 0, "x... xx.. ..x. ..xx"),
]


@pytest.mark.parametrize(("mask", "batch", "expected"), PICTURES, ids=[f"{mask}-{batch}" for mask, batch, _ in PICTURES])
def test_a_mask_looks_like_its_picture(mask, batch, expected):
    assert picture(mask, 4, batch=batch) == expected


each_picture = pytest.mark.parametrize("mask", [mask for mask, _, _ in PICTURES], ids=lambda mask: str(mask))
EDGES = [(torch.tensor(first), torch.tensor(last)) for first, last in (((0, 1, 3), (0, 2, 3)), ((0, 2), (1, 3)), ((0,), (3,)))]


@each_picture
@pytest.mark.parametrize("rows", EDGES)
@pytest.mark.parametrize("keys", EDGES)
def test_what_is_known_of_a_tile_is_so(mask, rows, keys):
    known = mask.tiles(*rows, *keys).expand(2, 1, len(rows[0]), len(keys[0]))
    whole = mask.write((2, 1), range(4), range(4)).expand(2, 1, 4, 4)
    for (i, row), (j, key) in product(enumerate(zip(*rows, strict=True)), enumerate(zip(*keys, strict=True))):
        tile = whole[:, 0, row[0] : row[1] + 1, key[0] : key[1] + 1].flatten(1)
        assert tile[known[:, 0, i, j] == FULL].all()
        assert not tile[known[:, 0, i, j] == EMPTY].any()


@each_picture
def test_a_part_is_a_rectangle_of_the_whole(mask):
    whole = mask.write((2, 1), range(4), range(4)).expand(2, 1, 4, 4)
    for keys, listed in ((range(2, 4), [2, 3]), (torch.tensor([0, 3]), [0, 3])):
        part = mask.part(range(1, 3), keys)
        assert torch.equal(part.write((2, 1), range(2), range(2)).expand(2, 1, 2, 2), whole[:, :, 1:3, listed])
        last = mask.part(range(1, 3), keys, batch=range(1, 2))
        assert torch.equal(last.write((1, 1), range(2), range(2)).expand(1, 1, 2, 2), whole[1:, :, 1:3, listed])


def test_tiles_of_which_nothing_can_be_seen_are_known():
    def known(mask, queries=12, size=4):
        first = torch.arange(0, queries, size)
        return ["".join(".px"[state] for state in row) for row in mask.tiles(*[first, first + size - 1] * 2)[0, 0].tolist()]

    assert known(causal) == ["p..", "xp.", "xxp"]
    assert known(window(5)) == ["p..", "pp.", "ppp"]
    assert known(window(3)) == ["p..", "pp.", ".pp"]
    assert known(~causal) == ["pxx", ".px", "..p"]
    assert known(padding(torch.tensor([4]), torch.tensor([8]))) == ["x..", "x..", "..."]
    assert known(document(torch.tensor([[0] * 4 + [1] * 8]))) == ["x..", ".xx", ".xx"]
    assert known(document(torch.tensor([[0] * 6 + [1] * 6]))) == ["xp.", "ppp", ".px"]
    assert known(global_local([0], 3, 0)) == ["ppp", "pp.", "ppp"]
    assert known(block_sparse(torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0]]).bool(), 4)) == ["x.x", ".x.", "..."]
    assert known(block_sparse(torch.tensor([[1, 0], [0, 1]]).bool(), 6)) == ["xp.", "ppp", ".px"]
    assert known(dilated(9)) == ["p..", ".p.", "p.p"]
    assert known(prefix(torch.tensor([4]))) == ["x..", "xp.", "xxp"]


def test_a_part_of_a_band_has_no_limit_that_cannot_bind():
    assert causal.part(range(7, 8), range(8)) == everything
    assert window(10).part(range(5, 8), range(8)) == Band(right=5)
    assert (causal & window(100)).part(range(7, 8), range(8)) == everything


def test_the_last_query_can_stand_beside_the_last_key():
    assert picture(causal, 2, 4) == "x... xx.."
    assert picture(lower_right(causal, 2, 4), 2, 4) == "xxx. xxxx"
    assert picture(lower_right(causal, 4, 2), 4, 2) == ".. .. x. xx"
    assert picture(lower_right(window(1), 2, 4), 2, 4) == ".xx. ..xx"


@each_picture
def test_a_mask_can_be_moved(mask):
    moved = mask.to("meta")
    assert str(moved) == str(mask)
    tensors = [part for part in vars(moved).values() if isinstance(part, torch.Tensor)]
    assert all(tensor.is_meta for tensor in tensors)


def test_a_mask_knows_when_it_was_written_to():
    lengths = torch.tensor([3])
    mask = causal & ~padding(lengths)
    before = mask.version
    lengths[0] = 2
    assert mask.version != before


def test_a_mask_of_inference_mode_never_passes_for_the_same():
    with torch.inference_mode():
        mask = padding(torch.tensor([2]))
    assert mask.version != mask.version


def test_pictures_may_be_wider_than_high():
    assert picture(causal, 2, 3) == "x.. xx."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: window(-1), "left >= 0 and right >= 0, got left=-1"),
        (lambda: padding(torch.tensor([1.5])), "one whole number >= 0 per sequence, got torch.float32"),
        (lambda: padding(torch.tensor([-1])), "one whole number >= 0 per sequence"),
        (lambda: document(torch.tensor([1, 2])), r"shape \(batch, length\), got torch.int64 of shape \(2,\)"),
        (lambda: dense(torch.ones(2, 2)), "boolean tensor of 2 to 4 sides, got torch.float32"),
        (lambda: block_sparse(torch.ones(2, 2).bool(), 0), "block >= 1, got 0"),
        (lambda: dilated(0), "step >= 1"),
        (lambda: global_local([-1], 1, 0), "positions >= 0, got -1"),
    ],
)
def test_a_wrong_mask_says_what_must_hold(make, message):
    from jaxtyping import TypeCheckError

    with pytest.raises((InputError, TypeCheckError)) as raised:
        make()
    if raised.type is InputError:
        raised.match(message)


def test_documents_can_be_traced_for_any_number_of_sequences(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the number is a symbol, which is no int

    class Written(torch.nn.Module):
        def forward(self, ids):
            mask = document(ids)
            mask.check((ids.shape[0], 1, 4, 4))
            return mask.write((ids.shape[0], 1), range(4), range(4))

    traced = torch.export.export(Written(), (IDS,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
    more = torch.cat([IDS, IDS.flip(1), IDS[:1]])
    assert torch.equal(traced.module()(more), more[:, None, :, None] == more[:, None, None])
