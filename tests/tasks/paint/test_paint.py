"""Painting, from files to a run and from a run to pictures and pages."""

import base64
import csv
import io
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from regard.cli import main
from regard.errors import InputError
from regard.models.options import FeatureOptions, PainterOptions
from regard.models.painting.gan import Gan
from regard.tasks.folder import load_run
from regard.tasks.paint.explain import pages
from regard.tasks.paint.request import Request
from regard.tasks.paint.task import Paint
from regard.tasks.task import Training

SIZES = ["--model.gan.widths", "[8,8]", "--model.vae.widths", "[8,8]", "--model.gan.d_latent", "8", "--model.vae.d_latent", "4"]
SHORT = ["--training.batch_size", "8", "--training.warm_up", "2", "--training.learning_rate", "0.002", *SIZES]


def square(seed, place, size=16):
    """A bright square in one of two corners."""
    dice = np.random.default_rng(seed)
    values = dice.integers(0, 60, (size, size, 3), dtype=np.uint8)
    values[place : place + 8, place : place + 8] = dice.integers(180, 256, 3)
    return Image.fromarray(values)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")
    for split, count in (("train", 20), ("test", 6)):
        for name, place in (("high", 0), ("low", 8)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                square(100 * len(split) + 50 * place + number, place).save(folder / split / name / f"{number}.png")
    return folder


def train(data, out, *options, epochs=2):
    return main(
        ["train", "paint", "--data", str(data), "--out", str(out), "--training.max_epochs", str(epochs), *SHORT, *options]
    )


@pytest.fixture(scope="module", params=["gan", "vae"])
def trained(request, data, tmp_path_factory):
    """A run of each kind, by the command."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    assert train(data, out, "--model.name", request.param, "--sample_steps", "5") == 0
    return out


def picture_of(record):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(record["png"]))))


def predicted(run, source, capsys, *options):
    assert main(["predict", str(run), "--input", str(source), *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.strip().split("\n")]


def test_a_run_has_scores_sheets_and_a_page(trained):
    result = json.loads((trained / "metrics.json").read_text())
    assert result["split"] == "test"
    assert {"random_fid", "random_kid", "precision_percent", "recall_percent", "diversity_percent"} <= set(result)
    assert ("bits_per_dimension" in result) == load_run(trained).task.model.name.startswith("vae")
    is_vae = "bits_per_dimension" in result
    names = {path.name for path in trained.iterdir()}
    assert {"samples.png", "walks.png", "report.html"} <= names
    assert ("copies.png" in names) == is_vae
    assert {path.name for path in (trained / "samples").iterdir()} == {"000005.png", "000010.png"}


def test_the_same_seed_is_the_same_picture_alone_or_among_others(trained, capsys):
    many = predicted(trained, "5", capsys)
    assert [record["seed"] for record in many] == [0, 1, 2, 3, 4]
    assert [record["class"] for record in many] == ["high", "low", "high", "low", "high"]
    capsys.readouterr()
    alone = predicted(trained, "1", capsys)
    assert np.abs(picture_of(alone[0]).astype(int) - picture_of(many[0])).max() <= 1
    assert (picture_of(many[0]) != picture_of(many[2])).any()


def test_lines_ask_for_classes_seeds_and_walks(trained, capsys, tmp_path):
    asked = tmp_path / "asked.txt"
    asked.write_text('low\n\n{"class": "high", "seed": 9}\nmiddle\n{"seed": 0, "to": 9, "steps": 2, "class": "high"}\n')
    records = predicted(trained, asked, capsys, "--draw", str(tmp_path / "drawn"))
    assert [record.get("class") for record in records] == ["low", "low", "high", None, "high", "high"]
    assert [record.get("seed") for record in records] == [0, 1, 9, None, 0, 0]
    assert records[3]["error"] == "the class must be one that the run knows (high, low), got middle."
    assert (picture_of(records[5]) == picture_of(records[2])).all()  # the walk ends where the seed is
    assert len(list((tmp_path / "drawn").iterdir())) == 5


def test_real_pictures_are_judged_by_their_folders(trained, data, capsys):
    records = predicted(trained, data / "test", capsys)
    assert len(records) == 12
    key = "bits_per_dimension" if load_run(trained).task.model.name == "vae" else "realness"
    assert all(np.isfinite(record[key]) for record in records)
    assert [record["class"] for record in records] == ["high"] * 6 + ["low"] * 6


def test_a_picture_of_no_known_class_is_told(trained, data, capsys):
    records = predicted(trained, data / "test" / "high" / "0.png", capsys)
    assert records[0].get("class") == "high"
    (record,) = predicted(trained, data.parent / _loose(data), capsys)
    assert "to judge it, it must be in a folder named like its class (high, low)" in record["error"]


def _loose(data):
    square(1, 0).save(data.parent / "loose.png")
    return "loose.png"


def test_a_run_is_scored_again_with_other_features_and_kept_statistics(trained, data, capsys, tmp_path):
    def scored(reference):
        code = main(["evaluate", str(trained), "--data", str(data), "--features.reference", str(reference), "--json"])
        assert code == 0
        return json.loads(capsys.readouterr().out.strip().split("\n")[-1])

    kept = tmp_path / "kept"
    found = [scored(kept), scored(kept)]
    (file,) = kept.iterdir()
    found.append(scored(file))
    assert [one["random_fid"] for one in found] == pytest.approx([found[0]["random_fid"]] * 3, rel=1e-6)
    assert found[0]["num_samples"] == 12


def test_an_archive_is_scored_whole_where_it_is_one_part(data, tmp_path):
    one, parts = (shutil.make_archive(str(tmp_path / path.name), "zip", path) for path in (data / "test", data))
    assert Paint().scored(one) == Path(one)
    with pytest.raises(InputError, match="it must hold one part, got test, train"):
        Paint().scored(parts)


def test_pages_show_where_each_place_came_from(trained):
    run = load_run(trained)
    for page in pages(run, [Request(0), Request(1, "low")]):
        assert page.extras.image.rows == page.extras.image.columns == 16
        assert len(page.layers) == 2
        assert all(layer.shape == (256, 256) for layer in page.layers)
        assert len(page.extras.facts) == 2
        assert {name.removeprefix("gain of ") for name in page.extras.facts} <= {
            layer.name.removesuffix(".mechanism") for layer in page.layers
        }
    titles = [page.title for page in pages(run, [Request(0), Request(1, "low")])]
    assert titles == ["high of seed 0 · 16 × 16", "low of seed 1 · 16 × 16"]


def test_a_page_shows_what_is_painted(trained):
    run = load_run(trained)

    def shown(request):
        (page,) = pages(run, [request])
        return np.asarray(Image.open(io.BytesIO(page.extras.image.data))).astype(int)

    end, walked = shown(Request(9, "high")), shown(Request(0, "high", 9, 1.0))
    assert np.abs(walked - end).max() <= 1
    assert (shown(Request(0, "high", 9, 0.5)) != end).any()


def test_there_is_no_page_of_a_class_that_the_run_does_not_know(trained):
    run = load_run(trained)
    titles = [page.title for page in pages(run, [Request(0, "middle"), Request(1, "low")])]
    assert titles == ["low of seed 1 · 16 × 16"]
    with pytest.raises(InputError, match=r"must be one that the run knows \(high, low\), got middle"):
        pages(run, [Request(0, "middle")])


def test_a_class_that_training_lacks_is_told_before_training(data, tmp_path, capsys):
    folder = shutil.copytree(data, tmp_path / "data")
    (folder / "test" / "high").rename(folder / "test" / "hihg")
    assert train(folder, tmp_path / "run") == 2
    assert "the class must be in training too, hihg is not (6 pictures here)." in capsys.readouterr().err
    assert main(["check", "paint", "--data", str(folder)]) == 2
    assert train(folder, tmp_path / "run", "--model.classes", "no", epochs=1) == 0
    assert main(["check", "paint", "--data", str(folder), "--model.classes", "no"]) == 0


def test_what_is_to_be_measured_by_is_looked_for_before_training(data, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--features.network", str(tmp_path / "none.pt")) == 2
    assert "epoch" not in capsys.readouterr().err


def test_what_is_left_open_is_as_the_model_usually_has_it():
    assert [Paint(model=PainterOptions(name=name)).training.learning_rate for name in ("gan", "vae")] == [3e-4, 2e-3]
    assert Paint(training=Training(learning_rate=0.01)).training.learning_rate == 0.01


def test_dev_pictures_to_choose_by_are_of_all_classes():
    few = Paint(features=FeatureOptions(num_dev=4))
    assert few.choosing(list(range(7))) == [0, 1, 3, 5]
    assert few.choosing([1, 2]) == [1, 2]


def test_without_attention_there_is_no_page(data, tmp_path):
    out = tmp_path / "run"
    assert train(data, out, "--model.gan.attention_at", "[]", epochs=1) == 0
    assert not (out / "report.html").exists()
    assert json.loads((out / "metrics.json").read_text()).get("report") is None


def test_resuming_gives_the_very_weights_of_both_halves(data, tmp_path, monkeypatch, capsys):
    options = ["--training.accumulate", "2", "--training.precision", "bfloat16", "--model.gan.penalty_steps", "3"]
    assert train(data, tmp_path / "straight", *options, epochs=4) == 0
    loss = Gan.loss

    def interrupted(self, batch):
        if int(self.num_losses) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, batch)

    monkeypatch.setattr(Gan, "loss", interrupted)
    assert train(data, tmp_path / "stopped", *options, epochs=4) == 2
    assert "Go on: regard train paint" in capsys.readouterr().err
    monkeypatch.setattr(Gan, "loss", loss)
    assert main(["train", "paint", "--out", str(tmp_path / "stopped"), "--resume"]) == 0
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("straight", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_dev_is_scored_every_few_passes(data, tmp_path, capsys):
    assert train(data, tmp_path / "run", "--training.score_every", "2", epochs=5) == 0
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [bool(row["dev_score"]) for row in rows] == [False, True, False, True, True]
    said = [line for line in capsys.readouterr().err.split("\n") if line.startswith("epoch")]
    assert [line[: len("epoch 2/5")] for line in said] == ["epoch 2/5", "epoch 4/5", "epoch 5/5"]


def test_a_loss_that_is_no_number_ends_with_the_last_good_weights(data, tmp_path, monkeypatch, capsys):
    loss = Gan.loss

    def broken(self, batch):
        return loss(self, batch) * (float("nan") if int(self.num_losses) >= 12 else 1)

    monkeypatch.setattr(Gan, "loss", broken)
    out = tmp_path / "run"
    assert train(data, out, "--training.score_every", "1", epochs=6) == 0
    said = capsys.readouterr().err
    assert "the loss must be a number, after 11 steps it was none" in said
    assert "--training.learning_rate" in said
    assert all(tensor.isfinite().all() for tensor in load_file(out / "model.safetensors").values())


def test_a_loss_that_is_no_number_at_once_is_an_error(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Gan, "loss", lambda self, batch: sum(one.sum() for one in self.parameters()) * float("nan"))
    assert train(data, tmp_path / "run") == 2
    assert "after 0 steps it was none, and nothing was kept yet" in capsys.readouterr().err


def test_pictures_that_are_all_alike_are_told(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Gan, "paint", lambda self, noise, classes=None: torch.zeros(len(noise), 3, 16, 16))
    assert train(data, tmp_path / "run", "--training.score_every", "1", epochs=3) == 0
    assert capsys.readouterr().err.count("all alike: its pictures differ 0 % as much as real ones of their class do") == 1


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (
            "one picture",
            [],
            "there must be 4 pictures or more to be held out, a tenth of each class, or a dev part; of 1 that is",
        ),
        ("no class", ["--model.classes", "yes"], "there must be pictures of two classes or more"),
        ("all broken", [], "it must hold pictures that can be read, got none"),
        ("empty", [], "it must hold train, dev or test"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_clear_message(tmp_path, prepare, options, message, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range({"one picture": 1, "no class": 42}.get(prepare, 0)):
        square(number, 0).save(folder / f"{number}.png")
    if prepare == "all broken":
        (folder / "0.png").write_bytes(b"no picture")
    assert train(folder, tmp_path / "run", *options, epochs=1) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_loose_folder_is_learnt_from_and_what_is_odd_is_told(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(41):
        square(number, 0, size=16 if number < 30 else 24).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    assert main(["check", "paint", "--data", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "1 of 42 pictures (2.4 %) cannot be read, such as" in said
    assert "the pictures are of 2 sizes, most often 16 x 16 (30 of 41)" in said
    assert "41 pictures are few: a model learns them by heart" in said
    assert train(folder, tmp_path / "run", epochs=1) == 0
    assert load_run(tmp_path / "run").encoder.classes == ()
