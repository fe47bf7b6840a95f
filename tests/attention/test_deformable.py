"""Attention to a few places of several maps."""

import math

import pytest
import torch
from jaxtyping import install_import_hook

from regard import InputError

with install_import_hook("regard.attention.deformable", "beartype.beartype"):
    from regard.attention.deformable import DeformableAttention, Samples, deformable_attention

SIDES = (3, 4), (2, 2)


def given(seed=0):
    """Maps, places that partly lie beyond their edges, and weights."""
    torch.manual_seed(seed)
    maps = [torch.randn(2, 2, 3, *sides, dtype=torch.float64, requires_grad=True) for sides in SIDES]
    places = (torch.rand(2, 5, 2, 2, 3, 2, dtype=torch.float64) * 1.6 - 0.3).requires_grad_()
    weights = torch.rand(2, 5, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    return maps, places, weights


def between_cells(cells, x, y):
    """The map at a place, its four cells weighed by hand; zeros beyond the edges."""
    rows, columns = cells.shape[1:]
    x, y = x * columns - 0.5, y * rows - 0.5
    total = torch.zeros(len(cells), dtype=cells.dtype)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < rows and 0 <= column < columns:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * cells[:, row, column]
    return total


def test_it_is_the_weighed_sum_of_what_is_read_at_each_place():
    maps, places, weights = given()
    found = deformable_attention(maps, Samples(places, weights)).unflatten(2, (2, 3))
    for example, query, head in torch.cartesian_prod(torch.arange(2), torch.arange(5), torch.arange(2)).tolist():
        by_hand = sum(
            weights[example, query, head, level, point]
            * between_cells(maps[level][example, head], *places[example, query, head, level, point].tolist())
            for level in range(2)
            for point in range(3)
        )
        torch.testing.assert_close(found[example, query, head], by_hand)


def test_gradients_of_maps_places_and_weights_are_right():
    maps, places, weights = given(1)
    assert torch.autograd.gradcheck(lambda *all: deformable_attention(all[:2], Samples(*all[2:])), (*maps, places, weights))


def attention(num_points=2):
    torch.manual_seed(0)
    return DeformableAttention(8, 2, 2, num_points)


def test_without_offsets_a_query_reads_the_middle_of_its_box():
    look = attention()
    with torch.no_grad():
        look.offset.bias.zero_()
    maps = [torch.randn(1, 8, *sides) for sides in SIDES]
    found = look(torch.randn(1, 1, 8), torch.tensor([[[3 / 8, 0.5, 0.9, 0.4]]]), maps)
    # the middle of the second cell of the second of three rows, and that between the cells of the other map
    values = maps[0][0, :, 1, 1], between_cells(maps[1][0], 3 / 8, 0.5)
    torch.testing.assert_close(found[0, 0], look.out(torch.stack([look.value(value) for value in values]).mean(0)))


def test_offsets_are_shares_of_half_a_box_and_begin_in_directions_of_the_heads():
    places, weights = attention().samples(torch.randn(1, 1, 8), torch.tensor([[[0.5, 0.5, 0.4, 0.2]]]))
    expected = torch.tensor([[[0.6, 0.5], [0.7, 0.5]], [[0.4, 0.5], [0.3, 0.5]]])
    torch.testing.assert_close(places[0, 0], expected[:, None].expand(2, 2, 2, 2))
    torch.testing.assert_close(weights.sum((-2, -1)), torch.ones(1, 1, 2))


def test_where_no_picture_is_a_map_is_zero():
    look, maps = attention(), [torch.randn(1, 8, 2, 4), torch.randn(1, 8, 2, 2)]
    inside = [torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 2)]
    inside[0][..., 2:], inside[1][..., 1:] = 0, 0
    x, boxes = torch.randn(1, 3, 8), torch.rand(1, 3, 4)
    covered = look(x, boxes, maps, inside)
    narrow = [one[..., : one.shape[3] // 2] for one in maps]
    torch.testing.assert_close(covered, look(x, boxes * torch.tensor([2.0, 1, 2, 1]), narrow))
    assert not torch.allclose(covered, look(x, boxes, maps))


def test_every_parameter_learns():
    look = attention()
    look(torch.randn(1, 3, 8), torch.rand(1, 3, 4), [torch.randn(1, 8, *sides) for sides in SIDES]).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in look.parameters())


def test_heads_have_to_fit():
    with pytest.raises(InputError, match=r"d_model must be a multiple of num_heads, .* got 8, 3, 1 and 4"):
        DeformableAttention(8, 3, 1, 4)
