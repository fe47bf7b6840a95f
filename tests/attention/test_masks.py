"""Masks against pictures drawn by hand: laws cannot see a wrong definition."""

import pytest
import torch

from regard import InputError
from regard.attention import causal, dense, document, everything, padding, picture, window
from regard.attention.masks import Band

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
    (document(IDS) & causal, 0, "x... xx.. ..x. ..xx"),
]


@pytest.mark.parametrize(("mask", "batch", "expected"), PICTURES, ids=[f"{mask}-{batch}" for mask, batch, _ in PICTURES])
def test_a_mask_looks_like_its_picture(mask, batch, expected):
    assert picture(mask, 4, batch=batch) == expected


@pytest.mark.parametrize(("mask", "batch", "expected"), PICTURES, ids=[f"{mask}-{batch}" for mask, batch, _ in PICTURES])
def test_a_span_leaves_no_permitted_key_out(mask, batch, expected):
    for start in range(4):
        for stop in range(start + 1, 5):
            span = mask.span(range(start, stop), range(4))
            allowed = mask.write((2, 1), range(start, stop), range(4)).expand(2, 1, stop - start, 4)
            seen = {int(k) for k in allowed.any(0).any(0).any(0).nonzero().flatten()}
            assert seen <= set(span)


@pytest.mark.parametrize(("mask", "batch", "expected"), PICTURES, ids=[f"{mask}-{batch}" for mask, batch, _ in PICTURES])
def test_a_part_is_a_rectangle_of_the_whole(mask, batch, expected):
    whole = mask.write((2, 1), range(4), range(4)).expand(2, 1, 4, 4)
    part = mask.part(range(1, 3), range(2, 4))
    written = part.write((2, 1), range(2), range(2)).expand(2, 1, 2, 2)
    assert torch.equal(written, whole[:, :, 1:3, 2:4])
    assert set(part.span(range(2), range(2))) >= {int(k) for k in written.any(0).any(0).any(0).nonzero().flatten()}


def test_a_window_sees_no_more_keys_than_it_must():
    assert window(3, 1).span(range(10, 14), range(100)) == range(7, 15)
    assert causal.span(range(10, 14), range(100)) == range(14)
    assert padding(LENGTHS).span(range(3), range(100)) == range(4)
    assert (window(3) & padding(LENGTHS)).span(range(10, 12), range(100)) == range(7, 7)
    assert document(torch.tensor([[0, 0, 1, 1, 2, 2]])).span(range(2, 4), range(6)) == range(2, 4)


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
    ],
)
def test_a_wrong_mask_says_what_must_hold(make, message):
    from jaxtyping import TypeCheckError

    with pytest.raises((InputError, TypeCheckError)) as raised:
        make()
    if raised.type is InputError:
        raised.match(message)
