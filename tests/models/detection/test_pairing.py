"""Which answer belongs to which box, and what it costs."""

import math
from itertools import permutations

import pytest
import torch

from regard.models.detection.assignment import aligned, dense_loss
from regard.models.detection.boxes import iou
from regard.models.detection.dense import Dense, Places
from regard.models.detection.extent import Extent
from regard.models.detection.losses import ALPHA, GAMMA, set_loss, varifocal
from regard.models.detection.matching import _costs, best_pairs
from regard.models.detection.targets import Answers, Pairs, Targets

SIZES = torch.tensor([[64, 64]])
TWO = torch.tensor([[[0.0, 0, 20, 20], [30, 30, 60, 60]]])


def targets(boxes=TWO, classes=((0, 1),)):
    return Targets(boxes, torch.tensor(classes), SIZES)


def test_the_best_pairs_are_the_cheapest_together():
    # the first answer fits the first box best, but the second fits no other
    boxes = torch.tensor([[[0.0, 0, 20, 20], [2, 0, 22, 20], [0, 0, 60, 60]]])
    logits = torch.tensor([[[2.0, 2], [2, -4], [-3, -3]]])
    close = targets(torch.tensor([[[0.0, 0, 20, 20], [4, 0, 24, 20]]]), ((1, 0),))
    assert [part.tolist() for part in best_pairs(Answers(logits, boxes), close)] == [[0, 0], [0, 1], [0, 1]]


def test_no_other_way_to_pair_is_cheaper():
    torch.manual_seed(0)
    low = torch.rand(1, 5, 2) * 30
    boxes, logits = torch.cat([low, low + 10 + 20 * torch.rand(1, 5, 2)], -1), torch.randn(1, 5, 2)
    found = best_pairs(Answers(logits, boxes), targets())
    costs = _costs(Answers(logits, boxes), targets())[0]
    cheapest = min(costs[one, 0] + costs[other, 1] for one, other in permutations(range(5), 2))
    assert costs[found.answers, found.boxes].sum() == pytest.approx(cheapest.item())


def test_the_cost_of_a_pair_by_hand():
    half = torch.tensor([[[0.0, 0, 20, 10]]])
    found = _costs(Answers(torch.tensor([[[0.0, 1.0]]]), half), targets(TWO[:, :1], ((0,),)))
    by_class = (0.25 - 0.75) * 0.5**2 * math.log(2)
    assert found.item() == pytest.approx(2 * by_class + 5 * 10 / 64 - 2 * 0.5)


def test_room_for_boxes_is_no_box():
    empty = Targets.of({"boxes": torch.zeros(1, 0, 4), "classes": torch.zeros(1, 0, dtype=torch.long), "sizes": SIZES})
    assert empty.boxes.shape == (1, 1, 4)
    assert not empty.is_real.any()


def test_what_stands_for_no_box_is_not_paired():
    boxes, logits = TWO.repeat(1, 2, 1), torch.zeros(1, 4, 2)
    assert best_pairs(Answers(logits, boxes), targets(classes=((1, -2),))).boxes.tolist() == [0]
    assert best_pairs(Answers(logits, boxes), targets(classes=((-1, -2),))).boxes.tolist() == []


def test_scores_are_wanted_as_large_as_the_overlap():
    logits, wanted = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[0.8, 0.0]]])
    p = logits[0, 0].sigmoid()
    by_hand = -0.8 * (0.8 * p[0].log() + 0.2 * (1 - p[0]).log()) - ALPHA * p[1] ** GAMMA * (1 - p[1]).log()
    assert varifocal(logits, wanted, torch.tensor([[True]])).item() == pytest.approx(by_hand.item())
    assert varifocal(logits, wanted, torch.tensor([[False]])).item() == 0


def test_a_set_that_is_right_costs_little_and_each_fault_more():
    sure, no = 8.0, -8.0
    logits = torch.tensor([[[sure, no], [no, sure], [no, no]]])
    boxes = torch.cat([TWO, torch.tensor([[[5.0, 5, 9, 9]]])], 1)

    def loss(logits, boxes):
        return set_loss(Answers(logits, boxes), Pairs(*torch.tensor([[0, 0], [0, 1], [0, 1]])), targets()).item()

    right = loss(logits, boxes)
    assert right < 0.01
    assert loss(logits, boxes + 2) > right + 0.1
    assert loss(torch.tensor([[[no, sure], [no, sure], [no, no]]]), boxes) > right + 0.1
    assert loss(torch.tensor([[[sure, no], [no, sure], [sure, no]]]), boxes) > right + 0.1


def test_twice_as_many_pictures_do_not_cost_more():
    answers, one = Answers(torch.randn(1, 3, 2), torch.cat([TWO + 2, TWO[:, :1]], 1)), targets()
    two = Targets(*(part.repeat(2, *[1] * (part.dim() - 1)) for part in one))
    twice = Answers(*(part.repeat(2, 1, 1) for part in answers))
    pairs, more = best_pairs(answers, one), best_pairs(twice, two)
    torch.testing.assert_close(set_loss(twice, more, two), set_loss(answers, pairs, one))


