"""Which part of the data that is given a run is scored on."""

import re

import pytest

from regard.errors import InputError
from regard.tasks.classify.task import Classify
from regard.tasks.detect.task import Detect
from regard.tasks.paint.task import Paint
from tests.data.boxes.examples import DATA_SETS
from tests.data.pictures.examples import classes, made

PARTS = {f"{split}/{name}": data for split in ("train", "dev", "test") for name, data in classes({"a": 1, "b": 1}).items()}
BOXES = DATA_SETS["voc, folder a part"]


def without(files, *splits):
    return {name: data for name, data in files.items() if not name.startswith(splits)}


@pytest.mark.parametrize(("left_out", "meant"), [("none", "test"), ("test", "dev"), ("dev", "test")])
def test_the_test_part_is_scored_else_dev(tmp_path, left_out, meant):
    for task in (Classify(), Paint()):
        folder = made(tmp_path / task.name, without(PARTS, left_out))
        assert task.scored(str(folder)) == folder / meant


def test_what_holds_no_parts_is_scored_whole(tmp_path):
    folder = made(tmp_path / "train", classes({"a": 1, "b": 1}))
    assert Classify().scored(str(folder)) == Paint().scored(str(folder)) == folder
    table = {name.removeprefix("train/"): data for name, data in BOXES.items()}
    assert Detect().scored(str(made(tmp_path / "boxes", table))) == tmp_path / "boxes"
    packed = made(tmp_path / "boxes.zip", table)
    assert Detect().scored(str(packed)) == packed


@pytest.mark.parametrize("task", [Classify(), Paint()])
def test_train_alone_is_not_scored_unless_it_is_named(tmp_path, task):
    folder = made(tmp_path, without(PARTS, "dev", "test"))
    with pytest.raises(InputError, match="the data must hold a test or a dev part, got train alone") as error:
        task.scored(str(folder))
    (named,) = re.findall(r"name it: --data (.*)\.$", str(error.value))
    assert task.scored(named) == folder / "train"


@pytest.mark.parametrize("name", ["boxes", "boxes.zip"])
def test_boxes_of_train_alone_are_not_scored_unless_they_are_named(tmp_path, name):
    path = made(tmp_path / name, BOXES)
    with pytest.raises(InputError, match="the data must hold a test or a dev part, got train alone") as error:
        Detect().scored(str(path))
    (named,) = re.findall(r"name it: --data (.*)\.$", str(error.value))
    assert Detect().scored(named) == path / "train"
    assert len(Detect().read(Detect().scored(named))[0]) == 2


def test_train_alone_of_a_data_set_of_the_hub_is_not_scored(tmp_path, monkeypatch):
    fetched = made(tmp_path / "fetched", without(PARTS, "dev", "test"))
    monkeypatch.setattr("regard.tasks.classify.task.folder_from_hub", lambda name: fetched)
    with pytest.raises(InputError, match=r"owner/name: the data must hold a test or a dev part.* --data .*/fetched/train\."):
        Classify().scored("owner/name")


def test_what_is_not_there_is_told(tmp_path):
    for task in (Classify(), Detect(), Paint()):
        with pytest.raises(InputError, match="there is no such file"):
            task.scored(str(tmp_path / "none.json"))
