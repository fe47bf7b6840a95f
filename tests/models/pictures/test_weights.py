"""Weights from files of others."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from regard import InputError
from regard.models.pictures.weights import load_weights


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))


def weights():
    torch.manual_seed(3)
    return {name: torch.rand_like(one.float()).to(one.dtype) for name, one in network().state_dict().items()}


def is_loaded(made, given):
    own = made.state_dict()
    return all(torch.equal(own[name], given[name]) for name in own if "num_batches" not in name)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "features."])
def test_weights_are_found_by_their_names(tmp_path, ending, prefix):
    path, given = str(tmp_path / f"weights.{ending}"), weights()
    shuffled = {f"{prefix}{name}": given[name] for name in sorted(given, reverse=True)} | {"head.weight": torch.rand(2, 4)}
    save_file(shuffled, path) if ending == "safetensors" else torch.save(shuffled, path)
    made = network()
    load_weights(made, path)
    assert is_loaded(made, given)


def test_weights_of_other_names_are_taken_in_their_order(tmp_path):
    given = weights()
    kept = [one for name, one in given.items() if "num_batches" not in name]
    torch.save({f"_part{number}": one for number, one in enumerate([*kept, torch.rand(9)])}, tmp_path / "weights.pth")
    made = network()
    load_weights(made, str(tmp_path / "weights.pth"))
    assert is_loaded(made, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": torch.rand(1)}, "must be 8 tensors for this network, got 1"),
        (
            {str(number): torch.rand(2) for number in range(9)},
            r"0.weight must be of shape \(4, 3, 3, 3\) for this network, got \(2,\)",
        ),
        ([1, 2], "must be a state dict"),
        ({"epoch": 3}, "must be a state dict"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, given, message):
    path = tmp_path / "weights.pth"
    torch.save(given, path)
    with pytest.raises(InputError, match=message):
        load_weights(network(), str(path))


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00lsq\x01\x85q\x02Rq\x03."]
)
def test_a_file_that_holds_no_weights_is_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: weights must be a .pth or .safetensors file"):
        load_weights(network(), str(path))
    with pytest.raises(InputError, match="there is none of this name"):
        load_weights(network(), str(tmp_path / "missing.pth"))
