"""Where things are kept, and what may be asked of the hub."""

from pathlib import Path

import pytest

from regard.places import cache_folder, may_be_hub_id


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("REGARD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_the_cache_is_the_users_unless_another_is_named(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / ".cache" / "regard"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/regard")
    monkeypatch.setenv("REGARD_CACHE", "/own")
    assert cache_folder() == Path("/own")


def test_a_variable_that_is_empty_names_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("REGARD_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / ".cache" / "regard"


@pytest.mark.parametrize("name", ["owner/name", "google-bert/bert-base-uncased", "_o.1/n-a.me_2", "0/1"])
def test_an_owner_and_a_name_may_be_an_id(name):
    assert may_be_hub_id(name)


WRONG = ["", "/", "name", "owner/", "/name", "a/b/c", "./name", "../name", "~/name", "-o/name", "o wner/name", "owner/name:x"]


@pytest.mark.parametrize("name", WRONG)
def test_no_path_and_no_other_text_may_be_an_id(name):
    assert not may_be_hub_id(name)


def test_a_name_mistyped_in_a_folder_that_is_here_is_not_told_to_the_hub(tmp_path):
    (tmp_path / "owner").mkdir()
    (tmp_path / "file").write_text("")
    assert not may_be_hub_id("owner/nmae")
    assert may_be_hub_id("other/name")
    assert may_be_hub_id("file/name")  # a file is no owner of folders
