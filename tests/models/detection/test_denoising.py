"""Spoilt boxes."""

import torch

from regard.models.detection.boxes import to_middles
from regard.models.detection.decoder import Decoder
from regard.models.detection.denoising import Denoising, Queries
from regard.models.detection.extent import Extent
from regard.models.detection.targets import Targets
from regard.models.options import DetectorOptions

OPTIONS = DetectorOptions(d_model=16, num_heads=2, num_layers=2, num_denoising=12, label_noise=0.0, box_noise=0.4)
TARGETS = Targets(
    torch.tensor([[[10.0, 10, 30, 50], [20, 20, 40, 30], [0, 0, 0, 0]], [[5, 5, 25, 25], [0, 0, 60, 60], [0, 0, 0, 0]]]),
    torch.tensor([[2, 0, -1], [1, -2, -1]]),
    torch.tensor([[64, 64], [64, 64]]),
)


def spoilt(targets=TARGETS):
    torch.manual_seed(0)
    return Denoising(3, OPTIONS)(targets)


def test_each_group_has_each_box_once_to_restore_and_once_to_refuse():
    queries, pairs = spoilt()
    assert queries.groups.tolist() == [[1, 1, -1, 1, 1, -1, 2, 2, -1, 2, 2, -1], [1, -1, -1, 1, -1, -1, 2, -1, -1, 2, -1, -1]]
    assert [part.tolist() for part in pairs] == [[0, 0, 0, 0, 1, 1], [0, 1, 6, 7, 0, 6], [0, 1, 0, 1, 0, 0]]


def test_boxes_to_restore_are_spoilt_less_than_those_to_refuse():
    queries, pairs = spoilt()
    for picture, answer, box in zip(*pairs, strict=True):
        true = TARGETS.boxes[picture, box]
        half = to_middles(true)[2:].repeat(2) / 2
        little, much = (((queries.boxes[picture, answer + more] - true) / half).abs() for more in (0, 3))
        assert (little <= 0.4).all()
        clear = (queries.boxes[picture, answer + 3] > 0) & (queries.boxes[picture, answer + 3] < 64)
        assert ((much >= 0.4 - 1e-5) & (much <= 0.8 + 1e-5))[clear].all()


def test_a_query_begins_with_the_class_of_its_box():
    denoising = Denoising(3, OPTIONS)
    queries, pairs = denoising(TARGETS)
    wanted = denoising.states(TARGETS.classes[pairs.pictures, pairs.boxes])
    torch.testing.assert_close(queries.states[pairs.pictures, pairs.answers], wanted)


def test_labels_are_changed_by_chance():
    denoising = Denoising(3, DetectorOptions(d_model=16, num_heads=2, label_noise=1.0, num_denoising=600))
    queries, pairs = denoising(TARGETS)
    states = queries.states[pairs.pictures, pairs.answers]
    kept = (states == denoising.states(TARGETS.classes[pairs.pictures, pairs.boxes])).all(1).float().mean()
    assert 0.2 < kept < 0.5


def test_without_boxes_there_is_nothing_to_restore():
    queries, pairs = spoilt(TARGETS._replace(classes=torch.full((2, 3), -1)))
    assert not len(pairs.answers)
    assert (queries.groups < 0).all()


def test_there_may_be_no_spoilt_boxes():
    queries, pairs = Denoising(3, DetectorOptions(d_model=16, num_heads=2, num_denoising=0))(TARGETS)
    assert queries.states.shape == (2, 0, 16)
    assert not len(pairs.answers)


def test_a_group_is_seen_by_no_other():
    torch.manual_seed(0)
    decoder = Decoder(3, OPTIONS).eval()
    for perceptron in decoder.boxes:
        torch.nn.init.normal_(perceptron[-1].weight)
    extent = Extent.of(torch.zeros(1, 3, 32, 32), torch.tensor([[32, 32]]))
    maps = [torch.randn(1, 16, side, side) for side in (4, 2, 1)]
    groups = torch.tensor([[0, 0, 0, 1, 1, 2, 2, -1]])
    boxes = torch.tensor([[8.0, 8, 20, 20]]).repeat(1, 8, 1)
    states = torch.randn(1, 8, 16)
    before = decoder(Queries(states, boxes, groups), maps, extent)[-1]
    for group in (0, 1, 2, -1):
        changed = states + (groups == group)[..., None].float()
        after = decoder(Queries(changed, boxes, groups), maps, extent)[-1]
        is_same = (after.boxes == before.boxes).all(-1)
        assert torch.equal(is_same, groups != group)
