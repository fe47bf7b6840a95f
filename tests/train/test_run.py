"""Training through the command line: what it leaves, resuming exactly, and stopping at any moment."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from regard.cli import main
from tests.viewer.pages import data_of

SMALL = ["--words.d_word", "16", "--model.d_recurrent", "16", "--words.d_character", "8", "--model.num_heads", "2"]


def run(capsys, *arguments):
    """Exit code, the result object, and what a person saw."""
    code = main([*arguments, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out.strip().split("\n")[-1]), printed.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that learnt the tiny data by heart."""
    from tests.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("finished")
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / f"{split}.conll").write_text((SENTENCES + "\n") * copies)
    out = folder / "run"
    options = ["--training.max_epochs", "30", "--training.learning_rate", "0.02", "--training.patience", "30"]
    assert main(["train", "ner", "--data", str(folder), "--out", str(out), *SMALL, *options]) == 0
    return folder, out


def test_a_small_model_learns_its_data_by_heart(finished):
    metrics = json.loads((finished[1] / "metrics.json").read_text())
    assert metrics["f1_percent"] == 100
    assert metrics["split"] == "test"
    assert set(metrics) >= {"precision_percent", "recall_percent", "per_type", "train_seconds", "examples_per_second"}
    assert set(metrics) >= {"parameters", "peak_memory_mb", "dev_f1_percent"}


def test_a_run_folder_holds_what_it_should(finished):
    out = finished[1]
    names = {"recipe.yaml", "encoder.json", "model.safetensors", "metrics.json", "log.csv", "report.html", "checkpoints"}
    assert {path.name for path in out.iterdir()} == names
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert recipe["words"]["d_word"] == 16
    assert recipe["model"]["dropout"] > 0  # also what was left at its default
    assert recipe["seed"] == 0
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert [row["epoch"] for row in rows] == [str(i + 1) for i in range(len(rows))]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


def test_evaluate_predict_and_look_use_the_run(finished, capsys, tmp_path, monkeypatch):
    folder, out = finished
    code, result, _ = run(capsys, "evaluate", str(out), "--data", str(folder))
    assert (code, result["f1_percent"]) == (0, 100)
    assert main(["predict", str(out), "--input", str(folder / "test.conll")]) == 0
    first = json.loads(capsys.readouterr().out.split("\n")[0])
    assert first["tags"] == ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"]
    assert first["entities"][0] == {"type": "PER", "start": 0, "end": 2, "text": "Ada Lovelace"}
    page = tmp_path / "look.html"
    code, result, _ = run(capsys, "look", str(out), "--input", "Ada Lovelace met Babbage in London .", "--out", str(page))
    assert (code, result["num_examples"]) == (0, 1)
    assert "attention.mechanism" in page.read_text()
    lines = '{"tokens": ["Paris", "and", "New", "York"]}\n{"text": "Paris and New York"}\n\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    code, result, _ = run(capsys, "predict", str(out), "--input", "-")
    assert result["num_predictions"] == 2


def test_a_run_is_never_written_over(finished, capsys):
    folder, out = finished
    before = (out / "model.safetensors").read_bytes()
    code, result, _ = run(capsys, "train", "ner", "--data", str(folder), "--out", str(out))
    assert code == 2
    assert "a run is here already. Go on with it by --resume, or choose another --out" in result["error"]
    assert (out / "model.safetensors").read_bytes() == before


def test_a_recipe_trains_the_same_model_again(finished, capsys, tmp_path):
    _folder, out = finished
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    recipe["training"]["max_epochs"] = 1
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    weights = []
    for name in ("a", "b"):
        code, _, _ = run(capsys, "train", "ner", "--recipe", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / name))
        assert code == 0
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_data_named_beside_the_recipe_of_a_run_is_what_is_trained_on(finished, tiny_data, capsys, tmp_path):
    _folder, out = finished
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.conll").write_text("Berlin\tS-CITY\n.\tO\n\n" * 4)
    recipe = ["--recipe", str(out / "recipe.yaml"), "--training.max_epochs", "1"]
    more = {"a": [f"--data={other}"], "b": ["--data", str(other), "--dev", str(tiny_data / "dev.conll")]}
    read = {}
    for name, data in more.items():
        code, _, _ = run(capsys, "train", "ner", *recipe, *data, "--out", str(tmp_path / name))
        assert code == 0
        kept = yaml.safe_load((tmp_path / name / "recipe.yaml").read_text())
        read[name] = [Path(kept[split]).parent.name for split in ("train", "dev", "test") if split in kept]
    assert read == {"a": ["other"], "b": ["other", "data"]}


