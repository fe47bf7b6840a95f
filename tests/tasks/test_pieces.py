"""Words as pieces, in windows."""

import json
import shutil

import pytest
import torch

from regard.errors import InputError
from regard.tasks.pieces import PieceEncoder

tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers (regard[hub])")
WORDS = [f"w{number}" for number in range(30)]


SELECTOR = "\ufe0f"
"""What the normaliser leaves nothing of."""


def encoder(max_pieces=64):
    """Each wN is one piece, and xN two."""
    vocabulary = {piece: number for number, piece in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "x", *WORDS, "##1"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PieceEncoder(made.to_str(), {}, max_pieces), vocabulary


def read_words(batch):
    """The piece that each word is read at."""
    return batch["pieces"].flatten()[batch["places"]]


def test_a_word_is_read_at_its_first_piece():
    pieces, number = encoder()
    batch = pieces.collate([("w1", "x1", "w2"), ("w3",)])
    assert batch["pieces"].tolist()[0] == [number[piece] for piece in ("[CLS]", "w1", "x", "##1", "w2", "[SEP]")]
    assert batch["piece_lengths"].tolist() == [6, 3]
    found = read_words(batch)
    assert found[0].tolist() == [number["w1"], number["x"], number["w2"]]
    assert found[1, 0] == number["w3"]


@pytest.mark.parametrize("length", [6, 7, 8, 9, 15, 30])
def test_each_word_of_a_long_sentence_is_read_once_and_as_itself(length):
    pieces, number = encoder(max_pieces=8)
    batch = pieces.collate([WORDS[:length], WORDS[:3]])
    assert read_words(batch)[0].tolist() == [number[word] for word in WORDS[:length]]
    assert read_words(batch)[1, :3].tolist() == [number[word] for word in WORDS[:3]]
    assert batch["pieces"].shape[1] <= 8
    starts = batch["pieces"][torch.arange(len(batch["pieces"])), 0]
    ends = batch["pieces"][torch.arange(len(batch["pieces"])), batch["piece_lengths"] - 1]
    assert (set(starts.tolist()), set(ends.tolist())) == ({number["[CLS]"]}, {number["[SEP]"]})


@pytest.mark.parametrize("max_pieces", [64, 8])
def test_a_word_without_pieces_is_read_as_an_unknown_one(max_pieces):
    pieces, number = encoder(max_pieces)
    batch = pieces.collate([WORDS[:9], ["w1", SELECTOR, *WORDS[:9], SELECTOR], [SELECTOR]])
    known = [number[word] for word in WORDS[:9]]
    assert read_words(batch)[1].tolist() == [number["w1"], number["[UNK]"], *known, number["[UNK]"]]
    assert read_words(batch)[2, 0] == number["[UNK]"]


@pytest.mark.parametrize("unknown", ["[UNK]", ""])
def test_no_word_is_read_in_another_sentence(unknown):
    pieces, _ = encoder(max_pieces=8)
    pieces.unknown = unknown
    sentences = [WORDS[:9], ["w1", SELECTOR], [SELECTOR], ["w1"], WORDS[:12]]
    for order in (sentences, sentences[::-1]):
        batch = pieces.collate(order)
        windows = torch.arange(len(order)).repeat_interleave(batch["num_windows"])
        owners = windows[batch["places"] // batch["pieces"].shape[1]]
        assert owners.tolist() == [[number] * batch["places"].shape[1] for number in range(len(order))]


def test_the_unknown_piece_of_a_unigram_model_is_known_by_its_number():
    made = tokenizers.Tokenizer(tokenizers.models.Unigram([("▁", -1.0), ("<unk>", 0.0), ("a", -1.0)], unk_id=1))
    assert PieceEncoder(made.to_str(), {}, 8).unknown == "<unk>"


def test_words_within_a_long_sentence_have_neighbours_on_both_sides():
    pieces, _ = encoder(max_pieces=10)
    batch = pieces.collate([WORDS])
    within = batch["places"][0, 4:-4] % batch["pieces"].shape[1]
    assert within.min() >= 2
    assert within.max() <= 7


def test_it_comes_back_from_plain_values():
    pieces, _ = encoder()
    again = PieceEncoder(**pieces.to_json())
    assert again.collate([WORDS])["pieces"].equal(pieces.collate([WORDS])["pieces"])


def test_a_folder_that_is_no_encoder_is_told(tmp_path):
    with pytest.raises(InputError, match=r"--encoder.path must be a transformers folder"):
        PieceEncoder.load(str(tmp_path), 512)


@pytest.mark.parametrize(("longest", "expected"), [(40, 38), (-1, 64), (512, 64)])
def test_windows_are_as_long_as_the_encoder_takes_where_it_has_a_limit(tiny_encoder, tmp_path, longest, expected):
    shutil.copytree(tiny_encoder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text()) | {"max_position_embeddings": longest}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert PieceEncoder.load(str(tmp_path), 64).max_pieces == expected