def test_an_answer_in_an_ignored_box_is_neither_right_nor_wrong():
    logits, boxes = torch.full((1, 1, 2), 3.0), torch.tensor([[[10.0, 10, 50, 50]]])
    none = Pairs(*torch.zeros(3, 0, dtype=torch.long))
    crowd = torch.tensor([[[20.0, 20, 40, 40]]])
    assert set_loss(Answers(logits, boxes), none, targets(crowd, ((-2,),))).item() == 0
    assert set_loss(Answers(logits, boxes), none, targets(crowd, ((-1,),))).item() > 1
    assert set_loss(Answers(logits, boxes), none, targets(crowd + 20, ((-2,),))).item() > 1


def test_an_answer_that_has_a_box_counts_wherever_it_is():
    both = targets(torch.tensor([[[10.0, 10, 50, 50], [0, 0, 64, 64]]]), ((0, -2),))
    pairs, boxes = Pairs(*torch.zeros(3, 1, dtype=torch.long)), torch.tensor([[[10.0, 10, 50, 50]]])
    wrong, right = (set_loss(Answers(torch.tensor([[[score, -8.0]]]), boxes), pairs, both).item() for score in (-8.0, 8.0))
    assert wrong > right + 1


def places(canvas=64, sizes=SIZES):
    return Places.of(Extent.of(torch.zeros(1, 3, canvas, canvas), sizes))


def answers(score=0.0):
    """Of each place a box of 24 × 24 around it."""
    here = places()
    boxes = torch.cat([here.middles - 12, here.middles + 12], -1)[None]
    scores = torch.full((1, len(here.middles), 2), score)
    return Dense(torch.zeros(1, len(here.middles), 4), boxes, scores, scores)


def aligned_with(what, num_places=10):
    """Pairs of these answers, and what their scores shall be."""
    return aligned(answers().logits, answers().boxes, places(sizes=what.sizes), what, num_places)


@pytest.mark.parametrize("count", [1, 10])
def test_places_of_a_box_lie_in_it_and_overlap_it_best(count):
    one = torch.tensor([[[8.0, 8, 32, 32]]])
    pairs, quality = aligned_with(targets(one, ((1,),)), count)
    overlap = iou(answers().boxes[0], one[0])
    inside = ((places().middles > 8) & (places().middles < 32)).all(1)
    best = torch.where(inside, overlap, 0).topk(count)
    assert sorted(overlap[pairs.answers].tolist()) == pytest.approx(sorted(best.values.tolist()))
    assert quality.max().item() == pytest.approx(overlap.max().item())
    share = (overlap[pairs.answers] / overlap.max()) ** 6 * overlap.max()
    torch.testing.assert_close(quality, share)


def test_a_place_belongs_to_the_box_that_it_overlaps_more():
    pairs, _ = aligned_with(targets(torch.tensor([[[8.0, 8, 32, 32], [8, 8, 36, 36]]]), ((0, 1),)))
    assert len(set(pairs.answers.tolist())) == len(pairs.answers)
    for answer, box in zip(pairs.answers, pairs.boxes, strict=True):
        both = iou(answers().boxes[0, answer], torch.tensor([[8.0, 8, 32, 32], [8, 8, 36, 36]]))
        assert both[box] == both.max()


def test_a_box_smaller_than_a_place_has_places_all_the_same():
    small = torch.tensor([[[9.0, 9, 11, 11]]])
    pairs, _ = aligned_with(targets(small, ((0,),)))
    assert len(pairs.answers)
    assert ((places().middles[pairs.answers] - 10).abs() <= places().strides[pairs.answers, None]).all()


def test_places_in_padding_or_an_ignored_box_do_not_count():
    sizes = torch.tensor([[32, 64]])
    everywhere = Targets(torch.tensor([[[0.0, 0, 64, 32]]]), torch.tensor([[-2]]), sizes)
    assert dense_loss(answers(3.0), places(sizes=sizes), everywhere).item() == 0
    part = everywhere._replace(boxes=torch.tensor([[[0.0, 0, 32, 32]]]))
    assert dense_loss(answers(3.0), places(sizes=sizes), part).item() > 1
    lower = everywhere._replace(boxes=torch.tensor([[[0.0, 40, 64, 64]]]), classes=torch.tensor([[0]]))
    assert not len(aligned_with(lower)[0].answers)


def test_one_place_of_a_box_is_to_be_chosen_and_several_are_to_be_sure():
    what = targets(torch.tensor([[[8.0, 8, 32, 32]]]), ((1,),))
    pairs, quality = aligned_with(what)
    best, second = pairs.answers[quality.argsort(descending=True)[:2]]
    dense = answers(-6.0)
    dense = dense._replace(logits=dense.logits.requires_grad_(), choices=dense.choices.clone().requires_grad_())
    several, one = torch.autograd.grad(dense_loss(dense, places(), what), [dense.logits, dense.choices])
    is_to_grow = [bool(gradient[0, place, 1] < 0) for gradient in (several, one) for place in (best, second)]
    assert is_to_grow == [True, True, True, False]


def test_queries_are_chosen_by_the_scores_of_one_place_each():
    dense = answers()
    choices = torch.zeros_like(dense.logits)
    choices[0, [7, 3, 80], [1, 0, 1]] = torch.tensor([3.0, 2, 1])
    assert dense._replace(choices=choices).best(3).tolist() == [[7, 3, 80]]
    assert dense.best(1000).shape == (1, 84)
