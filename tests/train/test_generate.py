"""Language models from the command line, from files to texts."""

import json

import pytest
import yaml

from regard.cli import main

LINES = [
    f"{name} {verb} the {thing}.\n"
    for name in ("Ada", "Bo", "Cy")
    for verb in ("saw", "had")
    for thing in ("cat", "hat", "mat")
]
SMALL = ["--model.d_model", "16", "--model.num_layers", "1", "--model.d_feedforward", "32", "--model.num_heads", "2"]
OPTIONS = [*SMALL, "--text.context", "16", "--training.max_epochs", "2", "--sampling.max_tokens", "12"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.txt").write_text("".join(LINES) * 5)
    (folder / "dev.txt").write_text("".join(reversed(LINES)))
    return folder


def result_of(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    return json.loads(out[-1]), [json.loads(line) for line in out[:-1]]


@pytest.mark.parametrize(
    "options", [[], ["--model.name", "recurrent", "--scoring.stride", "4"], ["--text.tokens", "words"]], ids=str
)
def test_a_model_is_trained_scored_and_writes(tmp_path, data, capsys, options):
    out = tmp_path / "run"
    result, _ = result_of(capsys, "train", "generate", "--data", data, "--out", out, *OPTIONS, *options)
    assert result["split"] == "dev"
    assert {"loss_nats", "perplexity", "bits_per_character", "bits_per_byte", "train_seconds"} <= result.keys()
    assert (out / "report.html").stat().st_size > 10_000
    scored, _ = result_of(capsys, "evaluate", out, "--data", data)
    assert scored["loss_nats"] == pytest.approx(result["loss_nats"], rel=1e-5)
    (tmp_path / "prompts.txt").write_text("Ada saw\nBo\n")
    _, texts = result_of(capsys, "predict", out, "--input", tmp_path / "prompts.txt")
    assert [text["prompt"] for text in texts] == ["Ada saw", "Bo"]
    assert all(text["text"] for text in texts)
    assert main(["look", str(out), "--input", "Ada saw the", "--out", str(tmp_path / "look.html")]) == 0


def test_the_best_model_is_the_one_with_the_smallest_loss(tmp_path, data, capsys):
    out = tmp_path / "run"
    result, _ = result_of(capsys, "train", "generate", "--data", data, "--out", out, *OPTIONS)
    rows = (out / "log.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[-1]) for row in rows]
    assert len(losses) == 2
    assert result["loss_nats"] == pytest.approx(min(losses), rel=1e-5)


def test_without_dev_a_tenth_is_held_out(tmp_path, capsys):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.txt").write_text("".join(LINES) * 14)
    main(["train", "generate", "--data", str(folder), "--out", str(tmp_path / "run"), *OPTIONS, "--training.max_epochs", "1"])
    assert "No dev file: 1 of 3 training examples are held out" in capsys.readouterr().err
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["train"] == str(folder)


BAD = {
    "empty": (b"", "there is no text in it"),
    "latin": ("Ünïcode\n".encode("latin1"), "train.txt:1: the text must be UTF-8, got byte 0xdc"),
    "utf16": ("Ada\n".encode("utf-16"), "looks like UTF-16"),
    "zero": (b"a\0b\0c\0\n", "got zero bytes"),
    "one": (b"a", "too little to train on"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_clear_message(tmp_path, capsys, name):
    content, said = BAD[name]
    (tmp_path / "train.txt").write_bytes(content)
    assert main(["train", "generate", "--train", str(tmp_path / "train.txt"), "--out", str(tmp_path / "run"), *OPTIONS]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_files_are_checked_and_counted(data, capsys):
    (data / "test.txt").write_text("Zoë saw the cat, and she had it, and that was all of it.\n" * 2 + "".join(LINES))
    (data / "train.txt").write_text("".join(LINES) + "Zo saw the cat, and she had it, and that was all of it.\n")
    result, _ = result_of(capsys, "check", "generate", "--data", data)
    assert result["files"]["dev"]["lines"] == len(LINES)
    (finding,) = result["findings"]
    assert finding["level"] == "warning"
    assert "'ë'" in finding["message"]
