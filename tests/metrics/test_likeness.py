"""The figures of made pictures, against their definitions and against the sums that others publish."""

import warnings

import numpy as np
import pytest
from scipy import linalg

from regard.errors import InputError
from regard.metrics import likeness
from regard.metrics.likeness import Moments, discrepancy, diversity, frechet_distance, kernel_distance, precision_recall


def features(count, seed, width=12, scale=1.0, shift=0.0):
    """Correlated, as those of networks are."""
    dice = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(width, width))
    return scale * dice.normal(size=(count, width)) @ mixing + shift


def published(one, other, epsilon=1e-6):
    """pytorch-fid's calculate_frechet_distance, on features."""
    means = [rows.mean(0) for rows in (one, other)]
    covariances = [np.cov(rows, rowvar=False) for rows in (one, other)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(covariances[0] @ covariances[1])
        if not np.isfinite(root).all():
            offset = np.eye(len(covariances[0])) * epsilon
            root = linalg.sqrtm((covariances[0] + offset) @ (covariances[1] + offset))
    apart = means[0] - means[1]
    return apart @ apart + sum(map(np.trace, covariances)) - 2 * np.trace(np.real(root))


@pytest.mark.parametrize(("count", "width"), [(200, 12), (60, 64), (500, 100)])
def test_the_distance_is_that_of_the_published_program(count, width):
    one, other = features(count, 0, width), features(count + 7, 1, width, 0.8, 0.3)
    found = frechet_distance(Moments.of(one), Moments.of(other))
    assert found == pytest.approx(published(one, other), abs=1e-3)
    assert found > 1


def test_the_distance_of_two_normal_distributions_of_one_number():
    one = Moments(np.array([1.0]), np.array([[4.0]]), 9)
    other = Moments(np.array([4.0]), np.array([[25.0]]), 9)
    assert frechet_distance(one, other) == pytest.approx(3**2 + (5 - 2) ** 2)


@pytest.mark.parametrize(("count", "width"), [(200, 12), (20, 64), (2, 64), (1, 8)])
def test_a_sample_is_at_no_distance_from_itself(count, width):
    moments = [Moments.of(features(count, 3, width, 5)) for _ in range(2)]
    assert abs(frechet_distance(*moments)) < 1e-6


def test_the_distance_is_the_same_both_ways_and_rises_with_the_shift():
    one, other, further = (Moments.of(features(90, seed, shift=shift)) for seed, shift in ((0, 0), (1, 1), (2, 3)))
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))
    assert frechet_distance(one, other) < frechet_distance(one, further)


def test_moments_of_parts_are_those_of_all():
    rows = features(103, 0, shift=1000)
    found = Moments.of(rows[:1])
    for start, end in ((1, 2), (2, 40), (40, 103)):
        found = found.merged(Moments.of(rows[start:end].astype(np.float32)))
    assert found.count == 103
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False), rtol=1e-3, atol=1e-3)
    exact = Moments.of(rows[:50]).merged(Moments.of(rows[50:]))
    np.testing.assert_allclose(exact.covariance, np.cov(rows, rowvar=False), rtol=1e-9, atol=1e-9)


