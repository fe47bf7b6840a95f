"""Shapes in annotations are checked in every test; real data is used where it is at hand."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

with install_import_hook(["regard.attention", "regard.lens", "regard.models"], "beartype.beartype"):
    import regard.attention
    import regard.attention.gates
    import regard.attention.positions
    import regard.lens.watch
    import regard.models.bio
    import regard.models.chain
    import regard.models.crf
    import regard.models.pretrained
    import regard.models.readers
    import regard.models.role_labeler
    import regard.models.tagger
    import regard.models.transducer
    import regard.models.words  # noqa: F401

SHARED = Path(os.environ.get("REGARD_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def ner_data() -> Path:
    """Folder of real entity data sets."""
    folder = SHARED / "text" / "ner"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set REGARD_DATA to a folder that has text/ner")
    return folder


SENTENCES = """Ada\tB-PER
Lovelace\tI-PER
met\tO
Babbage\tB-PER
in\tO
London\tB-LOC
.\tO

Nothing\tO
happened\tO

Paris\tB-LOC
and\tO
New\tB-LOC
York\tI-LOC
"""


@pytest.fixture
def tiny_data(tmp_path: Path) -> Path:
    """A folder with train, dev and test that a small model learns by heart."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / f"{split}.conll").write_text((SENTENCES + "\n") * copies)
    return folder
