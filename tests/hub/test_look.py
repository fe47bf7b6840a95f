"""`regard look` on transformers models: small ones of every kind, made here, with random weights."""

import json
import math
import re

import pytest
import torch

from regard.cli import main
from regard.hub.inputs import made
from regard.hub.models import is_model, load
from regard.lens.classifiers import probabilities
from regard.lens.record import Lens
from tests.data.pictures.examples import bomb

transformers = pytest.importorskip("transformers", reason="regard look on a hub model needs transformers: pip install '.[hub]'")
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "who",
    "looks",
    "at",
    "whom",
    "and",
    "when",
    "the",
    "light",
    "is",
    "on",
    ".",
    "ada",
    "met",
]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 16, "vocab_size": len(WORDS)}


def tokenizer(folder, **options):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    specials = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **specials, **options).save_pretrained(folder)


def saved(folder, model, with_tokenizer=True, **options):
    model.save_pretrained(folder)
    if with_tokenizer:
        tokenizer(folder, **options)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.BertConfig(max_position_embeddings=32, **SIZES)
    return saved(tmp_path_factory.mktemp("bert"), transformers.BertModel(config))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.BertConfig(max_position_embeddings=32, id2label={0: "bad", 1: "good"}, **SIZES)
    return saved(tmp_path_factory.mktemp("classifier"), transformers.BertForSequenceClassification(config))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(max_position_embeddings=300, num_key_value_heads=2, **SIZES)
    return saved(tmp_path_factory.mktemp("llama"), transformers.LlamaForCausalLM(config), padding_side="left")


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 4, "vocab_size": len(WORDS)}
    config = transformers.T5Config(decoder_start_token_id=0, **sizes)
    return saved(tmp_path_factory.mktemp("t5"), transformers.T5ForConditionalGeneration(config))


@pytest.fixture(scope="module")
def seer(tmp_path_factory):
    pytest.importorskip("PIL", reason="pictures need Pillow: pip install '.[hub]'")
    torch.manual_seed(0)
    sizes = {name: size for name, size in SIZES.items() if name != "vocab_size"}
    config = transformers.ViTConfig(image_size=32, patch_size=8, id2label={0: "cat", 1: "dog"}, **sizes)
    folder = tmp_path_factory.mktemp("vit")
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}})
    )
    return str(folder)


def looked(capsys, tmp_path, *arguments):
    code = main(["look", *arguments, "--out", str(tmp_path / "report.html"), "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out.strip().split("\n")[-1]), told.err


def pictures(tmp_path):
    page = (tmp_path / "report.html").read_text(encoding="utf8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))["pictures"]


def test_an_encoder_is_looked_at_from_its_folder(encoder, capsys, tmp_path):
    code, result, _ = looked(capsys, tmp_path, encoder, "--input", "who looks at whom")
    assert code == 0
    assert result["layers"] == ["encoder.layer.0.attention.self", "encoder.layer.1.attention.self"]
    assert len(result["heads"]) == 8
    assert {"role", "entropy_bits", "induction"} <= result["heads"][0].keys()
    assert not result["unseen"]
    assert len(pictures(tmp_path)) == 1


def test_each_line_by_itself_with_means_over_all(encoder, capsys, tmp_path):
    lines = ["who looks at whom", "the light is on .", "ada met ada"] * 6
    (tmp_path / "text.txt").write_text("\n".join(lines))
    code, result, _ = looked(
        capsys, tmp_path, encoder, "--input", str(tmp_path / "text.txt"), "--lines", "--save", str(tmp_path / "s")
    )
    assert code == 0
    assert (result["num_inputs"], result["num_tokens"], len(pictures(tmp_path))) == (18, 6 * (4 + 5 + 3), 8)
    kept = Lens.load(tmp_path / "s")
    assert kept.totals[kept.layers[0]].counts["entropy_bits"].tolist() == 4 * [result["num_tokens"]]
    alone = [looked(capsys, tmp_path, encoder, "--input", line)[1] for line in lines[:3]]
    sizes = [4, 5, 3]
    mean = sum(size * one["heads"][5]["entropy_bits"] for size, one in zip(sizes, alone, strict=True)) / 12
    assert result["heads"][5]["entropy_bits"] == pytest.approx(mean, abs=1e-5)  # padding changed nothing


def test_sinks_are_found_in_lines_that_a_model_would_pad_before_them(decoder, capsys, tmp_path):
    lines = ["who looks at whom", "met"] * 8
    (tmp_path / "text.txt").write_text("\n".join(lines))
    heads = looked(capsys, tmp_path, decoder, "--input", str(tmp_path / "text.txt"), "--lines")[1]["heads"]
    alone = [looked(capsys, tmp_path, decoder, "--input", line)[1]["heads"] for line in lines[:2]]
    for head, *each in zip(heads, *alone, strict=True):
        assert head["sink_share"] == pytest.approx((4 * each[0]["sink_share"] + each[1]["sink_share"]) / 5, abs=1e-5)


@pytest.mark.parametrize(
    ("num_labels", "kind", "expected"),
    [(2, None, [1 / 4, 3 / 4]), (2, "multi_label_classification", [1 / 2, 3 / 4]), (1, None, [1 / 2])],
)
def test_probabilities_are_those_that_the_problem_has(num_labels, kind, expected):
    logits = torch.tensor([0.0, math.log(3)])[:num_labels]
    config = transformers.BertConfig(problem_type=kind)
    torch.testing.assert_close(probabilities(config, logits), torch.tensor(expected))


def test_a_classifier_says_what_it_predicts(classifier, capsys, tmp_path):
    code, _, _ = looked(capsys, tmp_path, classifier, "--input", "who looks at whom")
    assert code == 0
    facts = json.dumps(pictures(tmp_path)[0])
    assert re.search(r"(good|bad) \(\d+\.\d %\)", facts)
    assert re.search(r"faithfulness of .* than random by", facts)
    looked(capsys, tmp_path, classifier, "--input", "who looks at whom", "--tested", "0")
    assert "faithfulness" not in json.dumps(pictures(tmp_path)[0])


def test_a_long_text_through_a_decoder_with_grouped_heads(decoder, capsys, tmp_path):
    text = " ".join(WORDS[5:] * 20)
    code, result, _ = looked(capsys, tmp_path, decoder, "--input", text, "--exact", "10-40", "--sample", "2")
    assert code == 0
    assert len(result["heads"]) == 8
    assert result["num_tokens"] == 20 * len(WORDS[5:])


def test_a_translator_shows_source_and_target(translator, capsys, tmp_path):
    code, result, _ = looked(capsys, tmp_path, translator, "--input", "who looks at whom", "--target", "ada met whom and when")
    assert code == 0
    assert [layer for layer in result["layers"] if "EncDec" in layer] == [
        "decoder.block.0.layer.1.EncDecAttention",
        "decoder.block.1.layer.1.EncDecAttention",
    ]
    code, _, _ = looked(capsys, tmp_path, translator, "--input", "who looks at whom")
    assert code == 0


def test_a_picture_is_looked_at_patch_by_patch(seer, capsys, tmp_path):
    from PIL import Image

    Image.effect_noise((50, 40), 80).convert("RGB").save(tmp_path / "noise.png")
    code, result, _ = looked(capsys, tmp_path, seer, "--input", str(tmp_path / "noise.png"))
    assert code == 0
    assert result["num_tokens"] == 17
    assert "data:image/jpeg;base64" in (tmp_path / "report.html").read_text(encoding="utf8")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            ["--input", " ".join(["who"] * 40)],
            r"the text has 40 tokens, and .* takes at most 32: .* --max-tokens 32, or .* --lines",
        ),
        (["--input", "  "], "the input holds no text to look at"),
        (["--input", "who", "--exact", "9-3"], "--exact must be two positions such as 100-160"),
        (["--input", "who", "--layers", "nothing*"], r"no attention of .* was read, with --layers 'nothing\*'"),
    ],
)
def test_what_cannot_be_looked_at_is_told(encoder, capsys, tmp_path, given, text):
    code, result, _ = looked(capsys, tmp_path, encoder, *given)
    assert code == 2
    assert re.search(text, result["error"]), result["error"]


