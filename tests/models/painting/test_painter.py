import math

import pytest
import torch

from regard.errors import InputError
from regard.models.options import usual_widths
from regard.models.painting.painter import PaintSizes, between


def test_the_way_between_two_noises_is_an_arc():
    one, other = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    torch.testing.assert_close(between(one, other, torch.tensor([0.5])), torch.full((1, 2), 3 * math.sqrt(0.5)))
    torch.testing.assert_close(between(one, other, torch.zeros(1)), one)
    torch.testing.assert_close(between(one, other, torch.ones(1)), other)
    torch.testing.assert_close(between(one, 2 * one, torch.tensor([0.5])), 1.5 * one)


@pytest.mark.parametrize(
    ("size", "asked", "wanted"), [(32, (16,), (16,)), (96, (16,), (12,)), (48, (16, 48), (12, 48)), (32, (), ())]
)
def test_attention_stands_at_the_largest_map_up_to_what_is_asked_for(size, asked, wanted):
    assert PaintSizes(1, size).looking((8, 8, 8, 8), asked) == wanted


def test_below_the_smallest_map_there_is_none():
    with pytest.raises(InputError, match="which are 4, 8; got 2, below the smallest"):
        PaintSizes(1, 8).looking((8, 8), (2,))


def test_a_side_that_does_not_fit_names_one_that_does():
    with pytest.raises(InputError, match=r"a multiple of 8, 16 at least, got 50\. Give --views\.size 48"):
        PaintSizes(1, 50).sides((8, 8, 8, 8))


@pytest.mark.parametrize(
    ("side", "widths"),
    [
        (16, (128, 128, 64)),
        (28, (128, 64, 32)),
        (32, (128, 128, 64, 32)),
        (64, (128, 128, 64, 32, 16)),
        (96, (128, 64, 32, 16, 16)),
        (128, (128, 128, 64, 32, 16, 16)),
    ],
)
def test_the_usual_widths_reach_down_to_maps_of_4_to_7(side, widths):
    assert usual_widths(side) == widths
    assert 4 <= PaintSizes(1, side).sides(widths)[0] < 8
