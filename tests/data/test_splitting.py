from regard.data.splitting import evenly


def test_a_few_of_many_are_from_all_along():
    assert evenly(range(7), 4) == [0, 1, 3, 5]
    assert evenly("aabbcc", 3) == ["a", "b", "c"]
    assert set(evenly("a" * 99 + "b" * 100, 100)) == {"a", "b"}


def test_few_are_all():
    assert evenly([1, 2], 5) == [1, 2]
    assert evenly([], 5) == []
