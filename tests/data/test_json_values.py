"""Values out of JSON."""

import pytest

from regard.data.json_values import looks_like_json


@pytest.mark.parametrize("line", ['{"a": 1}', ' [ "a", {}]', "[", "{", "[[", "[]", "{}", '[[ {"', "{'a': 1}", "[{"])
def test_lines_that_begin_as_json(line):
    assert looks_like_json(line)


@pytest.mark.parametrize("line", ["[Applause]", "{a}", "[[File]]", "['90s]", "[1]", 'say {"a"}', "", "( [", "[.]"])
def test_lines_that_do_not(line):
    assert not looks_like_json(line)
