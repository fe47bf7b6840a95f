"""An exported detector finds what the run finds, whoever asks."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.boxes import Box, Scene
from regard.data.pictures import input_pictures
from regard.models.options import DetectorOptions, FindingOptions, SceneOptions
from regard.models.pictures.mobile import MOBILENET_V2, PLANS
from regard.tasks.detect.exported import NOTHING, Surest, apart
from regard.tasks.detect.task import Detect
from regard.tasks.folder import Run
from regard.tasks.pictures import onnx
from regard.tasks.pictures.views import View
from regard.tasks.task import Training
from tests.conftest import SHARED

runtime = pytest.importorskip("onnxruntime", reason="the export is checked by onnxruntime: pip install 'regard[export]'")
pytest.importorskip("onnxscript", reason="PyTorch writes ONNX by it: pip install 'regard[export]'")

pytestmark = pytest.mark.usefixtures("unchecked_shapes")
SIZE, CANVAS = 80, 96
SMALL = {"d_model": 16, "num_heads": 2, "num_layers": 1, "num_queries": 12, "d_feedforward": 16}


@pytest.fixture(scope="module", autouse=True)
def shallow():
    """A network of fewer layers: tracing takes a second for every ten of them."""
    with pytest.MonkeyPatch.context() as patch:
        stages = tuple(stage._replace(num_blocks=1) for stage in MOBILENET_V2.stages if stage.stride == 2)
        patch.setitem(PLANS, "mobilenet-v2", replace(MOBILENET_V2, stages=stages))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of blood cells where they are at hand, else noise; of several shapes."""
    folder, archive = tmp_path_factory.mktemp("cells"), SHARED / "vision" / "bccd" / "BCCD.zip"
    dice = np.random.default_rng(0)
    images = [Image.fromarray(dice.integers(0, 256, (240, 320, 3), dtype=np.uint8)) for _ in range(5)]
    if archive.is_file():
        with zipfile.ZipFile(archive) as given:
            names = [name for name in given.namelist() if name.endswith(".jpg")][:5]
            images = [Image.open(io.BytesIO(given.read(name))) for name in names]
    for number, image in enumerate(images):
        image.crop((0, 0, image.width - 60 * number, image.height)).save(folder / f"{number}.png")
    return folder


def run_of(folder, **options):
    """A run that was not trained and yet tells places apart."""
    task = Detect(
        training=Training(precision="float32"),
        views=SceneOptions(size=SIZE),
        model=DetectorOptions(**{**SMALL, **options}),
        finding=FindingOptions(threshold=0.02),
    )
    (picture, *_) = input_pictures(str(folder))
    encoder = task.fit_encoder([Scene(picture, 640, 480, tuple(Box(name, 0, 0, 9, 9) for name in "abc"))])
    torch.manual_seed(0)
    model = task.build(encoder)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return Run(task, encoder, model.eval())


@pytest.fixture(scope="module")
def run(folder):
    return run_of(folder)


def views_of(run, folder):
    return run.encoder.viewer.tolerant([View(picture) for picture in input_pictures(str(folder))])


def given(views, padding=0):
    """What an exported detector is given."""
    pixels = np.full((len(views), 3, CANVAS, CANVAS), padding, dtype=np.uint8)
    for own, view in zip(pixels, views, strict=True):
        own[:, : view.values.shape[1], : view.values.shape[2]] = view.values.numpy()
    return {"pixels": pixels, "sizes": np.array([view.values.shape[1:] for view in views])}


def wanted(run, views):
    """Of each picture (xmin, ymin, xmax, ymax in shares of its sides, score, class) of all that the run finds."""
    found = run.predict(views)
    sides = [(view.scene.width, view.scene.height) * 2 for view in views]
    boxes = [[(one.xmin, one.ymin, one.xmax, one.ymax) for one in seen.all] for seen in found]
    rest = [[(one.confidence, one.class_number) for one in seen.all] for seen in found]
    return np.stack([np.hstack([np.array(b) / side, r]) for b, side, r in zip(boxes, sides, rest, strict=True)])


