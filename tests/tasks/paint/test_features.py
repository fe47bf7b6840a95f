"""Networks whose features pictures are compared by."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from regard.errors import InputError
from regard.models.options import AugmentOptions, ClassifierOptions, ConvolutionalOptions, ImageTransformerOptions
from regard.tasks.classify.encoder import PictureEncoder
from regard.tasks.classify.task import Classify
from regard.tasks.folder import Run, save_start, save_weights
from regard.tasks.paint import inception_files
from regard.tasks.paint.features import FeatureNetwork, feature_network, random_network
from regard.tasks.paint.inception import Inception
from regard.tasks.paint.inception_files import SIDE, as_pytorch_fid, as_tensorflow
from regard.tasks.pictures.views import Viewer

MODELS = {
    "convolutional": {"convolutional": ConvolutionalOptions(widths=(8, 12), gate="none")},
    "transformer": {"transformer": ImageTransformerOptions(d_model=16, num_layers=1, num_heads=2, d_feedforward=16, patch=4)},
    "document": {},
}


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inception_file():
    """A TorchScript file of the FID Inception network."""
    path = os.environ.get("REGARD_INCEPTION", "")
    if not Path(path).is_file():
        pytest.skip("no FID Inception network; set REGARD_INCEPTION to its TorchScript file")
    return path


def run_in(folder: Path, name: str, channels: int) -> Run:
    """An untrained classifier of pictures of 16 pixels, as a run folder."""
    folder.mkdir()
    task = Classify(model=ClassifierOptions(name=name, **MODELS[name]))
    encoder = PictureEncoder(Viewer(16, channels, 0.9), {"a": 3, "b": 2}, ((0.5,), (0.25,)), AugmentOptions())
    torch.manual_seed(0)
    run = Run(task, encoder, task.build(encoder).eval())
    save_start(folder, run, {})
    save_weights(folder, run.model)
    return run


def test_random_features_are_the_same_whatever_chance_does():
    torch.manual_seed(1)
    one = random_network().features(noise(3, 1, 20, 20))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    other = random_network().features(noise(3, 1, 20, 20))
    assert torch.equal(one, other)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 100, 64), (3, 1, 1)])
def test_features_do_not_depend_on_what_else_is_in_the_batch(shape):
    network, pictures = feature_network(""), noise(70, *shape)
    together = network.features(pictures)
    assert together.shape == (70, 480)
    assert together.dtype == torch.float32
    assert not together.requires_grad
    for place in (0, 33, 69):
        torch.testing.assert_close(network.features(pictures[place : place + 1])[0], together[place], atol=1e-4, rtol=1e-4)


def test_a_grey_picture_is_one_in_colour_of_three_like_channels():
    grey = noise(2, 1, 24, 24)
    network = feature_network("")
    assert torch.equal(network.features(grey), network.features(grey.repeat(1, 3, 1, 1)))
    seen = []
    of_grey = FeatureNetwork("", "random_", 1, lambda pixels: seen.append(pixels) or pixels.flatten(1))
    of_grey.features(grey.repeat(1, 3, 1, 1))
    assert torch.equal(seen[0], grey)


def test_a_network_is_loaded_once():
    assert feature_network("") is feature_network("")
    assert feature_network("").prefix == "random_"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_features_of_a_classifier_are_what_its_scores_are_made_of(tmp_path, name, channels):
    run = run_in(tmp_path / "run", name, channels)
    network = feature_network(str(tmp_path / "run"))
    pictures = noise(5, channels, 16, 16)
    scores = [layer for layer in run.model.head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        wanted = run.model(run.encoder.normalised(pictures.float() / 255))
        torch.testing.assert_close(scores(network.features(pictures)), wanted, atol=1e-4, rtol=1e-4)
    assert network.prefix == "classifier_"


def test_a_classifier_reads_pictures_of_any_size_and_colour(tmp_path):
    run_in(tmp_path / "run", "transformer", 1)
    network = feature_network(str(tmp_path / "run"))
    assert network.features(noise(2, 3, 30, 40)).shape == (2, 16)
    plain = torch.full((1, 1, 16, 16), 77, dtype=torch.uint8)
    large = torch.full((1, 3, 31, 47), 77, dtype=torch.uint8)
    torch.testing.assert_close(network.features(large), network.features(plain), atol=1e-4, rtol=1e-4)


def test_loading_leaves_chance_as_it_was(tmp_path):
    run_in(tmp_path / "run", "convolutional", 1)
    state = torch.get_rng_state()
    feature_network(str(tmp_path / "run"))
    assert torch.equal(state, torch.get_rng_state())


def test_other_weights_are_another_network(tmp_path):
    run = run_in(tmp_path / "run", "convolutional", 1)
    one = feature_network(str(tmp_path / "run"))
    for parameter in run.model.parameters():
        parameter.data += 0.1
    save_weights(tmp_path / "run", run.model)
    feature_network.cache_clear()
    assert feature_network(str(tmp_path / "run")).name != one.name


def program(path: Path, layer: torch.nn.Module) -> Path:
    torch.jit.script(layer).save(str(path))
    return path


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "none.pt", "No such file or directory"),
        (lambda folder: folder, "there is no run here"),
        (lambda folder: program(folder / "one.pt", torch.nn.Linear(2, 2)), "a program, but not of this network"),
    ],
)
def test_what_is_no_feature_network_is_told(tmp_path, make, reason):
    with pytest.raises(InputError, match=f"{reason}.*must be the file of the FID Inception network.*regard train classify"):
        feature_network(str(make(tmp_path)))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "cannot be read"), (b"no network at all", "cannot be read"), (b"PK\3\4" + bytes(99), "")]
)
def test_a_broken_file_is_told(tmp_path, content, reason):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{reason}.*must be the file of the FID Inception network"):
        feature_network(str(path))


def test_a_broken_program_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "one.pt", "w") as archive:
        archive.writestr("one/code/a.py", "nonsense")
    with pytest.raises(InputError, match=r"the program cannot be read.*must be the file of the FID Inception network"):
        feature_network(str(tmp_path / "one.pt"))


def test_a_run_of_another_task_is_told(tmp_path, monkeypatch):
    run = run_in(tmp_path / "run", "document", 1)
    other = Run(run.task, run.encoder, torch.nn.Linear(1, 1))
    monkeypatch.setattr("regard.tasks.paint.features.load_run", lambda folder: other)
    with pytest.raises(InputError, match="got a run of regard train classify"):
        feature_network(str(tmp_path / "run"))


def test_weights_that_are_not_the_published_ones_are_told(tmp_path):
    """As those of torchvision would be, which have the same names and shapes."""
    torch.manual_seed(0)
    torch.save(Inception().state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError, match="other weights of that network"):
        feature_network(str(tmp_path / "other.pth"))
    torch.save({"a": torch.zeros(2)}, tmp_path / "small.pth")
    with pytest.raises(InputError, match="weights must be 470 tensors for this network, got 1"):
        feature_network(str(tmp_path / "small.pth"))


def test_the_network_has_the_names_of_torchvision():
    names = list(Inception().state_dict())
    assert len(names) == 94 * 6
    for name in ("Conv2d_4a_3x3.conv.weight", "Mixed_5b.branch5x5_2.bn.running_mean", "Mixed_6a.branch3x3.conv.weight"):
        assert name in names
    for name in ("Mixed_6c.branch7x7dbl_5.bn.bias", "Mixed_7a.branch7x7x3_4.bn.weight", "Mixed_7c.branch3x3dbl_3b.conv.weight"):
        assert name in names


def test_pictures_are_resized_as_by_tensorflow():
    """Its old way: place i of the new picture is place i · old / new of the old one, and the last ones are the edge."""
    picture = torch.tensor([[0, 128, 255]], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 3, 3)
    found = as_tensorflow(picture)[0, 0, 0] * 128 + 128
    assert found[0] == 0
    assert found[50] == pytest.approx(128 * 50 * 3 / 299, abs=1e-3)
    assert found[150] == pytest.approx(128 + 127 * (150 * 3 / 299 - 1), abs=1e-3)
    assert found[200:].tolist() == pytest.approx([255] * 99)
    same = noise(1, 3, SIDE, SIDE)
    assert torch.equal(as_tensorflow(same), (same.float() - 128) / 128)
    assert as_tensorflow(noise(2, 3, 400, 20)).shape == (2, 3, SIDE, SIDE)


def test_pictures_are_resized_as_by_pytorch_fid():
    same = noise(1, 3, SIDE, SIDE)
    torch.testing.assert_close(as_pytorch_fid(same), same.float() / 127.5 - 1)
    assert as_pytorch_fid(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))[0, 0, 0, [0, 149, -1]].tolist() == [-1, 0, 1]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_inception_network_is_that_of_the_file(inception_file, tmp_path):
    pictures = noise(2, 3, 28, 28)
    network = feature_network(inception_file)
    program = torch.jit.load(inception_file)
    with torch.no_grad():
        wanted, wanted_of_other = program(as_tensorflow(pictures)), program(as_pytorch_fid(pictures))
    torch.testing.assert_close(network.features(pictures), wanted, atol=1e-4, rtol=1e-3)
    assert network.prefix == ""
    as_state = Inception()
    as_state.load_state_dict(inception_files._weights_of_program(inception_file, as_state), strict=False)
    torch.save(as_state.state_dict(), tmp_path / "pt_inception.pth")
    other = feature_network(str(tmp_path / "pt_inception.pth"))
    assert other.prefix == ""
    assert other.name != network.name
    torch.testing.assert_close(other.features(pictures), wanted_of_other, atol=1e-4, rtol=1e-3)
