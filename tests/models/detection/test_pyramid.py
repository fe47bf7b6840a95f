"""Maps of three sizes."""

import pytest
import torch

from regard import InputError
from regard.models.detection.extent import Extent
from regard.models.detection.pyramid import Pyramid
from regard.models.options import BackboneOptions


@pytest.fixture(params=["mobilenet-v2", "efficientnet-lite0"])
def pyramid(request):
    """With norms whose statistics are not those they begin with."""
    torch.manual_seed(0)
    made = Pyramid(BackboneOptions(request.param)).train()
    for norm in made.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(norm.bias, std=0.1)
    return made


def maps_of(pyramid, pixels, *sizes):
    sizes = torch.tensor(sizes)
    return pyramid(pixels, Extent.of(pixels, sizes))


def test_norms_keep_their_statistics_and_maps_are_those_of_the_network(pyramid):
    pixels = torch.randn(1, 3, 64, 96)
    maps = maps_of(pyramid, pixels, (64, 96))
    assert [tuple(one.shape) for one in maps] == [
        (1, w, 64 // s, 96 // s) for w, s in zip(pyramid.widths, (8, 16, 32), strict=True)
    ]
    pyramid.network.eval()
    torch.testing.assert_close(maps[-1], pyramid.network(pixels), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(maps[0], pyramid.network[: pyramid.taps[0][0] + 1](pixels), rtol=1e-4, atol=1e-4)


def test_maps_do_not_depend_on_padding(pyramid):
    pixels = torch.randn(1, 3, 64, 64)
    small = maps_of(pyramid, pixels, (50, 40))
    large = torch.full((1, 3, 96, 128), 7.0)
    large[:, :, :50, :40] = pixels[:, :, :50, :40]
    for stride, one, other in zip((8, 16, 32), small, maps_of(pyramid, large, (50, 40)), strict=True):
        rows, columns = -(-50 // stride), -(-40 // stride)
        torch.testing.assert_close(one[..., :rows, :columns], other[..., :rows, :columns], rtol=1e-4, atol=1e-4)


def test_layers_that_are_frozen_do_not_learn_and_others_do(pyramid):
    sum(one.square().sum() for one in maps_of(pyramid, torch.randn(1, 3, 64, 64), (64, 60))).backward()
    for number, layer in enumerate(pyramid.layers):
        learns = [one.grad is not None and bool(one.grad.abs().sum() > 0) for one in layer.parameters()]
        assert all(learns) if number >= 4 else not any(learns)


def test_pictures_have_to_be_padded():
    with pytest.raises(InputError, match="padded to multiples of 32 pixels, got 64×50"):
        Extent.of(torch.zeros(1, 3, 64, 50), torch.tensor([[64, 50]]))
