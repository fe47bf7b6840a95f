"""Folders in which runs, statistics and drawings are kept."""

import errno
import os

import pytest

from regard.errors import InputError
from regard.tasks.folder import create, load_recipe, writable


def test_a_folder_is_made_and_nothing_is_left_in_it(tmp_path):
    assert create(tmp_path / "runs" / "one", "checkpoints") == tmp_path / "runs" / "one" / "checkpoints"
    assert [path.name for path in (tmp_path / "runs" / "one").iterdir()] == ["checkpoints"]
    assert not list((tmp_path / "runs" / "one" / "checkpoints").iterdir())


def test_a_folder_in_which_no_file_can_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    def full(*, dir):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("regard.tasks.folder.TemporaryFile", full)
    with pytest.raises(InputError, match=r"nothing can be kept: No space left on device\. Name another") as caught:
        writable(tmp_path, "nothing can be kept: {}. Name another.")
    assert caught.value.file == tmp_path


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("task: generate\ntext:\n  stride: 4\n", "text has no option stride. If another version wrote it"),
        ("task: generate\nscoring:\n  stride: 999\n", "stride must be at most the context of 256 tokens"),
        ("task: nothing\n", "nothing"),
        ("[", "expected the node content"),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_recipe_is_told_with_its_file(tmp_path, recipe, said):
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(InputError, match="not a recipe of a run: ") as caught:
        load_recipe(tmp_path)
    assert said in caught.value.message
    assert caught.value.file == tmp_path / "recipe.yaml"