START = [sys.executable, "-m", "regard.cli", "train", "ner", "--training.max_epochs", "6", "--training.patience", "6"]
START += [*SMALL, "--training.average_decay", "0.9"]


def start(folder, out, *more):
    return subprocess.Popen(
        [*START, "--data", str(folder), "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def interrupt_after(process, mark):
    """Ctrl-C once a line of standard error holds `mark`."""
    seen = ""
    for line in process.stderr:
        seen += line
        if mark in line:
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=120)
    return process.returncode, out, seen + rest


@pytest.fixture(scope="module")
def larger_data(tmp_path_factory):
    """Enough sentences that an epoch takes many steps."""
    from tests.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("larger")
    for split, copies in (("train", 120), ("dev", 2), ("test", 2)):
        (folder / f"{split}.conll").write_text((SENTENCES + "\n") * copies)
    return folder


def test_ctrl_c_keeps_all_and_resuming_gives_the_very_model_of_an_uninterrupted_run(larger_data, tmp_path):
    straight = start(larger_data, tmp_path / "straight")
    assert straight.wait(timeout=300) == 0, straight.stderr.read()
    code, _, said = interrupt_after(start(larger_data, tmp_path / "stopped"), "epoch 3/6")
    assert code == 2, said
    assert "Traceback" not in said
    assert f"Go on: regard train ner --out {tmp_path / 'stopped'} --resume" in said
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    resumed = subprocess.run(
        [*START[:5], "--out", str(tmp_path / "stopped"), "--resume", "--training.patience", "77"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "patience: 77" in (tmp_path / "stopped" / "recipe.yaml").read_text()
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("straight", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = [list(csv.DictReader((tmp_path / name / "log.csv").open())) for name in ("straight", "stopped")]
    for row, same in zip(*logs, strict=True):
        for name in ("step", "learning_rate", "dev_score"):
            assert row[name] == same[name]


def test_an_interrupted_run_says_what_is_missing(larger_data, tmp_path, capsys):
    code, _, said = interrupt_after(start(larger_data, tmp_path / "run"), "epoch 1/6")
    assert code == 2, said
    code, result, _ = run(capsys, "evaluate", str(tmp_path / "run"), "--data", str(larger_data))
    assert code == 2
    assert f"Finish it: regard train ner --out {tmp_path / 'run'} --resume" in result["error"]


@pytest.mark.parametrize("moment", [0.5, 0.9, 1.3])
def test_ctrl_c_before_the_first_step_leaves_one_line(larger_data, tmp_path, moment):
    process = start(larger_data, tmp_path / "run")
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in said
    assert "nterrupted" in said


def test_the_clock_stops_training(larger_data, tmp_path, capsys):
    options = ["--max-minutes", "0.02", "--training.max_epochs", "10000", "--training.patience", "10000"]
    code, result, _ = run(capsys, "train", "ner", "--data", str(larger_data), "--out", str(tmp_path / "run"), *SMALL, *options)
    assert code == 0
    assert result["train_seconds"] < 30


def test_a_model_without_attention_shows_what_its_entities_rest_on(tiny_data, tmp_path, capsys):
    options = ["--model.mechanism", "none", "--training.max_epochs", "30", "--training.learning_rate", "0.02"]
    code, result, _ = run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(tmp_path / "run"), *SMALL, *options)
    assert code == 0
    assert result["f1_percent"] == 100
    pictures = data_of((tmp_path / "run" / "report.html").read_text())["pictures"]
    assert {layer["name"] for picture in pictures for layer in picture["layers"]} == {"decided on"}
    code, result, _ = run(capsys, "look", str(tmp_path / "run"), "--input", "Nothing happened")
    assert code == 2
    assert "there is nothing to show" in result["error"]


def test_without_dev_a_tenth_of_train_is_held_out(tiny_data, tmp_path, capsys):
    (tiny_data / "dev.conll").unlink()
    (tiny_data / "test.conll").unlink()
    options = ["--training.max_epochs", "1"]
    code, result, said = run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(tmp_path / "run"), *SMALL, *options)
    assert (code, result["split"]) == (0, "dev")
    assert "No dev file: 3 of 36 training examples are held out" in said


def test_resuming_nothing_is_said(tmp_path, capsys):
    code, result, _ = run(capsys, "train", "ner", "--out", str(tmp_path / "none"), "--resume")
    assert code == 2
    assert "there is no run to resume" in result["error"]
