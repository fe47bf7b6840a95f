"""Maps that know of one another."""

import torch

from regard.models.detection.encoder import Encoder, Looking
from regard.models.detection.extent import Extent
from regard.models.detection.waves import waves
from regard.models.options import DetectorOptions

OPTIONS = DetectorOptions(d_model=16, num_heads=2, d_feedforward=24)


def test_waves_are_sines_and_cosines_of_each_number():
    found = waves(torch.tensor([[2.0, 3.0]]), 8, 100.0)
    fast, slow = torch.tensor([2.0, 3.0]), torch.tensor([0.2, 0.3])
    by_hand = torch.stack([fast.sin(), slow.sin(), fast.cos(), slow.cos()], 1).flatten()
    torch.testing.assert_close(found[0], by_hand)


def test_places_know_where_they_stand():
    torch.manual_seed(0)
    looks, x = Looking(OPTIONS), torch.randn(1, 16, 2, 3)
    extent = Extent.of(torch.zeros(1, 3, 64, 96), torch.tensor([[64, 96]]))
    for side in (2, 3):
        assert not torch.allclose(looks(x.flip(side), extent).flip(side), looks(x, extent), atol=1e-3)


def test_each_map_hears_of_all_others():
    torch.manual_seed(0)
    encoder = Encoder([4, 6, 8], OPTIONS)
    extent = Extent.of(torch.zeros(1, 3, 64, 64), torch.tensor([[64, 64]]))
    maps = [torch.randn(1, width, side, side, requires_grad=True) for width, side in ((4, 8), (6, 4), (8, 2))]
    for made, side in zip(encoder(maps, extent), (8, 4, 2), strict=True):
        assert made.shape == (1, 16, side, side)
        gradients = torch.autograd.grad(made.square().sum(), maps, retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)
