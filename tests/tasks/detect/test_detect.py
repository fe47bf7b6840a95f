"""Object detection, from files to a run and from pictures to boxes and pages."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from regard.cli import main
from regard.data.boxes import Box
from regard.models.detection import Found
from regard.models.options import DetectorOptions, SceneOptions
from regard.models.pictures.mobile import MOBILENET_V2, mobile_network
from regard.tasks.detect.detection import Detection, Detections
from regard.tasks.detect.explain import LOOKED, pages, worst_errors
from regard.tasks.detect.task import Detect
from regard.tasks.folder import Run, load_run

COLOURS = {"blue": (30, 60, 220), "red": (220, 40, 30)}
SIZES = {"d_model": 16, "num_heads": 2, "num_layers": 1, "num_queries": 8, "d_feedforward": 16, "num_denoising": 4}


def rectangles(seed, width=64, height=48):
    """Noise with a blue and a red rectangle, and where they are."""
    dice = np.random.default_rng(seed)
    values = dice.integers(90, 160, (height, width, 3), dtype=np.uint8)
    boxes = []
    for place, (name, colour) in enumerate(COLOURS.items()):
        left, top = int(dice.integers(2, 12)) + place * width // 2, int(dice.integers(2, 20))
        wide, high = dice.integers(10, 18, 2).tolist()
        values[top : top + high, left : left + wide] = colour
        boxes.append((name, left, top, left + wide, top + high))
    return Image.fromarray(values), boxes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a table of boxes for each part."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 6), ("dev", 2), ("test", 2)):
        lines = ["filename,xmin,ymin,xmax,ymax,class"]
        for number in range(count):
            image, boxes = rectangles(100 * len(split) + number)
            image.save(folder / f"{split}{number}.png")
            lines += [f"{split}{number}.png,{x0},{y0},{x1},{y1},{name}" for name, x0, y0, x1, y1 in boxes]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run that the command trained for two passes, and its result."""
    folder = tmp_path_factory.mktemp("runs")
    out, weights = folder / "run", folder / "mobilenet_v2.pth"
    torch.save(mobile_network(MOBILENET_V2).state_dict(), weights)
    sizes = [word for name, value in SIZES.items() for word in (f"--model.{name}", str(value))]
    few = ["--training.max_epochs", "2", "--training.batch_size", "3", "--model.backbone.weights", str(weights)]
    assert main(["train", "detect", "--data", str(data), "--out", str(out), *few, *sizes]) == 0
    return out, json.loads((out / "metrics.json").read_text())


def run_of(data, size=64, precision="float32"):
    training = replace(Detect().training, precision=precision)
    task = Detect(training=training, model=DetectorOptions(**SIZES), views=SceneOptions(size=size))
    examples, _ = task.read(data / "train.csv")
    encoder = task.fit_encoder(examples)
    torch.manual_seed(0)
    return Run(task, encoder, task.build(encoder).eval()), examples


def perfect(view, confidence=0.9):
    """All boxes of a view, found."""
    found = (Detection(box.label, confidence, box.xmin, box.ymin, box.xmax, box.ymax) for box in view.boxes)
    return Detections(tuple(found), 0.5)


def test_a_run_has_coco_s_figures_and_a_page(trained):
    out, result = trained
    assert {"map_percent", "map50_percent", "map75_percent", "mar_100_percent", "per_class", "threshold"} <= result.keys()
    assert set(result["per_class"]) == set(COLOURS)
    assert LOOKED in (out / "report.html").read_text() or result["threshold"] > 0


def test_without_pretrained_weights_nothing_is_trained(data, tmp_path, capsys):
    assert main(["train", "detect", "--data", str(data), "--out", str(tmp_path / "run"), "--training.max_epochs", "1"]) == 2
    assert "weights must name the file of pretrained weights of mobilenet-v2" in capsys.readouterr().err
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_the_threshold_of_dev_is_remembered(trained):
    out, result = trained
    assert load_run(out).encoder.threshold == result["threshold"]


