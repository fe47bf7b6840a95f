"""Networks whose weights were learnt from ImageNet, and what is trained of them."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from regard import InputError
from regard.models.options import ClassifierOptions, PretrainedOptions
from regard.models.pictures import ImageSizes, build_classifier, normalisation
from regard.models.pictures.mobile import IMAGENET, PLANS, LopsidedConv2d, mobile_network
from regard.models.pictures.weights import read_weights
from tests.models.pictures.conftest import weights_of

DAISY = 985
"""Its class among the 1,000 of ImageNet."""


def made(num_classes=5, channels=3, **options):
    torch.manual_seed(0)
    chosen = ClassifierOptions("pretrained", pretrained=PretrainedOptions(**options))
    return build_classifier(chosen, ImageSizes(num_classes, channels, 64, 64))


@pytest.mark.parametrize(("architecture", "count"), [("mobilenet-v2", 2_223_872), ("efficientnet-lite0", 3_371_008)])
def test_a_network_has_as_many_parameters_as_its_paper_says_without_the_head(architecture, count):
    assert sum(one.numel() for one in mobile_network(PLANS[architecture]).parameters()) == count


@pytest.mark.parametrize("architecture", PLANS)
def test_with_its_weights_it_knows_daisies(architecture, daisies):
    path = weights_of(architecture)
    model = made(1000, architecture=architecture, weights=path).eval()
    model.load_pretrained()
    weight, bias = list(read_weights(path).values())[-2:]
    model.head.score.load_state_dict({"weight": weight, "bias": bias})
    options = ClassifierOptions("pretrained", pretrained=PretrainedOptions(architecture))
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in normalisation(options))
    with torch.no_grad():
        best = model((daisies - mean) / std).topk(5).indices
    assert (best == DAISY).any(1).sum() >= 7


def test_weights_of_mobilenet_have_the_names_that_torchvision_gave_them():
    given = read_weights(weights_of("mobilenet-v2"))
    own = {f"features.{name}" for name in mobile_network(PLANS["mobilenet-v2"]).state_dict()}
    assert given.keys() - own == {"classifier.1.weight", "classifier.1.bias"}
    assert own <= given.keys()


def test_the_odd_row_of_padding_stands_below():
    conv = LopsidedConv2d(1, 1, 3, 2, bias=False)
    nn.init.ones_(conv.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert conv(x).flatten().tolist() == [
        float(x[..., :3, :3].sum()),
        3 + 7 + 11 + 2 + 6 + 10.0,
        8 + 9 + 10 + 12 + 13 + 14.0,
        50,
    ]
    assert conv(torch.ones(1, 1, 5, 5)).flatten().tolist() == [4, 6, 4, 6, 9, 6, 4, 6, 4]
    assert conv(torch.ones(1, 1, 4, 5)).flatten().tolist() == [6, 9, 6, 4, 6, 4]


def test_layers_nearer_to_the_pixels_learn_more_slowly_and_the_head_at_the_usual_rate():
    model = made(learning_rate=1.0, layer_decay=0.5)
    groups = list(model.parameter_groups())
    rate = {id(one): group.get("lr") for group in groups for one in group["params"]}
    assert [rate[id(next(layer.parameters()))] for layer in model.body.layers] == [0.5**number for number in range(18, -1, -1)]
    assert rate[id(model.head.score.weight)] is None
    assert len(rate) == len(list(model.parameters())) == sum(len(group["params"]) for group in groups)
    kept = {id(one) for group in groups if group.get("weight_decay") == 0.0 for one in group["params"]}
    assert kept == {id(one) for one in model.body.parameters() if one.dim() == 1}


@pytest.mark.parametrize(("frozen", "trained"), [(0, 19), (4, 15), (-1, 0)])
def test_what_is_frozen_stays_as_it_is_while_training(frozen, trained):
    model = made(frozen_layers=frozen).train()
    before = [{name: one.clone() for name, one in layer.state_dict().items()} for layer in model.body.layers]
    optimizer = torch.optim.AdamW(model.parameter_groups(), lr=0.1)
    model.loss({"pixels": torch.randn(2, 3, 64, 64), "targets": torch.eye(5)[:2]}).backward()
    optimizer.step()
    is_same = [
        all(torch.equal(one, old[name]) for name, one in layer.state_dict().items())
        for layer, old in zip(model.body.layers, before, strict=True)
    ]
    assert is_same == [True] * (19 - trained) + [False] * trained


def test_a_frozen_network_is_not_differentiated():
    model = made(frozen_layers=-1)
    assert not model.features(torch.randn(2, 3, 64, 64)).requires_grad
    assert [group["params"] for group in model.parameter_groups()] == [list(model.head.parameters())]


def test_it_reads_colour():
    with pytest.raises(InputError, match="reads pictures of 3 channels, got 1"):
        made(channels=1)


def test_weights_have_to_be_named():
    with pytest.raises(InputError, match="weights must name the file of pretrained weights of mobilenet-v2"):
        made().load_pretrained()
    with pytest.raises(
        InputError, match="architecture must be one of mobilenet-v2, efficientnet-lite0, timm:NAME, got 'resnet'"
    ):
        PretrainedOptions("resnet")


class Tiny(nn.Sequential):
    """What timm would make."""

    num_features = 6

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 6, 3, 2))


class Stages(nn.Module):
    """A stem, and blocks in one list, as networks of timm have them."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 4, 3, 2), nn.ReLU()
        self.blocks = nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(3)))

    def forward(self, pixels):
        return self.blocks(self.act(self.stem(pixels)))


class Tokens(nn.Module):
    """A token of its own, then those of 16 × 16 pixels each, as a ViT gives them; it reads pictures of one size."""

    def __init__(self, num_prefix_tokens=1):
        super().__init__()
        self.num_prefix_tokens = num_prefix_tokens
        self.first, self.place = nn.Parameter(torch.zeros(1, 1, 6)), nn.Parameter(torch.zeros(1, 17, 6))
        self.patches = nn.Conv2d(3, 6, 16, 16)

    def forward(self, pixels):
        assert pixels.shape[2] == 64, "Input height doesn't match model."
        found = self.patches(pixels).flatten(2).mT
        return torch.cat([self.first.expand(len(found), -1, -1), found], 1) + self.place


class ChannelsLast(Tiny):
    """As a Swin gives its map."""

    output_fmt = "NHWC"

    def forward(self, pixels):
        return super().forward(pixels).movedim(1, -1)


class Pooled(Tiny):
    """One vector a picture."""

    def forward(self, pixels):
        return super().forward(pixels).mean((2, 3))


MODELS = {"tiny": Tiny, "stages": Stages, "tokens": Tokens, "odd": lambda: Tokens(0), "last": ChannelsLast, "pooled": Pooled}


@pytest.fixture
def timm(monkeypatch):
    """A library with a few models, and the weights it would fetch for one."""
    fetched = Tiny()

    def create_model(name, pretrained, num_classes, global_pool):
        assert (num_classes, global_pool) == (0, "")
        return fetched if pretrained else MODELS[name]()

    known = SimpleNamespace(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    library = SimpleNamespace(create_model=create_model, is_model=MODELS.__contains__, get_pretrained_cfg={"tiny": known}.get)
    monkeypatch.setitem(sys.modules, "timm", library)
    return fetched


def test_a_model_of_timm_is_taken_by_its_name(timm):
    model = made(architecture="timm:tiny")
    assert not torch.equal(model.body.network[0].weight, timm[0].weight)
    model.load_pretrained()
    assert torch.equal(model.body.network[0].weight, timm[0].weight)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 5)
    assert normalisation(ClassifierOptions("pretrained", pretrained=PretrainedOptions("timm:tiny"))) == (
        (0.1, 0.2, 0.3),
        (1, 2, 3),
    )


def test_each_block_of_a_stage_is_a_layer(timm):
    model = made(architecture="timm:stages", frozen_layers=3, layer_decay=0.5)
    stem, *blocks = model.body.network.stem, *model.body.network.blocks
    frozen = {id(one) for one in model.parameters() if not one.requires_grad}
    assert frozen == {id(one) for layer in (stem, blocks[0]) for one in layer.parameters()}
    rates = {id(one): group["lr"] for group in model.body.parameter_groups() for one in group["params"]}
    assert rates[id(blocks[1].weight)] == 0.5 * rates[id(blocks[2].weight)]


def test_a_model_that_timm_does_not_have_is_told(timm):
    for make in (lambda options: build_classifier(options, ImageSizes(5, 3, 64, 64)), normalisation):
        with pytest.raises(InputError, match="timm has no model 'huge'"):
            make(ClassifierOptions("pretrained", pretrained=PretrainedOptions("timm:huge")))


def test_tokens_become_a_map_and_what_stands_beside_the_layers_is_trained(timm):
    model, pixels = made(architecture="timm:tokens"), torch.randn(2, 3, 64, 64)
    network = model.body.network
    assert torch.equal(model.features(pixels), network.patches(pixels))
    groups = list(model.parameter_groups())
    trained = [id(one) for group in groups for one in group["params"]]
    assert sorted(trained) == sorted(id(one) for one in model.parameters())
    kept = {id(one) for group in groups if group.get("weight_decay") == 0.0 for one in group["params"]}
    assert kept == {id(network.first), id(network.place), id(network.patches.bias)}
    frozen = made(architecture="timm:tokens", frozen_layers=-1)
    assert not any(one.requires_grad for one in frozen.body.parameters())
    assert normalisation(ClassifierOptions("pretrained", pretrained=PretrainedOptions("timm:tokens"))) == IMAGENET


def test_a_map_with_its_channels_last_is_turned(timm):
    model = made(architecture="timm:last")
    assert model.features(torch.randn(2, 3, 64, 64)).shape == (2, 6, 15, 15)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize("name", ["odd", "pooled"])
def test_a_network_without_a_map_is_refused(timm, name):
    with pytest.raises(InputError, match=f"timm:{name} gives no map of features over a picture"):
        made(architecture=f"timm:{name}")


def test_a_size_that_a_network_does_not_read_is_told_at_once(timm):
    options = ClassifierOptions("pretrained", pretrained=PretrainedOptions("timm:tokens"))
    message = "timm:tokens cannot read pictures of 32 × 32 pixels: Input height doesn't match model. Choose .* --views.size"
    with pytest.raises(InputError, match=message):
        build_classifier(options, ImageSizes(5, 3, 32, 32))


def test_timm_has_to_be_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        InputError, match=r"models of timm need timm and torchvision, which cannot be imported .* or choose mobilenet-v2"
    ):
        made(architecture="timm:resnet18")
