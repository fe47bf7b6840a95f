"""Folders in which runs, statistics and drawings are kept."""

import errno
import os

import pytest

from regard.errors import InputError
from regard.tasks.folder import create, writable


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
