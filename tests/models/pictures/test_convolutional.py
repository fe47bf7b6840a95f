"""The small residual network and its gates."""

import pytest
import torch

from regard import InputError
from regard.attention.gates import Block, SpatialGate
from regard.catalog import GATES
from regard.models.options import ClassifierOptions, ConvolutionalOptions
from regard.models.pictures import ImageSizes, build_classifier
from regard.models.pictures.convolutional import ResidualBlock


def made(side=12, **options):
    torch.manual_seed(0)
    chosen = ClassifierOptions("convolutional", convolutional=ConvolutionalOptions(**options))
    return build_classifier(chosen, ImageSizes(4, 3, side, side))


def gates_of(model):
    return [module for module in model.body.modules() if isinstance(module, Block)]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("gated", ["blocks", "last"])
def test_every_gate_of_the_catalog_can_stand_in_it(gate, gated):
    model = made(widths=(8, 16), gate=gate, gated=gated)
    assert gates_of(model)
    model(torch.randn(2, 3, 12, 12)).sum().backward()
    assert all(one.grad is not None for one in model.parameters())


@pytest.mark.parametrize(("gated", "count"), [("blocks", 6), ("stages", 3), ("last", 1)])
def test_gates_stand_where_they_should(gated, count):
    found = gates_of(made(widths=(4, 6, 8), num_blocks=2, gate="cbam-spatial", gated=gated))
    assert [type(gate) for gate in found] == [SpatialGate] * count


@pytest.mark.parametrize("gated", ["blocks", "stages", "last"])
def test_without_a_gate_there_is_none(gated):
    assert not gates_of(made(widths=(4, 6), gated=gated))


def test_a_gate_of_ones_own_is_named_by_its_import_path():
    assert [type(one) for one in gates_of(made(widths=(4,), num_blocks=1, gate="regard.attention.gates:SpatialGate"))] == [
        SpatialGate
    ]
    with pytest.raises(InputError, match="gate must name a class of"):
        made(gate="torch.nn:ReLU")
    with pytest.raises(InputError, match="Did you mean 'cbam'"):
        made(gate="cbm")


def test_a_block_begins_as_if_it_were_not_there_and_still_learns():
    block, x = ResidualBlock(6, 6, 1, "cbam"), torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(block(x.clone()), x)
    block(x).square().sum().backward()
    assert block.last_conv.weight.grad.any()


def test_a_block_keeps_what_it_is_given():
    x = torch.randn(2, 6, 5, 5)
    before = x.clone()
    ResidualBlock(6, 8, 2, "none")(x)
    torch.testing.assert_close(x, before)


@pytest.mark.parametrize(("side", "rows"), [(28, 7), (32, 8), (33, 9), (48, 12), (49, 7), (96, 12), (224, 7)])
def test_large_pictures_are_halved_before_the_first_stage(side, rows):
    model = made(side, widths=(2, 2, 2))
    assert model.features(torch.zeros(2, 3, side, side)).shape == (2, 2, rows, rows)


def test_channels_stand_last_in_memory_where_convolutions_are_faster():
    model = made(widths=(8, 16))
    model.load_state_dict({name: one.contiguous() for name, one in made(widths=(8, 16)).state_dict().items()})
    assert model.features(torch.randn(2, 3, 12, 12)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("widths", [(), (8, 0)])
def test_there_is_at_least_one_stage(widths):
    with pytest.raises(InputError, match="widths must be channels of at least one stage"):
        ConvolutionalOptions(widths)