def test_a_longer_text_is_cut_when_that_is_asked_for(encoder, capsys, tmp_path):
    code, result, _ = looked(capsys, tmp_path, encoder, "--input", " ".join(["who"] * 40), "--max-tokens", "32")
    assert (code, result["num_tokens"]) == (0, 32)


def test_pictures_and_texts_go_to_their_own_models(encoder, seer, capsys, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert re.search(
        "reads text, and this is an image",
        looked(capsys, tmp_path, encoder, "--input", str(tmp_path / "broken.png"))[1]["error"],
    )
    error = looked(capsys, tmp_path, seer, "--input", "a text")[1]["error"]
    assert "reads images, and this is text. Name a file: .png, .jpg" in error


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no picture", "a picture must be PNG, JPEG, WebP, GIF, BMP, TIFF or PPM, got a file that begins with b'no picture'"),
        (b"", "a picture must hold something, got 0 bytes"),
        (bomb(60_000, 60_000), "a picture must have at most 100,000,000 pixels, got 60,000 x 60,000 = 3,600,000,000"),
    ],
)
def test_a_broken_picture_is_told_by_its_path(seer, capsys, tmp_path, content, text):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    code, result, _ = looked(capsys, tmp_path, seer, "--input", str(path))
    assert code == 2
    assert f"{path}: {text}" in result["error"]


def test_a_picture_is_seen_upright_and_on_white(seer, tmp_path):
    from PIL import Image

    corner = Image.new("RGBA", (32, 16), (0, 0, 0, 0))
    corner.paste((250, 0, 0, 255), (0, 0, 8, 8))
    turned = Image.Exif()
    turned[0x0112] = 3
    corner.save(tmp_path / "a.png")
    white = Image.new("RGBA", corner.size, "white")
    white.alpha_composite(corner)
    white.convert("RGB").rotate(180).save(tmp_path / "b.tif", exif=turned)
    model = load(seer)
    seen = [made(model, tmp_path / name).arguments["pixel_values"] for name in ("a.png", "b.tif")]
    assert torch.equal(*seen)
    assert seen[0][0, :, -1, -1].tolist() == [1, 1, 1]


def test_what_is_no_model_is_told(capsys, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    code, result, _ = looked(capsys, tmp_path, str(tmp_path / "empty"), "--input", "who")
    assert code == 2
    (tmp_path / "empty" / "config.json").write_text("{}")
    code, result, _ = looked(capsys, tmp_path, str(tmp_path / "empty"), "--input", "who")
    assert code == 2
    assert "transformers cannot load" in result["error"]


def test_an_owner_and_a_name_are_a_model_of_the_hub(tmp_path):
    assert is_model("google-bert/bert-base-uncased")
    assert not is_model("bert")
    assert not is_model("runs/mine")
    assert not is_model(str(tmp_path))
    assert not is_model("a/b/c")


def test_a_folder_mistyped_is_no_model_of_the_hub(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert is_model("models/bert")
    (tmp_path / "models").mkdir()
    assert not is_model("models/bert")
    code, result, said = looked(capsys, tmp_path, "models/bert", "--input", "who")
    assert code == 2
    assert "models/bert: there is no run here" in result["error"]
    assert "asking the hub" not in said