def joined(outputs):
    boxes, scores, classes = map(np.asarray, outputs)
    return np.concatenate([boxes, scores[..., None], classes[..., None]], -1)


@pytest.fixture(scope="module")
def written(run, unchecked_shapes, tmp_path_factory):
    """The ONNX folder, what the check before it said, and the program of torch that it was made of."""
    out, traced, trace = tmp_path_factory.mktemp("exported") / "made", [], onnx._traced
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx, "_traced", lambda program: traced.append(trace(program)) or traced[0])
        return out, run.task.export(run, "onnx", out), traced[0]


def test_onnxruntime_finds_what_the_run_finds(run, written, folder):
    out, result, _ = written
    assert result["largest_difference"] <= 1e-4  # of noise
    views = views_of(run, folder)
    boxes = wanted(run, views)
    assert np.ptp(boxes[:, 0], 0).max() > 1e-3  # it looks at the pictures
    session = runtime.InferenceSession(out / "model.onnx")
    for count in (1, 5):
        found = joined(session.run(None, given(views[:count], padding=200)))
        assert np.abs(found - boxes[:count]).max() <= 1e-4


def test_what_a_user_has_to_know_stands_beside_the_model(written):
    out, _, _ = written
    facts = json.loads((out / "preprocess.json").read_text())
    assert {name: facts[name] for name in ("task", "classes", "threshold", "size", "canvas", "channels")} == {
        "task": "detect",
        "classes": ["a", "b", "c"],
        "threshold": 0.02,
        "size": SIZE,
        "canvas": CANVAS,
        "channels": 3,
    }
    session = runtime.InferenceSession(out / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["a", "b", "c"]
    sides = {one.name: (one.type, one.shape) for one in (*session.get_inputs(), *session.get_outputs())}
    assert sides == {
        "pixels": ("tensor(uint8)", ["batch", 3, CANVAS, CANVAS]),
        "sizes": ("tensor(int64)", ["batch", 2]),
        "boxes": ("tensor(float)", ["batch", 12, 4]),
        "scores": ("tensor(float)", ["batch", 12]),
        "classes": ("tensor(int64)", ["batch", 12]),
    }


def test_the_program_of_torch_finds_the_same(run, written, folder):
    views = views_of(run, folder)
    with torch.no_grad():
        found = written[2].module()(*map(torch.from_numpy, given(views).values()))
    assert joined(found) == pytest.approx(wanted(run, views), abs=1e-4)


def test_where_there_are_fewer_answers_than_queries_the_rest_is_nothing(folder):
    run = run_of(folder, num_queries=40)
    with torch.no_grad():
        boxes, scores, classes = Surest(run.model)(torch.randn(1, 3, 64, 64), torch.tensor([[8, 8]]))  # one place of each map
    assert (scores[0, :9] > 0).all()
    assert not scores[0, 9:].any()
    assert not boxes[0, 9:].any()
    assert classes[0, 9:].unique().tolist() == [NOTHING]


def test_answers_that_are_as_sure_may_come_in_any_order():
    boxes, scores, classes = torch.rand(2, 5, 4), torch.rand(2, 5), torch.arange(5).expand(2, 5)
    order = torch.randperm(5)
    assert apart((boxes, scores, classes), (boxes[:, order], scores[:, order], classes[:, order])) == 0
    assert apart((boxes, scores, classes), (boxes, scores + torch.tensor([0, 0, 0.2, 0, 0]), classes)) == pytest.approx(0.2)
    for broken in ((boxes[:, [0, 0, 2, 3, 4]], scores, classes), (boxes, scores, classes.flip(1))):
        assert apart((boxes, scores, classes), broken) > 0.01
    assert np.isnan(apart((boxes, scores, classes), (boxes * float("nan"), scores, classes)))
