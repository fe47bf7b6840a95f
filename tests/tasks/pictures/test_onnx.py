"""What is exported says what the run says, whoever asks."""

import io
import json
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from regard.attention.gates import Block
from regard.catalog import GATES, load
from regard.cli import main
from regard.data.pictures import input_pictures, read_pictures
from regard.errors import InputError
from regard.models.options import ClassifierOptions, ConvolutionalOptions, ImageTransformerOptions, ViewOptions
from regard.tasks.classify.task import Classify
from regard.tasks.folder import Run, save_start, save_weights
from regard.tasks.pictures import onnx
from regard.tasks.pictures.onnx import FORMATS, Program, export
from regard.tasks.pictures.views import Viewer
from regard.tasks.task import Training
from tests.conftest import SHARED

runtime = pytest.importorskip("onnxruntime", reason="the export is checked by onnxruntime: pip install 'regard[export]'")
pytest.importorskip("onnxscript", reason="PyTorch writes ONNX by it: pip install 'regard[export]'")

pytestmark = pytest.mark.usefixtures("unchecked_shapes")
SIZE = 24


EXACT = Training(precision="float32")


def transformer(**options):
    small = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_feedforward": 16, "patch": 8}
    return ClassifierOptions("transformer", transformer=ImageTransformerOptions(**{**small, **options}))


