"""The demo from nothing to its page, on fewer dates."""

import json

import pytest

from regard.cli import main


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regard.demo.NUM_DAYS", 150)
        assert main(["demo", "--out", str(out), "--seed", "1"]) == 0
    return out


def test_it_leaves_a_whole_run(demo):
    assert {"model.safetensors", "report.html", "metrics.json", "recipe.yaml", "data"} <= {path.name for path in demo.iterdir()}
    metrics = json.loads((demo / "metrics.json").read_text())
    assert 0 <= metrics["exact_match_percent"] <= 100
    assert len(metrics["per_locale"]) >= 20
    assert "seed: 1" in (demo / "recipe.yaml").read_text()


def test_a_second_call_shows_what_is_there_and_trains_nothing(demo, capsys):
    before = (demo / "model.safetensors").stat().st_mtime_ns
    assert main(["demo", "--out", str(demo), "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.strip().split("\n")[-1])
    assert result["exact_match_percent"] == json.loads((demo / "metrics.json").read_text())["exact_match_percent"]
    assert len(result["examples"]) >= 5
    assert "holds a finished demo. Train it again with --again." in printed.err
    assert (demo / "model.safetensors").stat().st_mtime_ns == before


def test_its_model_reads_dates_from_the_command_line(demo, capsys, tmp_path):
    text = tmp_path / "dates.txt"
    text.write_text("3 de mayo de 1979\nDienstag, 3. Mai 1979\n", encoding="utf8")
    assert main(["predict", str(demo), "--input", str(text)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.strip().split("\n")]
    assert [line["text"] for line in lines] == text.read_text(encoding="utf8").strip().split("\n")
    assert all(len(line["iso"]) == 10 for line in lines)


def test_its_data_passes_the_check(demo):
    assert main(["check", "dates", "--data", str(demo / "data")]) == 0


def test_its_recipe_trains_it_again(demo, tmp_path, capsys):
    arguments = ["--recipe", str(demo / "recipe.yaml"), "--out", str(tmp_path / "again"), "--training.max_epochs", "1"]
    assert main(["train", "dates", *arguments, "--json"]) == 0