def brute(real, made):
    """The sums as they are written in the paper."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
        return sum(kernel(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    between = sum(kernel(x, y) for x in real for y in made) / (len(real) * len(made))
    return within(real) + within(made) - 2 * between


def test_the_kernel_distance_is_its_double_sum():
    real, made = features(7, 0, 3), features(5, 1, 3)
    assert discrepancy(real, made) == pytest.approx(brute(real, made))


def test_the_kernel_distance_is_unbiased():
    """Of two halves of one sample it is 0 in the mean."""
    rows, dice = features(60, 0, 4, 0.3), np.random.default_rng(0)
    orders = [dice.permutation(60) for _ in range(400)]
    found = np.array([discrepancy(rows[order[:30]], rows[order[30:]]) for order in orders])
    assert abs(found.mean()) < 3 * found.std() / len(found) ** 0.5
    assert (found < 0).any()
    assert (found > 0).any()


def test_the_kernel_distance_has_a_seed_and_an_error():
    real, made = features(200, 0), features(150, 1, shift=3)
    found = kernel_distance(real, made, subsets=20, subset_size=50)
    assert found == kernel_distance(real, made, subsets=20, subset_size=50)
    assert found != kernel_distance(real, made, subsets=20, subset_size=50, seed=1)
    assert 0 < found.error < found.mean
    whole = discrepancy(real, made)
    assert abs(found.mean - whole) < 5 * found.error


@pytest.mark.parametrize("size", [10, 30])
def test_the_error_is_the_spread_over_fresh_samples(size):
    pairs = [(features(60, seed, 4, 0.3), features(60, 1000 + seed, 4, 0.3, shift=0.5)) for seed in range(60)]
    found = [kernel_distance(real, made, subsets=20, subset_size=size) for real, made in pairs]
    assert np.mean([one.error for one in found]) == pytest.approx(np.std([one.mean for one in found]), rel=0.3)


def test_subsets_are_at_most_half_of_what_there_is(monkeypatch):
    sizes = []
    monkeypatch.setattr(likeness, "discrepancy", lambda real, made: sizes.append((len(real), len(made))) or 0.0)
    kernel_distance(features(9, 0), features(30, 1), subsets=3)
    assert sizes == [(4, 4)] * 3


def inside_by_hand(rows, others, neighbours):
    """Per cent."""
    reach = [sorted(np.linalg.norm(others - one, axis=1))[neighbours] for one in others]
    return 100 * np.mean([any(np.linalg.norm(row - o) <= r for o, r in zip(others, reach, strict=True)) for row in rows])


@pytest.mark.parametrize("neighbours", [1, 3])
def test_precision_and_recall_are_as_they_are_defined(monkeypatch, neighbours):
    monkeypatch.setattr(likeness, "BLOCK", 7)
    real, made = features(40, 0, 3), features(30, 1, 3, 0.5)
    found = precision_recall(real, made, neighbours=neighbours)
    assert found.precision_percent == pytest.approx(inside_by_hand(made, real, neighbours))
    assert found.recall_percent == pytest.approx(inside_by_hand(real, made, neighbours))
    assert found.precision_percent != found.recall_percent


def test_copies_of_few_real_pictures_are_precise_and_recall_little():
    real = features(100, 0)
    found = precision_recall(real, np.repeat(real[:5], 20, 0))
    assert found.precision_percent == 100
    assert found.recall_percent == 5
    assert precision_recall(real, real) == (100, 100)
    assert precision_recall(real, real + 1000) == (0, 0)


def test_of_many_pictures_some_are_drawn_and_always_the_same(monkeypatch):
    monkeypatch.setattr(likeness, "MOST", 30)
    real, made = features(80, 0), features(70, 1)
    found = precision_recall(real, made)
    assert found == precision_recall(real, made)
    assert found.precision_percent * 30 / 100 == pytest.approx(round(found.precision_percent * 30 / 100))


def test_diversity_is_the_share_of_the_distances():
    real = np.array([[0.0], [1.0], [3.0]])
    made = np.array([[0.0], [1.0]])
    assert diversity(real, made) == pytest.approx(100 * 1 / ((1 + 3 + 2) / 3))


def test_a_class_of_one_picture_says_nothing_of_diversity():
    real, made = np.array([[0.0], [2.0], [50.0], [90.0]]), np.array([[0.0], [1.0], [7.0], [8.0]])
    assert diversity(real, made, list("aabc")) == pytest.approx(50)
    assert diversity(real, made, list("abcd")) == diversity(real, made)


def test_classes_weigh_as_many_as_they_have_pictures():
    real = np.array([[0.0], [1.0], [3.0], [10.0], [14.0]])
    made = np.array([[0.0], [2.0], [4.0], [10.0], [11.0]])
    wanted = (3 * (2 + 4 + 2) / 3 + 2 * 1) / (3 * (1 + 3 + 2) / 3 + 2 * 4)
    assert diversity(real, made, list("aaabb")) == pytest.approx(100 * wanted)


def test_there_is_no_diversity_beside_real_pictures_that_are_all_alike():
    assert diversity(np.ones((5, 2)), features(5, 0, 2)) is None
    assert diversity(np.ones((1, 2)), features(5, 0, 2)) is None
    assert diversity(np.array([[0.0], [0.0], [9.0]]), features(3, 0, 1), list("aab")) is None


def test_diversity_is_near_0_where_all_are_alike():
    real = features(50, 0, shift=100).astype(np.float32)
    assert diversity(real, np.repeat(real[:1], 50, 0)) == 0
    assert diversity(real, real[:1] + 0.01 * features(50, 1).astype(np.float32)) < 2
    assert diversity(real, real) == pytest.approx(100)


def test_too_few_pictures_are_told():
    with pytest.raises(InputError, match="4 real and 4 made pictures at least, got 9 and 3"):
        kernel_distance(features(9, 0), features(3, 0))
    with pytest.raises(InputError, match="4 real and 4 made pictures at least, got 3 and 9"):
        precision_recall(features(3, 0), features(9, 0))
