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
    import regard.models.pictures
    import regard.models.pretrained
    import regard.models.readers
    import regard.models.recurrent_language
    import regard.models.recurrent_translator
    import regard.models.role_labeler
    import regard.models.tagger
    import regard.models.transducer
    import regard.models.transformer_language
    import regard.models.transformer_translator
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


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder of a small untrained encoder, whose pieces are letters."""
    transformers = pytest.importorskip("transformers", reason="needs transformers (regard[hub])")
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder
