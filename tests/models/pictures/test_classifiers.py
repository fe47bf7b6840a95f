"""What holds for every image classifier."""

import math

import pytest
import torch

from regard.models.options import (
    ClassifierOptions,
    ConvolutionalOptions,
    ImageTransformerOptions,
    PretrainedOptions,
)
from regard.models.pictures import ImageSizes, build_classifier, normalisation
from regard.models.pictures.mobile import IMAGENET

CASES = {
    "document": ClassifierOptions("document"),
    "convolutional": ClassifierOptions("convolutional", convolutional=ConvolutionalOptions((8, 12), pool="attention")),
    "compact": ClassifierOptions("transformer", transformer=ImageTransformerOptions(d_model=32, num_layers=2)),
    "vit": ClassifierOptions(
        "transformer", transformer=ImageTransformerOptions("patches", d_model=32, num_layers=2, pool="class")
    ),
    "mobilenet": ClassifierOptions("pretrained"),
    "efficientnet": ClassifierOptions("pretrained", pretrained=PretrainedOptions("efficientnet-lite0", pool="attention")),
}
UNSEEN = "key.bias"
"""What softmax cannot see: it adds the same to all scores of a query, except where rotary positions turn it."""

each_case = pytest.mark.parametrize("options", CASES.values(), ids=CASES)


def made(options, height=30, width=23, channels=3, num_classes=4):
    torch.manual_seed(0)
    return build_classifier(options, ImageSizes(num_classes, channels, height, width))


def batch_of(height=30, width=23, channels=3, num_classes=4):
    torch.manual_seed(1)
    return {"pixels": torch.randn(3, channels, height, width), "targets": torch.rand(3, num_classes).softmax(1)}


@each_case
@pytest.mark.parametrize(("height", "width"), [(28, 28), (33, 57), (5, 3)])
def test_pictures_of_any_size_get_a_score_for_each_class(options, height, width):
    model = made(options, height, width).eval()
    pixels = batch_of(height, width)["pixels"]
    scores = model(pixels)
    assert scores.shape == (3, 4)
    assert scores.isfinite().all()
    torch.testing.assert_close(model.head(model.features(pixels)), scores)
    assert model.features(pixels).dim() == 4


@each_case
def test_probabilities_of_a_picture_do_not_depend_on_its_batch(options):
    model, batch = made(options).eval(), batch_of()
    with torch.no_grad():
        together = model.predict(batch)
        alone = model.predict({"pixels": batch["pixels"][1:2]})
    assert [round(float(one.sum()), 4) for one in together] == [1.0] * 3
    torch.testing.assert_close(together[1], alone[0], rtol=1e-4, atol=1e-5)


@each_case
def test_every_parameter_and_the_last_pixels_are_learnt_from(options):
    model, batch = made(options, 37, 35), batch_of(37, 35)
    for parameter in model.parameters():  # some begin at zero, and hide what stands before them
        parameter.data += 0.1 * torch.randn_like(parameter)
    batch["pixels"].requires_grad_()
    model.loss(batch).backward()
    silent = [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert [name for name in silent if not name.endswith(UNSEEN)] == []
    assert batch["pixels"].grad[:, :, -1].any()
    assert batch["pixels"].grad[:, :, :, -1].any()


@each_case
def test_it_computes_in_half_precision(options):
    model, batch = made(options), batch_of()
    with torch.autocast("cpu", torch.bfloat16):
        half = model.loss(batch)
    assert half.dtype == torch.float32
    half.backward()
    torch.testing.assert_close(half, made(options).loss(batch), rtol=0.2, atol=0.2)  # drawn dropout differs


@pytest.mark.parametrize("name", ["document", "convolutional", "transformer"])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_pictures_may_have_any_number_of_channels(name, channels):
    assert made(ClassifierOptions(name), channels=channels)(batch_of(channels=channels)["pixels"]).shape == (3, 4)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (ClassifierOptions("document"), 10_096_650),
        (ClassifierOptions("convolutional"), 242_394),
        (ClassifierOptions("transformer"), 286_234),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_the_number_of_parameters_for_ten_classes_of_grey_pictures(options, count):
    model = made(options, 28, 28, channels=1, num_classes=10)
    assert sum(one.numel() for one in model.parameters()) == count


@pytest.mark.parametrize(
    ("options", "rate", "num_pictures"),
    [
        (ClassifierOptions("document"), 1e-3, 16),
        (ClassifierOptions("convolutional"), 3e-3, 32),
        (ClassifierOptions("transformer"), 2e-3, 32),
        (ClassifierOptions("pretrained", pretrained=PretrainedOptions(learning_rate=2e-3)), 2e-3, 16),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_real_pictures_are_learnt(options, rate, num_pictures, clothes):
    channels = 3 if options.name == "pretrained" else 1
    pixels = clothes["pixels"][:num_pictures].expand(-1, channels, -1, -1)
    batch = {"pixels": pixels, "targets": clothes["targets"][:num_pictures]}
    model = made(options, 28, 28, channels, 10)
    optimizer = torch.optim.AdamW(model.parameter_groups(), lr=rate)
    losses = []
    for _ in range(30):
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.8 * math.log(10)
    assert losses[-1] < 0.7 * losses[0]


def test_pixels_are_normalised_as_the_weights_want_it():
    assert normalisation(ClassifierOptions("pretrained")) == IMAGENET
    lite = normalisation(ClassifierOptions("pretrained", pretrained=PretrainedOptions("efficientnet-lite0")))
    assert lite == ((127 / 255,) * 3, (128 / 255,) * 3)
    assert normalisation(ClassifierOptions("convolutional")) == ((0.5,), (0.5,))
