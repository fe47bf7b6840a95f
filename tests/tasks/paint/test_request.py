import pytest

from regard.tasks.paint.request import Count, Request, read_requests


def test_a_line_is_a_class_a_request_or_anything():
    found = read_requests(["", "shoe", '{"class": "bag", "seed": 7}', "  "])
    assert [(one.number, one.label) for one in found] == [(0, None), (1, "shoe"), (7, "bag"), (3, None)]
    assert [one.line for one in found] == [1, 2, 3, 4]


def test_a_walk_is_several_pictures_from_one_seed_to_another():
    found = read_requests(['{"seed": 2, "to": 5, "steps": 3}'])
    assert [(one.number, one.to, one.share) for one in found] == [(2, 5, 0.0), (2, 5, 0.5), (2, 5, 1.0)]
    assert [one.line for one in found] == [1, 1, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"sed": 1}', "a request has class, seed, to, steps; got 'sed'"),
        ('{"seed": -1}', '"seed" must be a whole number, 0 or more, got -1'),
        ('{"seed": 1.5}', '"seed" must be a whole number, 0 or more, got 1.5'),
        ('{"seed": true}', '"seed" must be a whole number, 0 or more, got true'),
        ('{"class": 3}', '"class" must be the name of a class, got 3'),
        ('{"to": 3, "steps": 1}', '"steps" must be from 2 to 1000, got 1'),
        ('{"seed": 1', "JSON"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(line, message):
    bad, good = read_requests([line, "shoe"])
    assert message in bad.error
    assert bad.line == 1
    assert not good.error


def test_so_many_pictures_are_those_of_the_first_seeds():
    with Count.open(300) as source:
        found = [request for piece in source for request in piece]
        assert source.share == 1
    assert [request.number for request in found] == list(range(300))


def test_a_request_has_a_name():
    assert Request(3).name == "picture of seed 3"
    assert Request(3, "bag", 4, 0.25).name == "bag of seed 3 → 4 (25 %)"
