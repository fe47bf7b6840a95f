"""How made pictures compare with real ones, and the files that this is kept in."""

from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from regard.data.pictures import input_pictures, pixels
from regard.errors import InputError
from regard.tasks.paint import statistics
from regard.tasks.paint.features import FeatureNetwork, feature_network
from regard.tasks.paint.statistics import Reference, compare_folders, likeness, reference_of
from regard.tasks.pictures.views import to_tensor
from tests.conftest import SHARED
from tests.metrics.test_likeness import published

WIDE = 2048


def noise(count, seed, *shape, least=0):
    dice = np.random.default_rng(seed)
    return [torch.from_numpy(dice.integers(least, 256, shape, dtype=np.uint8)) for _ in range(count)]


def network_of(name="plain", prefix="random_", width=12):
    """Features are the first pixels."""
    return FeatureNetwork(name, prefix, 1, lambda pixels: pixels.flatten(1)[:, :width].float())


@pytest.fixture(scope="module")
def clothes():
    """Real pictures, grey."""
    path = SHARED / "vision" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    if not path.is_file():
        pytest.skip(f"no real pictures at {path}; set REGARD_DATA to a folder that has vision/fashion-mnist")
    return [to_tensor(pixels(one), 1) for one in islice(input_pictures(str(path)), 600)]


def test_the_distance_is_that_of_the_published_program_on_the_same_features(clothes):
    network, real, made = feature_network(""), clothes[:300], clothes[300:]
    features = [network.features(torch.stack(pictures)).double().numpy() for pictures in (real, made)]
    found = likeness(network, reference_of(network, real), made)
    assert found["random_fid"] == pytest.approx(published(*features), abs=1e-3)
    assert found["features"] == network.name
    assert found["num_samples"] == found["num_reference"] == 300


def test_real_pictures_are_more_like_real_ones_than_spoilt_or_few_ones(clothes):
    network = feature_network("")
    reference = reference_of(network, clothes[:300])
    good = likeness(network, reference, clothes[300:])
    spoilt = [one // 2 + other // 2 for one, other in zip(clothes[300:], noise(300, 0, 1, 28, 28), strict=True)]
    noisy = likeness(network, reference, spoilt)
    same = likeness(network, reference, [clothes[0]] * 300)
    for key in ("random_fid", "random_kid"):
        assert good[key] < noisy[key]
        assert good[key] < same[key]
    assert good["precision_percent"] > 60 > noisy["precision_percent"]
    assert good["recall_percent"] > 60 > same["recall_percent"]
    assert good["diversity_percent"] == pytest.approx(100, abs=10)
    assert same["diversity_percent"] < 1


def test_pictures_of_one_sample_are_at_no_distance():
    pictures = noise(20, 0, 1, 4, 4)
    network = network_of()
    found = likeness(network, reference_of(network, pictures), pictures)
    assert abs(found["random_fid"]) < 1e-6
    assert set(found) == {
        *("random_fid", "random_kid", "random_kid_error", "precision_percent", "recall_percent", "diversity_percent"),
        *("features", "num_samples", "num_reference"),
    }


def test_diversity_is_left_out_where_real_pictures_are_all_alike():
    network, pictures = network_of(), noise(8, 0, 1, 4, 4)
    found = likeness(network, reference_of(network, pictures[:1] * 8), pictures)
    assert "diversity_percent" not in found
    assert "random_kid" in found


def test_a_picture_of_each_class_is_enough_to_compare():
    network = network_of()
    reference, made = reference_of(network, noise(4, 0, 1, 4, 4)), noise(4, 1, 1, 4, 4)
    assert likeness(network, reference, made, list("abcd")) == likeness(network, reference, made)


def test_pieces_of_any_size_give_the_same_moments(monkeypatch):
    pictures = noise(50, 0, 1, 4, 4)
    whole = Reference.of(network_of(), iter(pictures))
    monkeypatch.setattr(statistics, "PIECE", 7)
    parts = Reference.of(network_of(), iter(pictures))
    np.testing.assert_allclose(parts.moments.covariance, whole.moments.covariance, rtol=1e-9)
    assert np.array_equal(parts.rows, whole.rows)
    assert parts.rows.dtype == np.float32


def test_of_many_pictures_each_may_be_kept(monkeypatch):
    monkeypatch.setattr(statistics, "MOST_ROWS", 40)
    pictures = [torch.full((1, 1, 1), number, dtype=torch.uint8) for number in range(200)]
    found = Reference.of(network_of(), pictures)
    kept = found.rows[:, 0]
    assert kept.shape == (40,)
    assert len(set(kept)) == 40
    assert 60 < kept.mean() < 140
    assert found.moments.count == 200
    assert found.moments.mean[0] == pytest.approx(99.5)


def test_statistics_are_computed_once_and_read_again(tmp_path):
    path, network = tmp_path / "real.safetensors", network_of()
    first = reference_of(network, noise(30, 0, 1, 4, 4), str(path))
    again = reference_of(network, iter(()), str(path))
    assert again.network == "plain"
    assert again.moments.count == 30
    for name in ("mean", "covariance"):
        assert np.array_equal(getattr(again.moments, name), getattr(first.moments, name))
    assert np.array_equal(again.rows, first.rows)
    assert [one.name for one in tmp_path.iterdir()] == ["real.safetensors"]
    made = noise(30, 1, 1, 4, 4)
    assert likeness(network, again, made) == likeness(network, first, made)


def test_statistics_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "real.safetensors")
    reference_of(network_of("one"), noise(9, 0, 1, 4, 4), path)
    with pytest.raises(InputError, match=r"of another network \(one\); the one to compare by is other\. Name another file"):
        reference_of(network_of("other"), noise(9, 0, 1, 4, 4), path)


