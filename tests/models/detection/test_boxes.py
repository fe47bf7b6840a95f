"""Boxes as numbers."""

import pytest
import torch

from regard.models.detection.boxes import clipped, from_middles, generalised_iou, holds, iou, moved, to_middles

SQUARE = [0.0, 0, 2, 2]


@pytest.mark.parametrize(
    ("other", "overlap", "generalised"),
    [
        (SQUARE, 1, 1),
        ([1.0, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),
        ([2.0, 0, 4, 2], 0, 0),
        ([4.0, 0, 6, 2], 0, -4 / 12),
        ([0.0, 0, 1, 2], 1 / 2, 1 / 2),
    ],
)
def test_overlaps_by_hand(other, overlap, generalised):
    one, other = torch.tensor(SQUARE), torch.tensor(other)
    assert iou(one, other).item() == pytest.approx(overlap)
    assert generalised_iou(one, other).item() == pytest.approx(generalised)
    assert generalised_iou(other, one).item() == pytest.approx(generalised)


def test_boxes_without_an_area_have_numbers_and_gradients():
    point = torch.zeros(2, 4, requires_grad=True)
    found = generalised_iou(point, torch.tensor([SQUARE, [0.0] * 4]))
    found.sum().backward()
    assert found.isfinite().all()
    assert point.grad.isfinite().all()


def test_middles_and_sides_are_another_way_to_say_a_box():
    box = torch.tensor([[2.0, 4, 10, 8]])
    assert to_middles(box).tolist() == [[6, 6, 8, 4]]
    assert from_middles(to_middles(box)).tolist() == box.tolist()


def test_a_step_is_in_sides_of_the_box():
    step = torch.tensor([0.5, -0.25, 0.0, torch.tensor(2.0).log()])
    assert moved(torch.tensor([2.0, 4, 10, 8]), step).tolist() == pytest.approx([6, 1, 14, 9])


def test_boxes_are_cut_at_the_edges_of_their_picture():
    assert clipped(torch.tensor([[[-3.0, 2, 50, 40]]]), torch.tensor([[30, 20]])).tolist() == [[[0, 2, 20, 30]]]


def test_which_points_lie_in_which_boxes():
    boxes, points = torch.tensor([[[0.0, 0, 4, 2], [5, 5, 6, 6]]]), torch.tensor([[[1.0, 1], [1, 3], [5.5, 5.5]]])
    assert holds(boxes, points).int().tolist() == [[[1, 0, 0], [0, 0, 1]]]
