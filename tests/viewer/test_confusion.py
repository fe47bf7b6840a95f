"""The confusion matrix as a picture."""

from xml.etree import ElementTree

import pytest

from regard.viewer.confusion import MOST, confusion

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("count", [1, 3, 30])
def test_it_has_a_cell_for_each_pair(count):
    counts = [[row * count + column for column in range(count)] for row in range(count)]
    root = ElementTree.fromstring(confusion([f"class {n}" for n in range(count)], counts))
    assert len([one for one in root.iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]) == count**2


def test_a_cell_says_what_was_taken_for_what():
    root = ElementTree.fromstring(confusion(["cat", "dog"], [[3, 1], [0, 2]]))
    told = [one.text for one in root.iter(f"{SVG}title")]
    assert "cat, said to be dog: 1 (25.0 %)" in told


def test_of_many_classes_the_most_confused_are_shown():
    count = 1000
    counts = [[0] * count for _ in range(count)]
    for place in range(count):
        counts[place][place] = 6
    for place in range(500, 500 + 2 * MOST - 2, 2):  # two classes each, one of them more often
        counts[place][place + 1] += 2
        counts[place][10] += 1
    text = confusion([f"class {n}" for n in range(count)], counts)
    assert len(text) < 3e6
    root = ElementTree.fromstring(text)
    told = [one.text for one in root.iter(f"{SVG}title")][1:]
    assert len(told) == MOST**2
    assert {one.split(",")[0] for one in told} == {"class 10"} | {f"class {n}" for n in range(500, 500 + 2 * MOST - 2, 2)}
    assert "class 500, said to be class 10: 1 (11.1 %)" in told
    assert f"the {MOST} most confused of 1,000 classes" in text


def test_names_cannot_become_markup():
    text = confusion(['<script>alert("x")</script>', "a & b"], [[1, 0], [0, 1]])
    assert "<script" not in text
    assert "a &amp; b" in ElementTree.tostring(ElementTree.fromstring(text), encoding="unicode")
