"""Training on a pretrained encoder and on vectors, through the command line."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from regard.cli import main
from tests.train.test_run import SMALL, run

ROLES = [
    {
        "tokens": ["Ada", "met", "Charles", "and", "wrote", "notes"],
        "predicates": [
            {"predicate": 1, "sense": "meet.02", "arguments": [["ARG0", 0, 1], ["ARG1", 2, 3]]},
            {"predicate": 4, "sense": "write.01", "arguments": [["ARG0", 0, 1], ["ARG1", 5, 6]]},
        ],
    },
    {"tokens": ["Nothing", "happened"], "predicates": [{"predicate": 1, "arguments": [["ARG1", 0, 1]]}]},
    {"tokens": ["Silence", "."], "predicates": []},
]


@pytest.fixture
def tiny_roles(tmp_path):
    folder = tmp_path / "roles"
    folder.mkdir()
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ROLES * copies))
    return folder


def weights_of(out):
    return load_file(out / "model.safetensors")


def test_a_run_needs_its_encoder_only_once(tiny_data, tiny_encoder, tmp_path, capsys):
    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    out, text = tmp_path / "run", tmp_path / "text.txt"
    text.write_text("Ada Lovelace met Babbage in London. " * 8)  # longer than the encoder's 40 positions
    options = ["--encoder.path", str(tmp_path / "encoder"), "--training.max_epochs", "2", *SMALL]
    assert run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(out), *options)[0] == 0
    shutil.rmtree(tmp_path / "encoder")
    assert main(["predict", str(out), "--input", str(text)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert len(json.loads(line)["tokens"]) == 7 * 8
    assert run(capsys, "evaluate", str(out), "--data", str(tiny_data))[0] == 0


def test_what_is_frozen_stays_and_the_rest_learns(tiny_data, tiny_encoder, tmp_path, capsys):
    given = load_file(tiny_encoder / "model.safetensors")
    options = ["--encoder.path", str(tiny_encoder), "--encoder.frozen_layers", "1", "--training.max_epochs", "1", *SMALL]
    assert run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(tmp_path / "run"), *options)[0] == 0
    weights = weights_of(tmp_path / "run")
    is_same = {
        name: torch.equal(weights[f"read.encoder.encoder.{name}"], given[name]) for name in given if "pooler" not in name
    }
    assert all(same for name, same in is_same.items() if not name.startswith("encoder.layer.1"))
    assert not any(same for name, same in is_same.items() if name.startswith("encoder.layer.1") and name.endswith("weight"))


@pytest.mark.parametrize("name", ["deep", "document"])
def test_roles_are_learnt_by_heart(tiny_roles, tmp_path, capsys, name):
    options = ["--model.name", name, "--training.max_epochs", "40", "--training.patience", "40"]
    small = ["--training.learning_rate", "0.02", "--words.word_dropout", "0", "--model.dropout", "0", *SMALL]
    code, result, _ = run(capsys, "train", "srl", "--data", str(tiny_roles), "--out", str(tmp_path / "run"), *options, *small)
    assert code == 0
    assert result["f1_percent"] == 100
    assert result["per_type"]["ARG0"]["num_gold"] == 4


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_roles_on_an_encoder_with_a_mark(tiny_roles, tiny_encoder, tmp_path, capsys, layers):
    options = [
        "--encoder.path",
        str(tiny_encoder),
        "--encoder.marked_layers",
        str(layers),
        "--training.max_epochs",
        "2",
        *SMALL,
    ]
    code, result, _ = run(capsys, "train", "srl", "--data", str(tiny_roles), "--out", str(tmp_path / "run"), *options, *SMALL)
    assert code == 0
    assert run(capsys, "evaluate", str(tmp_path / "run"), "--data", str(tiny_roles))[1]["f1_percent"] == result["f1_percent"]


def test_vectors_are_kept_in_the_run(tiny_data, tmp_path, capsys):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("ada 1 2 3\nlondon 4 5 6\nunseen 7 8 9\n")
    options = ["--words.vectors", str(vectors), "--training.max_epochs", "1", *SMALL]
    assert run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(tmp_path / "run"), *options)[0] == 0
    kept = weights_of(tmp_path / "run")["read.vectors.vectors.weight"]
    wanted = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    torch.testing.assert_close(kept[2:] * wanted.std() / kept[2:].std(), wanted)
    assert (kept[:2] == 0).all()
    vectors.unlink()
    assert run(capsys, "evaluate", str(tmp_path / "run"), "--data", str(tiny_data))[0] == 0


def test_readings_are_ranked(tiny_data, tmp_path, capsys):
    options = ["--training.max_epochs", "2", *SMALL]
    assert run(capsys, "train", "ner", "--data", str(tiny_data), "--out", str(tmp_path / "run"), *options)[0] == 0
    text = tmp_path / "text.txt"
    text.write_text("Ada met London\n")
    assert main(["predict", str(tmp_path / "run"), "--input", str(text), "--n-best", "3"]) == 0
    record = json.loads(capsys.readouterr().out)
    probabilities = [reading["probability"] for reading in record["readings"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({json.dumps(reading["entities"]) for reading in record["readings"]}) == 3
    assert all(0 <= entity["confidence"] <= 1 for entity in record["entities"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoder.path", "nowhere"], "--encoder.path must be a transformers folder"),
        (["--words.vectors", "nowhere.txt"], "nowhere.txt: there is no such file"),
        (["--encoder.marked_layers", "1"], "marked_layers needs an encoder"),
        (
            ["--model.d_recurrent", "8", "--model.num_heads", "3"],
            "2 × d_recurrent must be a multiple of num_heads, got 2 × 8 and 3",
        ),
        (["--encoder.learning_rate", "-1"], "learning_rate must be at least 0, got -1"),
    ],
)
def test_what_is_not_there_is_told(tiny_roles, tmp_path, capsys, options, message):
    code, result, _ = run(capsys, "train", "srl", "--data", str(tiny_roles), "--out", str(tmp_path / "run"), *options)
    assert code == 2
    assert message in result["error"]


def test_an_encoder_without_weights_is_told(tiny_data, tiny_encoder, tmp_path, capsys):
    shutil.copytree(tiny_encoder, tmp_path / "encoder", ignore=shutil.ignore_patterns("*.safetensors"))
    options = ["--out", str(tmp_path / "run"), "--encoder.path", str(tmp_path / "encoder"), *SMALL]
    code, result, _ = run(capsys, "train", "ner", "--data", str(tiny_data), *options)
    assert code == 2
    assert (
        f"{tmp_path / 'encoder'}: the encoder's weights cannot be read: Error no file named model.safetensors"
        in result["error"]
    )