def test_a_loaded_run_finds_what_the_trained_one_found(trained, data, capsys):
    out, result = trained
    assert main(["evaluate", str(out), "--data", str(data), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["map_percent"] == pytest.approx(result["map_percent"], abs=0.2)


def test_a_picture_that_cannot_be_looked_at_is_named(trained, data, tmp_path, capsys):
    path = tmp_path / "broken.png"
    path.write_bytes((data / "test0.png").read_bytes()[:200])
    assert main(["look", str(trained[0]), "--input", str(path), "--out", str(tmp_path / "page.html")]) == 2
    assert f"{path}: the picture is damaged or cut off" in capsys.readouterr().err


def test_perfect_boxes_score_everything(data):
    run, examples = run_of(data)
    views = run.task.cut(run.encoder, examples, is_training=False)
    result = run.task.score(views, [perfect(view) for view in views])
    assert result["map_percent"] == pytest.approx(100)
    assert result["per_class"]["red"]["num_gold"] == 6


def test_boxes_of_the_model_come_back_in_pixels_of_the_picture(data):
    run, examples = run_of(data)
    encoder = run.encoder
    big = Detect(views=SceneOptions(size=128)).fit_encoder(examples)
    for one in (encoder, big):
        (view,) = one.viewer.views(examples[:1], is_training=False)
        batch = one.collate([view])
        assert max(batch["sizes"][0].tolist()) == one.viewer.size
        assert batch["pixels"].shape[2] % 32 == batch["pixels"].shape[3] % 32 == 0
        found = Found(torch.ones(2), batch["classes"][0], batch["boxes"][0], torch.arange(2))
        given = one.detections(view, found, 0.5).told
        for was, box in zip(given, view.boxes, strict=True):
            assert was.label == box.label
            assert [was.xmin, was.ymax] == pytest.approx([box.xmin, box.ymax], abs=1e-3)


@pytest.mark.parametrize("size", [32, 64, 100])
def test_a_picture_keeps_its_shape(data, size):
    _, examples = run_of(data)
    encoder = Detect(views=SceneOptions(size=size)).fit_encoder(examples)
    (view,) = encoder.viewer.views(examples[:1], is_training=False)
    assert view.values.shape == (3, size * 3 // 4, size)
    given = view.scene.boxes[0]
    scale = size / 64
    assert encoder.sample(view).boxes[0].tolist() == pytest.approx(
        [given.xmin * scale, given.ymin * scale, given.xmax * scale, given.ymax * scale], abs=1e-3
    )


def test_crowds_and_unknown_classes_are_ignored(data):
    run, examples = run_of(data)
    boxes = (*examples[0].boxes, Box("red", 1, 1, 20, 20, is_crowd=True), Box("green", 5, 5, 9, 9))
    (view,) = run.encoder.viewer.views([replace(examples[0], boxes=boxes)], is_training=False)
    assert run.encoder.sample(view).classes.tolist() == [0, 1, -2, -2]


def test_padding_in_a_batch_is_no_box(data):
    run, examples = run_of(data)
    fewer = replace(examples[1], boxes=())
    batch = run.encoder.collate(run.encoder.viewer.views([examples[0], fewer], is_training=False))
    assert batch["classes"].tolist() == [[0, 1], [-1, -1]]


def test_the_threshold_is_where_dev_is_best(data, monkeypatch):
    run, examples = run_of(data)
    views = run.task.cut(run.encoder, examples, is_training=False)
    false = Detection("red", 0.4, 0, 0, 5, 5)
    found = [Detections((*perfect(view, 0.7).all, false), 0.5) for view in views]
    monkeypatch.setattr(Run, "predict", lambda self, given: found)
    run.task.tuned(run, [], views)
    assert 0.4 < run.encoder.threshold <= 0.7


def test_predictions_name_boxes_and_leave_out_what_is_no_picture(trained, data, tmp_path, capsys):
    image, _ = rectangles(5)
    image.save(tmp_path / "a.png")
    image.convert("L").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    drawn_in = tmp_path / "drawn"
    options = ["--input", str(tmp_path), "--draw", str(drawn_in), "--finding.threshold", "0.01", "--json"]
    assert main(["predict", str(trained[0]), *options]) == 0
    *lines, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert result["num_left_out"] == 1
    assert lines[2]["boxes"] == []
    assert "must be PNG" in lines[2]["error"]
    assert lines[0]["width"] == 64
    for box in lines[0]["boxes"]:
        assert sorted(COLOURS)[box["class_number"]] == box["label"]
        assert 0 <= box["xmin"] <= box["xmax"] <= 64
        assert 0 <= box["ymin"] <= box["ymax"] <= 48
    assert sorted(path.name for path in drawn_in.iterdir()) == ["a.png", "b.png"]


def test_pictures_are_drawn_into_a_folder_only(trained, data, tmp_path, capsys):
    (tmp_path / "drawn").write_text("a file")
    for place, reason in (("drawn", "File exists"), ("drawn/in", "Not a directory")):
        options = ["--input", str(data / "test0.png"), "--draw", str(tmp_path / place)]
        assert main(["predict", str(trained[0]), *options]) == 2
        said = capsys.readouterr().err
        assert f"--draw must name a folder that can be made and written: {reason}." in said
        assert "Traceback" not in said


def test_a_higher_threshold_tells_fewer(trained, data, capsys):
    counts = []
    for threshold in ("0.001", "1.0"):
        one = str(data / "test0.png")
        assert main(["predict", str(trained[0]), "--input", one, "--finding.threshold", threshold]) == 0
        counts.append(len(json.loads(capsys.readouterr().out)["boxes"]))
    assert counts[0] > counts[1] == 0


def test_a_page_shows_where_the_queries_looked(data):
    run, examples = run_of(data)
    run.encoder.threshold = 0.0001
    views = run.task.cut(run.encoder, examples[:1], is_training=False)
    (page,) = pages(run, views)
    layer = page.layers[0]
    assert layer.name == LOOKED
    assert layer.shape[1] == len(page.keys) == page.extras.image.rows * page.extras.image.columns == 12
    shares = layer.statistics.values["block_map"][0, 0]
    assert torch.allclose(shares.sum(1).float(), torch.ones(len(shares)), atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_map_belongs_to_its_box(data, precision):
    run, examples = run_of(data, size=128, precision=precision)
    run.encoder.threshold = 0.0001
    view = run.task.cut(run.encoder, examples[:1], is_training=False)[0]
    (page,) = pages(run, [view])
    shares = page.layers[0].statistics.values["block_map"][0, 0].float()
    # at first heads look in opposite directions from the middle of a box that no layer has moved
    places = torch.cartesian_prod(torch.arange(6) + 0.5, torch.arange(8) + 0.5).flip(1) / torch.tensor([8, 6])
    middles = shares @ places
    (found,) = run.predict([view])
    assert len(found.told) == len(middles) > 4
    for one, middle in zip(found.told, middles.tolist(), strict=True):
        sides = (one.xmin, one.xmax, 64), (one.ymin, one.ymax, 48)
        for (low, high, side), at in zip(sides, middle, strict=True):
            if low > 0 and high < side:
                assert at == pytest.approx((low + high) / 2 / side, abs=0.07)


def test_the_worst_errors_come_first(data):
    run, examples = run_of(data)
    views = run.task.cut(run.encoder, examples[:3], is_training=False)
    found = [perfect(views[0]), Detections((), 0.5), Detections(perfect(views[2]).all[:1], 0.5)]
    notes = [page.note for page in worst_errors(run, views, found, 5)]
    assert notes == ["2 missed, 0 found that are not there", "1 missed, 0 found that are not there"]


def test_a_class_that_train_lacks_stops_check(data, tmp_path, capsys):
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = tmp_path / "dev.csv"
    table.write_text(table.read_text().replace("red", "pink"))
    assert main(["check", "detect", "--data", str(tmp_path)]) == 2
    assert "pink" in "".join(capsys.readouterr())