def write_npz(path, width=WIDE):
    np.savez(path, mu=np.full(width, 3.0), sigma=np.eye(width))


def test_statistics_of_pytorch_fid_give_the_distance_alone(tmp_path):
    write_npz(tmp_path / "real.npz")
    network = network_of("FID Inception", "", WIDE)
    reference = reference_of(network, iter(()), str(tmp_path / "real.npz"))
    pictures = noise(8, 0, 1, 64, 32)
    found = likeness(network, reference, pictures)
    assert set(found) == {"fid", "features", "num_samples"}
    rows = network.features(torch.stack(pictures)).double().numpy()
    # from the unit covariance the root of the product is that of the other one
    roots = np.linalg.svd((rows - rows.mean(0)) / 7**0.5, compute_uv=False)
    wanted = ((rows.mean(0) - 3) ** 2).sum() + WIDE + (roots**2).sum() - 2 * roots.sum()
    assert found["fid"] == pytest.approx(wanted, rel=1e-9)


def test_statistics_of_pytorch_fid_are_of_the_inception_network(tmp_path):
    write_npz(tmp_path / "real.npz")
    with pytest.raises(InputError, match="are of the FID Inception network, not plain"):
        reference_of(network_of(), iter(()), str(tmp_path / "real.npz"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: write_npz(path, 12),
        lambda path: np.savez(path, mean=np.zeros(WIDE)),
        lambda path: np.savez(path, mu=np.array([None] * WIDE), sigma=np.zeros((WIDE, WIDE))),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\3\4 cut off"),
    ],
)
def test_an_npz_of_other_things_is_told(tmp_path, spoil):
    spoil(tmp_path / "real.npz")
    with pytest.raises(InputError, match=r"must hold mu and sigma|damaged"):
        reference_of(network_of("FID Inception", ""), iter(()), str(tmp_path / "real.npz"))


@pytest.mark.parametrize("content", [b"", b"nothing of this kind", None])
def test_a_file_of_other_things_is_told(tmp_path, content):
    path = tmp_path / "real.safetensors"
    if content is None:
        save_file({"mean": np.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="must hold statistics of pictures"):
        reference_of(network_of(), iter(()), str(path))


@pytest.mark.parametrize("name", ["real.npz", "nowhere/real.safetensors"])
def test_where_nothing_can_be_kept_is_told_before_the_work(tmp_path, name):
    with pytest.raises(InputError, match=r"kept in a file, not \.npz, in a folder that exists"):
        reference_of(network_of(), iter(()), str(tmp_path / name))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_of_few_pictures_nothing_is_said(count):
    with pytest.raises(InputError, match=f"of 4 at least, got {count}"):
        Reference.of(network_of(), noise(count, 0, 1, 4, 4))


def test_two_folders_of_pictures_of_any_sizes_compare(tmp_path):
    for name, seed, least in (("real", 0, 0), ("like", 1, 0), ("bright", 2, 128)):
        (tmp_path / name).mkdir()
        for number in range(12):
            shape = ((20, 24), (20, 24, 3), (9, 9, 3))[number % 3]
            values = np.random.default_rng(100 * seed + number).integers(least, 256, shape, dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    network = feature_network("")
    like, bright = (compare_folders(tmp_path / "real", tmp_path / name, network) for name in ("like", "bright"))
    assert like["num_samples"] == like["num_reference"] == 12
    assert like["random_fid"] < bright["random_fid"]
    assert abs(compare_folders(tmp_path / "real", tmp_path / "real", network)["random_fid"]) < 1e-6


def test_a_broken_picture_is_named(tmp_path):
    for number in range(4):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"2\.png: a picture must be"):
        compare_folders(tmp_path, tmp_path, feature_network(""))
