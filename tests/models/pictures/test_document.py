"""The source document's classifier against its lines, as they were meant."""

import torch
from torch.nn.functional import conv2d, linear, max_pool2d, relu

from regard.models.options import ClassifierOptions
from regard.models.pictures import ImageSizes, build_classifier


def test_on_pictures_of_32_pixels_it_computes_what_the_document_says():
    torch.manual_seed(0)
    model = build_classifier(ClassifierOptions("document"), ImageSizes(7, 3, 32, 32)).eval()
    given = model.state_dict()
    conv1, conv2, gate = ("body.0", "body.3", "body.6")

    def convolve(x, name, padding):
        return conv2d(x, given[f"{name}.weight"], given[f"{name}.bias"], padding=padding)

    pixels = torch.randn(2, 3, 32, 32)
    x = relu(max_pool2d(convolve(pixels, conv1, 1), 2))
    x = relu(max_pool2d(convolve(x, conv2, 1), 2))
    attention = convolve(torch.cat((x, convolve(x, f"{gate}.mix", 0)), 1), f"{gate}.conv", 3).sigmoid()
    x = (attention * x).reshape(-1, 128 * 8 * 8)
    x = relu(linear(x, given["head.2.weight"], given["head.2.bias"]))
    wanted = linear(x, given["head.5.weight"], given["head.5.bias"])
    torch.testing.assert_close(model(pixels), wanted, rtol=1e-4, atol=1e-5)


def test_its_parameters_are_the_same_for_every_size():
    counts = {
        sum(one.numel() for one in build_classifier(ClassifierOptions("document"), ImageSizes(7, 3, side, side)).parameters())
        for side in (5, 224)
    }
    assert len(counts) == 1
