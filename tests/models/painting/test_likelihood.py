"""The discretised logistic."""

import pytest
import torch

from regard.models.painting.likelihood import Logistic, levels_of

VALUES = torch.arange(256.0, dtype=torch.float64).view(256, 1, 1, 1)


def logistic(centre, log_scale, dtype=torch.float64):
    return Logistic(*(torch.full((1, 1, 1, 1), float(one), dtype=dtype) for one in (centre, log_scale)))


def each(centre, log_scale):
    """The nats of each of the 256 values."""
    given = logistic(centre, log_scale)
    return Logistic(given.centre.expand_as(VALUES), given.log_scale).log_probability(VALUES)


@pytest.mark.parametrize("centre", [-30.0, -1.0, -0.3, 0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 0.0, 5.0])
def test_the_values_of_a_channel_share_one(centre, log_scale):
    torch.testing.assert_close(each(centre, log_scale).exp().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_value_takes_what_lies_nearest_to_it_and_the_ends_take_the_tails():
    def below(x):
        return torch.sigmoid((torch.tensor(x, dtype=torch.float64) - 0.2) / 0.1)

    found = each(0.2, torch.tensor(0.1).log()).exp()
    step = 2 / 255
    torch.testing.assert_close(found[0], below(-1 + step / 2), rtol=1e-6, atol=0)
    torch.testing.assert_close(found[150], below(-1 + 150.5 * step) - below(-1 + 149.5 * step), rtol=1e-6, atol=0)
    torch.testing.assert_close(found[255], 1 - below(1 - step / 2), rtol=1e-6, atol=0)


def test_a_wide_distribution_leaves_half_to_each_end():
    found = each(0.0, 9.0).exp()
    torch.testing.assert_close(found[[0, 255]], torch.full((2,), 0.5, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 3.0])
@pytest.mark.parametrize("centre", [-50.0, 0.1, 50.0])
def test_far_from_the_centre_nats_and_gradients_stay_finite_and_near_those_of_double_precision(centre, log_scale):
    exact = each(centre, log_scale)
    given = Logistic(*(one.requires_grad_() for one in logistic(centre, log_scale, torch.float32)))
    found = Logistic(given.centre.expand(256, 1, 1, 1), given.log_scale).log_probability(VALUES.float())
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-3)
    gradients = torch.autograd.grad(found.sum(), given)
    assert all(one.isfinite().all() for one in gradients)


def test_gradients_are_right():
    levels = torch.tensor([0.0, 3, 128, 254, 255], dtype=torch.float64).view(1, 1, 1, 5)
    centre = torch.linspace(-1.2, 1.1, 5, dtype=torch.float64).view(1, 1, 1, 5).requires_grad_()
    scale = torch.tensor([[[[-2.0]]]], dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, s: Logistic(c, s).log_probability(levels), (centre, scale))


def test_the_nats_of_a_picture_are_those_of_its_values_together():
    levels = torch.tensor([0.0, 7, 200, 255], dtype=torch.float64)
    given = logistic(0.3, -1)
    found = Logistic(given.centre.expand(1, 1, 2, 2), given.log_scale).log_probability(levels.view(1, 1, 2, 2))
    torch.testing.assert_close(found, each(0.3, -1)[levels.long()].sum().unsqueeze(0))


def test_values_and_pixels_are_the_same_thing():
    assert torch.equal(levels_of(VALUES.float() / 127.5 - 1), VALUES.float())
    assert levels_of(torch.tensor([-1.2, -0.9999, 0.9999, 1.2])).tolist() == [0, 0, 255, 255]


def test_what_is_painted_halves_the_distribution_and_is_a_colour():
    assert logistic(0.25, -1).median.item() == 0.25
    assert [logistic(centre, -1).median.item() for centre in (-3, 3)] == [-1, 1]
