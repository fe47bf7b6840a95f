"""The page of the worst errors, and pages of plain text, through the command line."""

import json

import pytest

from regard.cli import main
from tests.train.test_encoder import ROLES
from tests.train.test_run import SMALL, run
from tests.viewer.pages import data_of

OPTIONS = ["--training.max_epochs", "25", "--training.learning_rate", "0.01", "--training.patience", "25", *SMALL]
OPTIONS += ["--training.batch_size", "9", "--model.dropout", "0", "--words.word_dropout", "0"]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A run that knows the tiny data by heart, and a file in which two of its entities are labelled otherwise."""
    from tests.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("tagger")
    for split, copies in (("train", 12), ("dev", 2), ("test", 1)):
        (folder / f"{split}.conll").write_text((SENTENCES + "\n") * copies)
    assert main(["train", "ner", "--data", str(folder), "--out", str(folder / "run"), *OPTIONS]) == 0
    other = SENTENCES.replace("London\tB-LOC", "London\tB-PER").replace("New\tB-LOC\nYork\tI-LOC", "New\tO\nYork\tB-LOC")
    (folder / "other.conll").write_text(other)
    return folder


@pytest.fixture(scope="module")
def labeler(tmp_path_factory):
    """A run that knows three sentences' roles."""
    folder = tmp_path_factory.mktemp("labeler")
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in ROLES * copies))
    assert main(["train", "srl", "--data", str(folder), "--out", str(folder / "run"), *OPTIONS]) == 0
    return folder


def pictures_in(path):
    return data_of(path.read_text(encoding="utf8"))["pictures"]


def test_errors_of_entities_have_a_page_and_are_counted(tagger, capsys, tmp_path):
    page = tmp_path / "errors.html"
    given = ["evaluate", str(tagger / "run"), "--data", str(tagger / "other.conll"), "--errors", str(page)]
    code, result, said = run(capsys, *given)
    assert code == 0
    assert result["errors"] == {"right": 3, "boundary": 1, "type": 1, "both": 0, "missed": 0, "spurious": 0}
    assert {name: errors["right"] for name, errors in result["errors_per_type"].items()} == {"LOC": 1, "PER": 2}
    assert (result["errors_per_type"]["LOC"]["boundary"], result["confusion"]) == (1, {"PER": {"LOC": 1}})
    assert result["report"] == str(page)
    assert "errors  1 boundary, 1 type, 0 both, 0 missed, 0 spurious" in said
    notes = {picture["note"] for picture in pictures_in(page)}
    assert notes == {"gold: PER London; said: LOC London (type)", "gold: LOC York; said: LOC New York (boundary)"}
    assert data_of(page.read_text())["facts"]["errors"] == "1 boundary, 1 type, 0 both, 0 missed, 0 spurious"
    assert data_of(page.read_text())["facts"]["types mistaken"] == "PER read as LOC 1"
    assert run(capsys, *given, "--num-errors", "1")[0] == 0
    assert len(pictures_in(page)) == 1


def test_without_errors_the_page_is_empty(tagger, capsys, tmp_path):
    page = tmp_path / "errors.html"
    given = ["evaluate", str(tagger / "run"), "--data", str(tagger / "test.conll"), "--errors", str(page)]
    code, result, _ = run(capsys, *given)
    assert (code, result["f1_percent"]) == (0, 100)
    assert pictures_in(page) == []


def test_errors_of_roles_have_a_page(labeler, capsys, tmp_path):
    page, file = tmp_path / "errors.html", tmp_path / "other.jsonl"
    wrong = ROLES[0] | {"predicates": [ROLES[0]["predicates"][0] | {"arguments": [["ARG1", 0, 1], ["ARG1", 2, 3]]}]}
    file.write_text(json.dumps(wrong) + "\n")
    code, _, _ = run(capsys, "evaluate", str(labeler / "run"), "--data", str(file), "--errors", str(page))
    assert code == 0
    (picture,) = pictures_in(page)
    assert picture["note"] == "met: gold: ARG1 Ada; said: ARG0 Ada (type)"
    assert picture["texts"] == {"decided on": ["ARG0 Ada", "ARG1 Charles"]}


def test_roles_are_not_scored_on_a_file_without_predicates(labeler, capsys, tmp_path):
    file = tmp_path / "unlabelled.jsonl"
    file.write_text('{"tokens": ["Ada", "left"]}\n')
    assert main(["evaluate", str(labeler / "run"), "--data", str(file)]) == 2
    printed = capsys.readouterr()
    assert f'{file}:1: a sentence must have "predicates"' in printed.err
    assert "0.00" not in printed.out


def test_roles_of_plain_text_are_found_and_shown(labeler, capsys, tmp_path):
    page, text = tmp_path / "look.html", "Ada met Charles and wrote notes"
    assert run(capsys, "look", str(labeler / "run"), "--input", text, "--out", str(page))[0] == 0
    assert [picture["note"] for picture in pictures_in(page)] == [
        "met (meet.02): ARG0 Ada; ARG1 Charles",
        "wrote (write.01): ARG0 Ada; ARG1 notes",
    ]
    (tmp_path / "text.txt").write_text(f"{text}\n")
    assert main(["predict", str(labeler / "run"), "--input", str(tmp_path / "text.txt")]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["text"] == text
    first = line["predicates"][0]
    assert (first["sense"], first["start_character"], first["end_character"]) == ("meet.02", 4, 7)
    assert first["arguments"][1] == {
        "type": "ARG1",
        "start": 2,
        "end": 3,
        "text": "Charles",
        "start_character": 8,
        "end_character": 15,
    }


def test_the_report_of_a_training_has_errors_too(labeler):
    notes = [picture["note"] for picture in pictures_in(labeler / "run" / "report.html")]
    assert "met (meet.02): ARG0 Ada; ARG1 Charles" in notes


def test_input_with_nothing_to_see_is_told(labeler, capsys):
    code, result, _ = run(capsys, "look", str(labeler / "run"), "--input", "Silence .")
    assert code == 2
    assert "there is nothing to show" in result["error"]