MODELS = {
    "document": ClassifierOptions("document"),
    "convolutional": ClassifierOptions("convolutional", convolutional=ConvolutionalOptions((8, 8), gate="cbam")),
    "transformer": transformer(),
    "transformer of other parts": transformer(
        tokenizer="patches", pool="class", num_kv_heads=1, position="learned", mechanism="talking-heads+sparsemax"
    ),
    "pretrained": ClassifierOptions("pretrained"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of flowers where they are at hand, else noise; of three classes and several sizes."""
    folder, archive = tmp_path_factory.mktemp("pictures"), SHARED / "vision" / "flowers5" / "val.zip"
    dice = np.random.default_rng(0)
    images = [Image.fromarray(dice.integers(0, 256, (30 + n, 40, 3), dtype=np.uint8)) for n in range(5)]
    if archive.is_file():
        with zipfile.ZipFile(archive) as given:
            names = [name for name in given.namelist() if name.endswith(".jpg")][::150]
            images = [Image.open(io.BytesIO(given.read(name))) for name in names]
    for number, image in enumerate(images):
        (folder / "abc"[number % 3]).mkdir(exist_ok=True)
        image.save(folder / "abc"[number % 3] / f"{number}.png")
    return folder


def run_of(folder, model, **options):
    """A run that was not trained and yet tells pictures apart."""
    task = Classify(training=EXACT, views=ViewOptions(size=SIZE), model=model, **options)
    encoder = task.fit_encoder(read_pictures(folder)[0])
    torch.manual_seed(0)
    return Run(task, encoder, restless(task.build(encoder), (3, SIZE, SIZE)))


def restless(model, shape):
    """With noise in its weights, those that begin at zero too, and norms that know what comes to them."""
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(16, *shape))
    return model.eval()


def views_of(run, folder):
    return run.encoder.viewer.views(list(input_pictures(str(folder))), is_training=False)


def asked(folder, pixels):
    """What onnxruntime says."""
    return runtime.InferenceSession(folder / "model.onnx").run(None, {"pixels": pixels})


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_onnxruntime_says_of_pictures_what_the_run_says(model, folder, tmp_path):
    run = run_of(folder, model)
    result = run.task.export(run, "onnx", tmp_path / "made")
    assert result["largest_difference"] <= 1e-4  # of noise
    views = views_of(run, folder)
    wanted = np.stack([verdict.probabilities for verdict in run.predict(views)])
    assert np.ptp(wanted, 0).max() > 1e-3  # it looks at the pictures
    for count in (1, 5):
        (found,) = asked(tmp_path / "made", np.stack([view.values.numpy() for view in views[:count]]))
        assert np.abs(found - wanted[:count]).max() <= 1e-4


@pytest.mark.parametrize("format", FORMATS)
def test_every_gate_can_be_exported(format, tmp_path):
    """All of the catalog in a row."""
    gates = [load(GATES, name) for name in GATES]
    assert all(issubclass(gate, Block) for gate in gates)
    torch.manual_seed(0)
    model = restless(nn.Sequential(nn.Conv2d(3, 32, 3), *(gate.for_channels(32) for gate in gates)), (3, 9, 8))
    program = Program.of(model, ((0.5,), (0.5,)), (3, 9, 8), ("features",), task="none")
    assert export(program, format, tmp_path / "made")["largest_difference"] <= 1e-4


def test_a_program_has_all_outputs_by_their_names(tmp_path):
    class Two(nn.Module):
        def forward(self, pixels):
            return pixels.mean((2, 3)), pixels.amax((1, 2, 3))

    program = Program.of(Two(), ((0.25, 0.5, 0.75), (0.5, 1.0, 2.0)), (3, 4, 6), ("mean", "largest"), task="none")
    pixels = torch.arange(72, dtype=torch.uint8).view(1, 3, 4, 6)
    wanted = pixels.double().mean((2, 3)).numpy() / 255
    for format in FORMATS:
        export(program, format, tmp_path / format)
    session = runtime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    assert [one.name for one in session.get_outputs()] == ["mean", "largest"]
    mean, largest = asked(tmp_path / "onnx", pixels.numpy())
    assert mean == pytest.approx((wanted - [0.25, 0.5, 0.75]) / [0.5, 1.0, 2.0])
    assert largest == pytest.approx((71 / 255 - 0.75) / 2)
    mean, largest = torch.export.load(tmp_path / "torch" / "model.pt2").module()(pixels)
    assert mean.numpy() == pytest.approx((wanted - [0.25, 0.5, 0.75]) / [0.5, 1.0, 2.0])


def test_a_program_may_have_other_inputs_with_a_row_for_each_picture(tmp_path):
    class Scaled(nn.Module):
        def forward(self, pixels, scales):
            return pixels.mean((2, 3)) * scales

    program = Program.of(Scaled(), ((0.0,), (1.0,)), (1, 4, 6), ("scaled",), task="none")
    program = replace(program, others={"scales": torch.tensor([[2.0], [3.0]])})
    pixels, scales = torch.arange(72, dtype=torch.uint8).view(3, 1, 4, 6), torch.tensor([[1.0], [10.0], [100.0]])
    wanted = pixels.double().mean((2, 3)) / 255 * scales
    for format in FORMATS:
        export(program, format, tmp_path / format)
    session = runtime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    (scaled,) = session.run(None, {"pixels": pixels.numpy(), "scales": scales.numpy()})
    assert scaled == pytest.approx(wanted.numpy())
    assert torch.allclose(torch.export.load(tmp_path / "torch" / "model.pt2").module()(pixels, scales), wanted.float())


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    """A run folder."""
    run, out = run_of(folder, MODELS["convolutional"]), tmp_path_factory.mktemp("runs") / "run"
    out.mkdir()
    save_start(out, run, {})
    save_weights(out, run.model)
    return run, out


def test_the_command_writes_all_that_is_needed_and_no_path_of_this_machine(saved, folder, capsys):
    _, out = saved
    for format in FORMATS:
        assert main(["export", str(out), "--format", format, "--json"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert result["files"] == ["model.pt2" if format == "torch" else "model.onnx", "preprocess.json"]
        assert not any(b"/site-packages/" in path.read_bytes() for path in (out / format).iterdir())
    facts = json.loads((out / "onnx" / "preprocess.json").read_text())
    assert facts == json.loads((out / "torch" / "preprocess.json").read_text())
    assert facts["classes"] == ["a", "b", "c"]
    session = runtime.InferenceSession(out / "onnx" / "model.onnx")
    kept = session.get_modelmeta().custom_metadata_map
    assert {name: value if name == "task" else json.loads(value) for name, value in kept.items()} == facts
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("pixels", "tensor(uint8)", ["batch", 3, SIZE, SIZE])
    assert main(["export", str(out), "--format", "onnx"]) == 2
    assert "must not exist" in capsys.readouterr().err


def test_a_program_of_torch_says_the_same_and_holds_no_pickle(saved, folder, tmp_path):
    run, _ = saved
    run.task.export(run, "torch", tmp_path / "made")
    views = views_of(run, folder)
    found = torch.export.load(tmp_path / "made" / "model.pt2").module()(torch.stack([view.values for view in views]))
    assert found.detach().numpy() == pytest.approx(np.stack([one.probabilities for one in run.predict(views)]), abs=1e-5)
    with zipfile.ZipFile(tmp_path / "made" / "model.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if "/weights/weight_" not in name}
    assert any(contents.values())
    assert not [name for name, content in contents.items() if content.startswith((b"\x80", b"PK"))]


def test_the_steps_of_preprocess_json_give_the_pixels_that_the_run_sees(folder):
    viewer = Viewer(SIZE, 3, 0.9)
    facts = onnx.facts_of(viewer)
    assert facts["shorter_side"] == 27  # 24 / 0.9
    for picture in input_pictures(str(folder)):
        image = ImageOps.exif_transpose(Image.open(folder / picture.key)).convert("RGB")
        scale = facts["shorter_side"] / min(image.size)
        image = image.resize([max(facts["shorter_side"], round(scale * side)) for side in image.size], Image.BILINEAR)
        left, top = ((side - facts["size"]) // 2 for side in image.size)
        seen = np.asarray(image.crop((left, top, left + SIZE, top + SIZE))).transpose(2, 0, 1).astype(int)
        wanted = viewer.view(picture).numpy()
        assert np.abs(seen - wanted).mean() < 3  # of 255: decoders may leave out detail that is not wanted
        assert np.abs(np.roll(seen, 1, 2) - wanted).mean() > 5


def test_a_library_that_is_missing_is_told(saved, tmp_path, monkeypatch):
    run, _ = saved
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'regard\[export\]' \(onnxruntime\)"):
        run.task.export(run, "onnx", tmp_path / "made")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_model_that_has_no_such_form_is_told_and_nothing_stays(format, folder, tmp_path):
    run = run_of(folder, transformer(mechanism="additive"))
    with pytest.raises(InputError, match="no form for any number of pictures"):
        run.task.export(run, format, tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_what_says_something_else_is_not_written(saved, tmp_path, monkeypatch):
    run, _ = saved
    right = onnx.Program.of(nn.Sequential(run.model, nn.Softmax(1)), run.encoder.normalisation, (3, SIZE, SIZE), ("",)).model
    answers = {
        "other": lambda pixels: [right(pixels) + 0.001],
        "none": lambda pixels: [torch.full((1,), float("nan"))],
        "none of the second batch": lambda pixels: [right(pixels) if len(pixels) == 1 else right(pixels) * float("nan")],
    }
    for answer in answers.values():
        monkeypatch.setitem(FORMATS, "none", lambda program, part, answer=answer: torch.no_grad()(answer))
        with pytest.raises(InputError, match="its answers differ by"):
            run.task.export(run, "none", tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(saved, tmp_path):
    run, _ = saved
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run.task.export(run, "torch", tmp_path / "file" / "made")


def test_exporting_leaves_the_run_as_it_was(saved, folder, tmp_path):
    run, _ = saved
    before = [verdict.probabilities for verdict in run.predict(views_of(run, folder))]
    run.model.train()
    run.task.export(run, "torch", tmp_path / "made")
    assert run.model.training
    run.model.eval()
    assert np.array_equal(before, [verdict.probabilities for verdict in run.predict(views_of(run, folder))])
