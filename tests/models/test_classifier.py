"""What an image classifier answers, and how wrong it is."""

import torch
from torch import nn

from regard.models.classifier import Classifier, ImageSizes

SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])


class Given(Classifier):
    """Scores are the pixels themselves."""

    def __init__(self, label_smoothing=0.0, weights=()):
        super().__init__(ImageSizes(3, 3, 1, 1, weights), label_smoothing)
        self.head = nn.Flatten()

    def features(self, pixels):
        return pixels


def batch(targets):
    return {"pixels": SCORES[:, :, None, None], "targets": torch.tensor(targets)}


def test_the_loss_of_soft_targets_is_their_cross_entropy():
    targets = [[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]]
    by_hand = -(torch.tensor(targets) * SCORES.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(Given().loss(batch(targets)), by_hand)


def test_smoothing_gives_all_classes_a_share():
    smoothed = [[0.7 + 0.1, 0.1, 0.1], [0.1, 0.7 + 0.1, 0.1]]
    hard = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    torch.testing.assert_close(Given(label_smoothing=0.3).loss(batch(hard)), Given().loss(batch(smoothed)))


def test_each_class_counts_by_its_weight():
    targets = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    each = -SCORES.log_softmax(1)
    wanted = (2.0 * each[0, 0] + 0.5 * each[1, 1]) / 2
    torch.testing.assert_close(Given(weights=(2.0, 0.5, 1.0)).loss(batch(targets)), wanted)


def test_weights_of_classes_are_not_saved_with_the_model():
    assert not Given(weights=(1.0, 2.0, 3.0)).state_dict()


def test_a_prediction_is_a_probability_for_each_class():
    found = Given().predict({"pixels": SCORES[:, :, None, None]})
    assert len(found) == 2
    torch.testing.assert_close(torch.stack(found), SCORES.softmax(1))
