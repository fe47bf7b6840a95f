"""Image classification, from files to a run and from pictures to classes and pages."""

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from regard.cli import main
from regard.data.pictures import Picture, Store
from regard.errors import InputError
from regard.lens.faithfulness import faithfulness
from regard.models.options import AugmentOptions, ClassifierOptions, ConvolutionalOptions, ImageTransformerOptions, ViewOptions
from regard.tasks.classify import explain
from regard.tasks.classify.explain import CLASSES, GATES, ROLLOUT, pages, worst_errors
from regard.tasks.classify.task import Classify
from regard.tasks.folder import Run, load_run, task_from
from regard.tasks.pictures.views import View

COLOURS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 40, 30)}
SMALL = {"convolutional": ConvolutionalOptions(widths=(8, 8), gate="cbam")}
TRANSFORMER = ImageTransformerOptions(d_model=16, num_layers=2, num_heads=2, d_feedforward=16, patch=4)


def picture(colour, seed, size=16):
    """Noise, and a square of a colour somewhere in it."""
    dice = np.random.default_rng(seed)
    values = dice.integers(90, 160, (size, size, 3), dtype=np.uint8)
    top, left = dice.integers(0, size // 2, 2)
    values[top : top + size // 2, left : left + size // 2] = colour
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with train, dev and test, in class folders."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, count in (("train", 24), ("dev", 4), ("test", 4)):
        for place, (name, colour) in enumerate(COLOURS.items()):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                seed = 1000 * len(split) + 100 * place + number
                picture(colour, seed).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run that the command trained, and its result."""
    out = tmp_path_factory.mktemp("runs") / "run"
    options = ["--model.convolutional.widths", "[8,8]", "--model.convolutional.gate", "cbam", "--training.batch_size", "12"]
    options += ["--training.warm_up", "5", "--training.learning_rate", "0.01", "--training.average_decay", "0.8"]
    assert main(["train", "classify", "--data", str(data), "--out", str(out), "--training.max_epochs", "8", *options]) == 0
    return out, json.loads((out / "metrics.json").read_text())


def run_of(data, **model):
    task = Classify(model=ClassifierOptions(**model))
    examples, _ = task.read(data / "train")
    encoder = task.fit_encoder(examples)
    torch.manual_seed(0)
    return Run(task, encoder, task.build(encoder).eval()), examples


def views_of(run, examples):
    return run.task.cut(run.encoder, examples, is_training=False)


def test_colours_are_learnt(trained):
    _, result = trained
    assert result["top1_percent"] > 80
    assert result["split"] == "test"
    assert set(result["per_class"]) == set(COLOURS)
    assert result["num_pictures"] == 12


def test_a_run_folder_has_the_page_and_the_confusions(trained):
    out, result = trained
    assert "body" in (out / "report.html").read_text()  # names of the gates
    ElementTree.fromstring((out / "confusion.svg").read_text())
    assert sum(map(sum, result["confusion"]["counts"])) == 12


def test_options_inside_options_come_back_from_a_recipe(trained):
    run = load_run(trained[0])
    assert tuple(run.task.model.convolutional.widths) == (8, 8)
    assert run.task.model.convolutional.gate == "cbam"
    assert task_from({"task": "classify", "is_balanced": True}).is_balanced


def test_a_loaded_run_says_what_the_trained_one_said(trained, data, capsys):
    out, result = trained
    assert main(["evaluate", str(out), "--data", str(data), "--json"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["top1_percent"] == pytest.approx(result["top1_percent"])
    assert again["confusion"] == result["confusion"]


def test_predictions_name_the_picture_and_leave_out_what_is_none(trained, data, tmp_path, capsys):
    picture(COLOURS["red"], 7).save(tmp_path / "a.png")
    picture(COLOURS["red"], 8).convert("L").save(tmp_path / "b.jpg")
    whole = (data / "test" / "blue" / "0.png").read_bytes()
    (tmp_path / "c.png").write_bytes(whole[:200])
    (tmp_path / "d.png").write_text("hello")
    (tmp_path / "e.png").write_bytes(b"")
    assert main(["predict", str(trained[0]), "--input", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    *lines, result = map(json.loads, said.out.splitlines())
    assert [line["picture"] for line in lines] == [
        str(tmp_path / name) for name in ("a.png", "b.jpg", "c.png", "d.png", "e.png")
    ]
    assert lines[0]["label"] in COLOURS
    assert lines[0]["probability"] == lines[0]["ranked"][0]["probability"]
    assert sum(one["probability"] for one in lines[0]["ranked"]) == pytest.approx(1, abs=1e-3)
    assert ["error" in line for line in lines] == [False, False, True, True, True]
    assert result["num_predictions"] == 2
    assert result["num_left_out"] == 3
    assert said.err.count("It is left out.") == 3


def test_one_picture_and_paths_on_standard_input_are_read(trained, data, tmp_path, capsys):
    one = data / "test" / "red" / "1.png"
    assert main(["predict", str(trained[0]), "--input", str(one)]) == 0
    assert json.loads(capsys.readouterr().out)["picture"] == str(one)


def test_look_writes_a_page_with_scores_of_the_map(trained, data, tmp_path):
    page = tmp_path / "page.html"
    assert main(["look", str(trained[0]), "--input", str(data / "test"), "--out", str(page), "--tested", "1"]) == 0
    text = page.read_text()
    assert "faithfulness of speaks for a class" in text
    assert "deletion, insertion" in text


def test_a_class_that_train_lacks_stops_training_and_check(data, tmp_path, capsys):
    (tmp_path / "train" / "red").mkdir(parents=True)
    (tmp_path / "dev" / "pink").mkdir(parents=True)
    for number in range(6):
        picture(COLOURS["red"], number).save(tmp_path / "train" / "red" / f"{number}.png")
    picture((250, 150, 160), 3).save(tmp_path / "dev" / "pink" / "x.png")
    for command in (["check", "classify"], ["train", "classify", "--out", str(tmp_path / "run")]):
        assert main([*command, "--data", str(tmp_path)]) == 2
        assert "pink" in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["document", "convolutional", "transformer"])
def test_a_batch_does_not_change_what_is_said(data, name):
    run, examples = run_of(data, name=name, transformer=TRANSFORMER, **SMALL)
    views = views_of(run, examples[:5])
    together = run.predict(views)
    alone = [run.predict([view])[0] for view in views]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one.probabilities, other.probabilities, atol=2e-3)


def test_training_pictures_are_changed_and_others_are_not(data):
    run, examples = run_of(data, **SMALL)
    training, scored = (run.task.cut(run.encoder, examples[:6], is_training=is_training) for is_training in (True, False))
    collate = run.encoder.collate
    assert torch.equal(collate(scored)["pixels"], collate(scored)["pixels"])
    assert not torch.equal(collate(training)["pixels"], collate(training)["pixels"])
    assert collate(training)["targets"].argmax(1).tolist() == collate(scored)["targets"].argmax(1).tolist()


def test_pixels_are_normalised_as_the_model_wants_them(data):
    run, examples = run_of(data, **SMALL)
    view = views_of(run, examples[:1])
    pixels = run.encoder.collate(view)["pixels"]
    assert torch.allclose(pixels, (view[0].values[None] / 255 - 0.5) / 0.5)


def test_balance_weighs_rare_classes(data):
    task = Classify(is_balanced=True)
    examples, _ = task.read(data / "train")
    rare = [one for one in examples if one.label != "red"] + [one for one in examples if one.label == "red"][:6]
    weights = task.fit_encoder(rare).sizes(is_balanced=True).class_weights
    assert weights == pytest.approx((18 / 24, 18 / 24, 18 / 6))


def test_a_page_of_a_transformer_has_maps_rollout_and_layers(data):
    run, examples = run_of(data, name="transformer", transformer=TRANSFORMER)
    (page,) = pages(run, views_of(run, examples[:1]))
    names = [layer.name for layer in page.layers]
    assert names[:2] == [CLASSES, ROLLOUT]
    assert len(names) == 5  # two layers, and the attention that pools
    assert page.extras.image.rows * page.extras.image.columns == len(page.keys) == 16
    rolled = page.layers[1].statistics.values["block_map"]
    assert float(rolled.sum()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("mechanism", ["differential", "talking-heads"])
def test_weights_below_0_are_not_rolled_out_and_the_page_says_so(data, mechanism):
    run, examples = run_of(data, name="transformer", transformer=replace(TRANSFORMER, mechanism=mechanism))
    (page,) = pages(run, views_of(run, examples[:1]))
    assert ROLLOUT not in [layer.name for layer in page.layers]
    assert "No rollout: rollout needs weights that are shares" in page.notes[-1]
    assert "rollout: deletion, insertion" not in page.extras.facts
    assert ROLLOUT not in explain.tested(run, views_of(run, examples[:2])).values


def test_a_fault_in_a_page_does_not_lose_the_result(data, tmp_path, monkeypatch):
    def fail(*given):
        raise InputError("this cannot be shown.")

    monkeypatch.setattr(Classify, "explain", fail)
    options = ["--model.convolutional.widths", "[8,8]", "--training.max_epochs", "1"]
    assert main(["train", "classify", "--data", str(data), "--out", str(tmp_path / "run"), *options]) == 2
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= kept["top1_percent"] <= 100


def test_spatial_gates_are_laid_over_the_picture_and_all_are_shown_as_they_are(data):
    run, examples = run_of(data, **SMALL)
    (page,) = pages(run, views_of(run, examples[:1]))
    spatial = [name for name, gate in page.gates.items() if gate[0].numel() > 1]
    assert len(page.gates) == 2 * len(spatial) == 8
    assert [layer.name for layer in page.layers] == [CLASSES, GATES]
    layer = page.layers[1]
    assert page.extras.texts[GATES] == spatial
    assert layer.shape == (4, len(page.keys)) == (4, 64)
    shares = layer.statistics.values["block_map"][0, 0].float()
    for name, row in zip(spatial, shares, strict=True):
        joined = page.gates[name][0].view(8, page.gates[name].shape[1] // 8, 8, -1).mean((1, 3)).flatten()
        assert torch.allclose(row, joined / joined.sum(), atol=1e-3)
        assert f"{name}: deletion, insertion" in page.extras.facts
    assert set(explain.tested(run, views_of(run, examples[:2])).values) == {CLASSES, *spatial}


def test_each_class_map_is_tested_by_its_own_class_and_no_mask_is_run_twice(data, monkeypatch):
    run, examples = run_of(data, **SMALL)
    view = views_of(run, examples[:1])[0]
    given, shown = [], []
    predict = run.model.predict
    monkeypatch.setattr(run.model, "predict", lambda batch: shown.extend(batch["pixels"]) or predict(batch))
    monkeypatch.setattr(
        explain, "faithfulness", lambda some, **options: given.extend(some) or faithfulness(given[-1:], **options)
    )
    (page,) = pages(run, [view])
    assert len(torch.stack(shown).flatten(1).unique(dim=0)) >= len(shown) - 2  # all and nothing hidden may look like others
    (verdict,) = run.predict([view])
    wanted = dict(verdict.ranked)
    assert [next(iter(example.attributions)) for example in given] == [f"speaks for {name}" for name in wanted]
    for example, (name, share) in zip(given, wanted.items(), strict=True):
        assert float(example.score(torch.ones(1, 64, dtype=torch.bool))[0]) == pytest.approx(share, abs=1e-2)
        assert f"speaks for {name}: deletion, insertion" in page.extras.facts
    assert [len(example.attributions) for example in given] == [1 + 4, 1, 1]


def test_class_maps_of_a_linear_head_say_what_each_place_adds(data):
    run, examples = run_of(data, **SMALL)
    views = views_of(run, examples[:1])
    (page,) = pages(run, views)
    pixels = run.encoder.collate(views)["pixels"]
    with torch.no_grad():
        features = run.model.features(pixels)[0]
    best = int(run.predict(views)[0].probabilities.argmax())
    adds = (run.model.head.score.weight[best][:, None, None] * features).sum(0).clamp(min=0)
    weights = page.layers[0].statistics.values["block_map"][0, 0, 0]
    assert torch.allclose(weights.flatten().float(), (adds / adds.sum()).flatten(), atol=2e-3)


def test_the_square_is_what_a_trained_run_looks_at(trained):
    run = load_run(trained[0])
    views = [one for one in _on_grey(run) if run.predict([one])[0].ranked[0][0] == "red"]
    assert views
    found = explain.tested(run, views)
    assert found.gain(CLASSES, "insertion")[0] > 0


def _on_grey(run):
    """A red square in one corner of a grey picture."""

    class Memory(Store):
        def read(self, key):
            values = np.full((16, 16, 3), 125, np.uint8)
            top, left = divmod(int(key), 2)
            values[8 * top : 8 * top + 8, 8 * left : 8 * left + 8] = COLOURS["red"]
            written = io.BytesIO()
            Image.fromarray(values).save(written, "PNG")
            return written.getvalue()

    return run.encoder.viewer.tolerant([View(Picture(Memory(Path("x")), key)) for key in range(4)])


def test_the_worst_errors_are_the_surest(trained, data):
    run = load_run(trained[0])
    examples, _ = run.task.read(data / "test")
    wrong = [replace(one, label="blue" if one.label != "blue" else "red") for one in examples]
    views = views_of(run, wrong)
    said = run.predict(views)
    found = worst_errors(run, views, said, 2)
    missed = [one for one, view in zip(said, views, strict=True) if one.ranked[0][0] != view.picture.label]
    surest = max(missed, key=lambda one: one.probabilities.max())
    assert len(found) == 2
    label, share = found[0].extras.facts["said"].split(" %")[0].rsplit(" ", 1)
    assert label == surest.ranked[0][0]
    assert float(share) == pytest.approx(100 * surest.ranked[0][1], abs=3)
    assert found[0].note.startswith("right: ")


def test_mixing_and_views_are_options_of_the_command(data, tmp_path):
    task = Classify(augment=AugmentOptions(mixup=0.2, cutmix=1.0), views=ViewOptions(size=8, channels=1))
    examples, _ = task.read(data / "train")
    encoder = task.fit_encoder(examples)
    batch = encoder.collate(task.cut(encoder, examples[:12], is_training=True))
    assert batch["pixels"].shape == (12, 1, 8, 8)
    assert torch.allclose(batch["targets"].sum(1), torch.ones(12))
    kept = json.dumps(encoder.to_json())
    assert json.dumps(task.load_encoder(json.loads(kept)).to_json()) == kept
