"""What is found in pictures."""

import pytest
import torch

from regard import InputError
from regard.models.detection import normalisation
from regard.models.detection.boxes import iou, to_middles
from regard.models.options import BackboneOptions, DetectorOptions
from regard.models.precision import autocast
from tests.models.detection.conftest import made, rectangles


@pytest.fixture(scope="module")
def trained():
    """One that has seen two pictures again and again, and its losses. No pretrained weights."""
    model = made().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(100):
        loss = model.loss(rectangles())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        losses.append(loss.item())
    return model.eval(), losses


def test_the_loss_falls(trained):
    _, losses = trained
    assert sum(losses[-5:]) < 0.25 * sum(losses[:5])


def test_each_rectangle_is_found_once_and_nothing_else(trained):
    model, _ = trained
    batch = rectangles()
    for found, boxes, classes in zip(model.predict(batch), batch["boxes"], batch["classes"], strict=True):
        real = classes >= 0
        sure = found.scores > 0.5
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        assert sorted(found.classes[sure].tolist()) == sorted(classes[real].tolist())
        for box, kind in zip(found.boxes[sure], found.classes[sure], strict=True):
            assert iou(box, boxes[real & (classes == kind)]).max() > 0.6


def test_padding_and_other_pictures_change_nothing(trained):
    model, _ = trained
    batch = rectangles()
    alone = model.predict({"pixels": batch["pixels"][1:, :, :64], "sizes": batch["sizes"][1:]})[0]
    wide = torch.full((3, 3, 128, 160), 9.0)
    wide[:2, :, :64, :96] = batch["pixels"]
    wide[1, :, 50:64] = -9
    sizes = torch.cat([batch["sizes"], torch.tensor([[128, 160]])])
    among = model.predict({"pixels": wide, "sizes": sizes})[1]
    for one, other in zip(alone, among, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_padding_is_never_an_answer():
    model = made(num_queries=40).eval()
    alone = model.predict({"pixels": torch.randn(1, 3, 32, 32), "sizes": torch.tensor([[8, 20]])})[0]
    assert set(alone.queries.tolist()) == set(range(3 + 2 + 1))
    assert len(alone.scores) == 2 * (3 + 2 + 1)
    assert (alone.boxes >= 0).all()
    assert (alone.boxes <= torch.tensor([20.0, 8, 20, 8])).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_where_the_query_of_each_thing_looked_is_read_in_pixels(precision):
    model, batch = made().eval(), rectangles()
    with torch.no_grad(), autocast(precision, torch.device("cpu")):
        looked, wanted, boxes = model.attended(batch), model.predict(batch), model(batch["pixels"], batch["sizes"]).boxes
    for picture, (found, samples) in enumerate(looked):
        torch.testing.assert_close(found, wanted[picture])
        assert samples.shape == (10, 4 * 3 * 2, 3)
        places, weights = samples.split((2, 1), -1)
        torch.testing.assert_close(weights.sum(1), torch.ones(10, 1))
        # at first heads look in opposite directions from the middle of a box that no layer has moved
        torch.testing.assert_close((places * weights).sum(1), to_middles(boxes[picture, found.queries])[:, :2])


def test_every_parameter_learns():
    model = made().train()
    # what ends in zeros hides the layers before it from the very first gradient
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    model.loss(rectangles()).backward()
    assert [name for name, one in model.named_parameters() if one.grad is None or not one.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("most", [0, 3])
def test_pictures_without_boxes_can_be_learnt_from(most):
    model = made().train()
    batch = rectangles() | {"boxes": torch.zeros(2, most, 4), "classes": torch.full((2, most), -1)}
    loss = model.loss(batch)
    loss.backward()
    assert loss.isfinite()
    assert all(one.grad.isfinite().all() for one in model.parameters() if one.grad is not None)


def test_layers_of_the_backbone_have_rates_of_their_own_and_all_is_trained_once():
    model = made()
    groups = list(model.parameter_groups())
    rates = {id(one): group.get("lr") for group in groups for one in group["params"]}
    assert rates[id(next(model.pyramid.layers[-1].parameters()))] == 1e-3
    assert rates[id(next(model.pyramid.layers[0].parameters()))] == pytest.approx(1e-3 * 0.9**5)
    assert rates[id(next(model.decoder.parameters()))] is None
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_options_are_checked():
    assert normalisation(DetectorOptions())[0] == (0.485, 0.456, 0.406)
    with pytest.raises(InputError, match="d_model must be a multiple of 8 and of num_heads, got 36 and 4 heads"):
        DetectorOptions(d_model=36, num_heads=4)
    with pytest.raises(InputError, match="weights must name the file of pretrained weights of mobilenet-v2"):
        made().load_pretrained()
    with pytest.raises(InputError, match="layer_decay must be from 0 to 1"):
        BackboneOptions(layer_decay=2.0)
