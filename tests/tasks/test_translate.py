"""Translation as a task: encoding, prediction, alignment, pages, export."""

import json
import random
from dataclasses import replace
from functools import cache

import pytest
import torch

from regard.commands.export import export as export_command
from regard.commands.look import look
from regard.commands.score import predict
from regard.data.pairs import Languages, Pair
from regard.data.pairs.pharaoh import parse_pharaoh
from regard.data.stream import CHUNK_LINES
from regard.errors import InputError
from regard.models.options import PairOptions, SamplingOptions, SearchOptions, TranslatorOptions
from regard.models.search import Hypothesis
from regard.models.translator import ROOM
from regard.tasks.folder import Run, load_run, save_start, save_weights
from regard.tasks.ner.task import Ner
from regard.tasks.source import read_examples
from regard.tasks.translate.alignment import _words, alignments, by_words, links
from regard.tasks.translate.ctranslate2 import export
from regard.tasks.translate.inputs import read_lines
from regard.tasks.translate.task import Translate, Translation
from regard.viewer.report import render

NUMBERS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "green": "grüne", "apples": "Äpfel", "trees": "Bäume"}
PAIRS = [
    Pair(
        f"{number} {adjective}{noun} .",
        f"{NUMBERS[number]} {NUMBERS.get(adjective.strip(), '')}{' ' if adjective else ''}{NUMBERS[noun]} .",
    )
    for number in ("one", "two", "three", "four")
    for adjective in ("", "green ")
    for noun in ("apples", "trees")
]
TEXT = PairOptions(vocabulary=320)
TMX = """<tmx version="1.4"><header srclang="{}"/><body><tu><tuv xml:lang="en"><seg>{}</seg></tuv>
<tuv xml:lang="de"><seg>{}</seg></tuv></tu></body></tmx>"""
KINDS = {
    "transformer": TranslatorOptions(d_model=32, num_layers=2, num_heads=2, d_feedforward=32, dropout=0.0),
    "recurrent": TranslatorOptions(name="recurrent", d_model=32, num_layers=1, d_embedding=32, dropout=0.0),
    "coverage": TranslatorOptions(name="recurrent", d_model=32, num_layers=1, d_embedding=32, dropout=0.0, coverage=True),
}


@cache
def learnt(kind, steps=160):
    torch.manual_seed(0)
    task = Translate(text=TEXT, model=KINDS[kind], search=SearchOptions(beam=3))
    encoder = task.fit_encoder(PAIRS)
    run = Run(task, encoder, task.build(encoder))
    optimizer = torch.optim.AdamW(run.model.parameters(), lr=8e-3)
    batch = encoder.collate(PAIRS)
    for _ in range(steps):
        optimizer.zero_grad()
        run.model.loss(batch).backward()
        optimizer.step()
    run.model.eval()
    return run


@pytest.fixture(scope="module", params=KINDS)
def run(request):
    return learnt(request.param)


@pytest.fixture(scope="module")
def transformer():
    return learnt("transformer")


@pytest.fixture
def folder(transformer, tmp_path):
    save_start(tmp_path, transformer, {"seed": 0})
    save_weights(tmp_path, transformer.model)
    return tmp_path


def test_what_was_learnt_is_said(run):
    predictions = run.predict(PAIRS)
    score = run.task.score(PAIRS, predictions)
    assert score["bleu_percent"] > 95
    assert score["signature"].startswith("nrefs:1|case:mixed")
    assert predictions[0].texts[0] == "eins Äpfel ."


def test_readings_are_ranked_and_the_first_is_the_translation(run):
    (record,) = run.rank([PAIRS[3]], 6)
    assert len(record["readings"]) == 6
    assert record["readings"][0]["translation"] == record["translation"]
    scores = [one["score"] for one in record["readings"]]
    assert scores == sorted(scores, reverse=True)


def test_a_text_found_in_two_ways_is_one_reading(transformer):
    encoder, whole = transformer.encoder, transformer.encoder.target.encode(["eins"])[0]
    letters = [encoder.target.tokenizer.token_to_id(letter) for letter in "Ġeins"]
    raw = [Hypothesis(tokens, score, score) for tokens, score in ((whole, -1.0), (letters, -2.0), ([], -3.0))]
    assert whole != letters
    readings = transformer.task.decode_ranked(encoder, Pair("one"), raw)["readings"]
    assert readings == [{"translation": "eins", "score": -1.0}, {"translation": "", "score": -3.0}]


def test_nothing_is_translated_into_nothing(run):
    assert [one.texts[0] for one in run.predict([Pair("  "), PAIRS[0]])] == ["", "eins Äpfel ."]


def test_a_prefix_is_kept(run):
    (found,) = run.predict([Pair("two trees .", prefix="vier")])
    assert found.texts[0].startswith("vier ")


def test_translations_may_be_drawn(folder):
    cold, warm, again, other = (
        load_run(folder, chosen={"sampling": SamplingOptions(temperature=temperature, seed=seed)})
        for temperature, seed in ((1e-3, 0), (3.0, 0), (3.0, 0), (3.0, 1))
    )
    assert [one.texts[0] for one in cold.predict(PAIRS)] == [pair.target for pair in PAIRS]
    drawn = warm.predict(PAIRS)
    assert drawn == again.predict(PAIRS)
    assert drawn != other.predict(PAIRS)
    assert drawn == [warm.predict([pair])[0] for pair in PAIRS]
    (record,) = warm.rank(PAIRS[:1], 5)
    assert len({one["translation"] for one in record["readings"]}) > 1
    assert "score" not in record["readings"][0]


def test_words_are_aligned_to_words(run):
    found = alignments(run, PAIRS)
    for pair, weights in zip(PAIRS, found, strict=True):
        assert weights.shape == (len(pair.target.split()), len(pair.source.split()))
        assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
        assert [target for _, target in links(weights)] == list(range(len(weights)))


def test_pieces_of_a_source_word_are_added_up_and_rows_of_a_target_word_averaged():
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.1, 0.4], [0.0, 0.5, 0.5, 0.0]])
    found = by_words(weights, [[0, 1], [2]], [[0], [1, 2]])  # the last column, the sign of the end, is no word's
    assert torch.allclose(found, torch.tensor([[1 / 3, 2 / 3], [0.0, 1.0]]))


def test_recurrent_attention_finds_the_word_that_is_translated():
    run = learnt("recurrent")
    hits = [links(weights)[0] for weights in alignments(run, PAIRS)]
    assert sum(link == (0, 0) for link in hits) > len(PAIRS) // 2


def test_a_model_without_attention_aligns_nothing_and_shows_nothing():
    task = Translate(text=TEXT, model=TranslatorOptions(name="recurrent", mechanism="none", d_model=16, d_embedding=8))
    encoder = task.fit_encoder(PAIRS)
    run = Run(task, encoder, task.build(encoder).eval())
    with pytest.raises(InputError, match="no attention"):
        alignments(run, [])  # before any work
    assert task.explain(encoder, run.model, PAIRS[:1]) == []


def test_a_page_shows_each_token_of_the_translation_over_the_source(run):
    pictures = run.task.explain(run.encoder, run.model, [PAIRS[0], Pair(""), PAIRS[2]])
    assert len(pictures) == 2
    assert "".join(pictures[0].keys) == " one apples .▪"
    assert "".join(pictures[0].queries) == " eins Äpfel .▪"
    assert pictures[0].note == f"reference: {PAIRS[0].target}"
    assert all(layer.statistics.values for layer in pictures[0].layers)
    alignment, layer, *_ = pictures[0].layers
    assert layer.statistics.block_map.shape[-2:] == (len(pictures[0].queries), len(pictures[0].keys))
    assert alignment.name == "alignment"
    assert torch.allclose(alignment.statistics.block_map[0, 0], alignments(run, [PAIRS[0]])[0], atol=1e-5)
    assert [pictures[0].extras.texts[name] for name in alignment.texts] == [["eins", "Äpfel", "."], ["one", "apples", "."]]
    assert not any("matched no layer" in note for note in pictures[0].notes)  # a reader asked for no layer by name
    assert "alignment" in render(pictures, title="x")


def test_lines_and_json_lines_are_read():
    given = [
        "A line.",
        "",
        '{"source": "Another", "prefix": "Noch"}',
        '{"text": "x"}',
        '{"not json',
        '{"target": "x"}',
        '{"src": 3}',
    ]
    read = read_lines(given)
    assert [(pair.source, pair.prefix) for pair in read] == [
        ("A line.", ""),
        ("", ""),
        ("Another", "Noch"),
        ("x", ""),
        ('{"not json', ""),
        ("", ""),
        ("", ""),
    ]
    assert [pair.error for pair in read[-2:]] == ['a line of JSON must have a "source".', "src must be text in quotes, got 3."]
    assert [pair.line for pair in read] == list(range(1, 8))


def test_a_bad_line_is_named_and_the_rest_goes_on(folder, tmp_path, capsys):
    (tmp_path / "input.txt").write_text('one apples .\n{"target": "x"}\nfour trees .\n\n')
    predict([str(folder), "--input", str(tmp_path / "input.txt"), "--search.beam", "1"])
    said = capsys.readouterr()
    records = [json.loads(line) for line in said.out.splitlines()]
    assert [record["translation"] for record in records] == ["eins Äpfel .", "", "vier Bäume .", ""]
    assert records[1]["error"] == 'a line of JSON must have a "source".'
    assert 'input.txt:2: a line of JSON must have a "source".' in said.err


def test_line_n_of_a_long_input_is_example_n(transformer):
    lines = [*["one apples ."] * CHUNK_LINES, "", "two trees .", "", ""]
    examples = [example for part in read_examples(transformer.task, lines, "x") for example in part]
    assert [example.line for example in examples] == list(range(1, len(lines) + 1))
    assert [example.source for example in examples] == lines


def test_a_run_remembers_its_direction(tmp_path):
    for code, side in (("en", "source"), ("de", "target")):
        (tmp_path / "x_en_de").mkdir(exist_ok=True)
        (tmp_path / "x_en_de" / f"train.{code}").write_text("".join(f"{getattr(pair, side)}\n" for pair in PAIRS))
    task = Translate()
    files = task.files(str(tmp_path / "x_en_de"), {})
    settled = task.settled(files)
    assert (settled.languages.source, settled.languages.target) == ("en", "de")
    with pytest.raises(InputError, match="source's file must be named"):
        settled.read(tmp_path / "x_en_de" / "train.de")


def test_a_score_cuts_text_as_the_language_needs_it():
    task = Translate(languages=Languages("en", "zh_Hans"))
    score = task.score([Pair("a dog runs", "一只狗在跑步。")], [Translation(("一只狗在跑。",))])
    assert score["bleu_percent"] > 30
    assert "|tok:zh|" in score["signature"]


def test_words_are_aligned_where_they_are_the_tokens():
    task = Translate(text=PairOptions(tokens="words"), model=KINDS["recurrent"])
    encoder = task.fit_encoder(PAIRS)
    (weights,) = alignments(Run(task, encoder, task.build(encoder).eval()), PAIRS[2:3])
    assert weights.shape == (len(PAIRS[2].target.split()), len(PAIRS[2].source.split()))


@pytest.mark.parametrize(
    ("tokens", "places"), [("words", [[0], [1], [2]]), ("characters", [[0, 1, 2], [4, 5], [7, 8, 9, 10, 11]])]
)
def test_an_unknown_word_is_a_word_that_can_be_aligned_to(tokens, places):
    encoder = Translate(text=PairOptions(tokens=tokens)).fit_encoder(PAIRS)
    assert _words(torch.tensor(encoder.source_tokens("two ωω trees")), encoder.source) == places


def test_the_worst_translations_are_shown_first(run):
    examples = [PAIRS[0], replace(PAIRS[1], target="etwas ganz anderes"), PAIRS[2]]
    pictures = run.task.worst_errors(run, examples, run.predict(examples), 2)
    assert len(pictures) == 2
    assert pictures[0].note == "reference: etwas ganz anderes"


def test_a_text_that_is_too_long_is_shortened_and_that_is_told(capsys):
    task = Translate(text=PairOptions(vocabulary=320, max_tokens=10), model=KINDS["transformer"])
    encoder = task.fit_encoder(PAIRS)
    batch = encoder.collate([Pair("one " * 10_000, "eins " * 10_000), PAIRS[0]])
    assert batch["source"].shape == batch["outputs"].shape == (2, 10)
    assert encoder.is_shortened(Pair("one " * 10_000))
    assert not encoder.is_shortened(PAIRS[0])
    run = Run(task, encoder, task.build(encoder).eval())
    examples = [Pair("one " * 10_000), PAIRS[0]]
    records = list(map(task.to_json, examples, run.predict(examples)))
    assert records[0]["is_shortened"]
    assert "is_shortened" not in records[1]
    assert capsys.readouterr().err == "warning: a text has more than 9 tokens: the rest is left out.\n"


def test_learned_positions_go_by_the_longest_text():
    task = Translate(text=replace(TEXT, max_tokens=600), model=replace(KINDS["transformer"], position="learned"))
    assert task.build(task.fit_encoder(PAIRS)).max_length == 1200


def test_a_run_comes_back_from_its_folder(folder, transformer):
    again = load_run(folder)
    assert again.predict(PAIRS) == transformer.predict(PAIRS)
    narrow = load_run(folder, chosen={"search": SearchOptions(beam=1)})
    assert len(narrow.predict(PAIRS[:1])[0].texts) == 1


def test_each_line_of_a_file_has_a_line_and_bytes_that_are_no_text_are_told(folder, tmp_path, capsys):
    (tmp_path / "input.txt").write_bytes(b"one apples .\n\nt\xffwo trees .\nfour trees .\n")
    result = predict([str(folder), "--input", str(tmp_path / "input.txt"), "--search.beam", "1"])
    said = capsys.readouterr()
    records = [json.loads(line) for line in said.out.splitlines()]
    assert result["num_predictions"] == len(records) == 4
    assert records[0]["translation"] == "eins Äpfel ."
    assert records[1]["translation"] == ""
    assert records[2]["source"] == "t\ufffdwo trees ."
    assert records[3]["translation"] == "vier Bäume ."
    assert "input.txt:3: the text must be UTF-8, got byte 0xff" in said.err


@pytest.mark.parametrize("kind", ["transformer", "recurrent"])
def test_answers_do_not_depend_on_the_precision_of_training_nor_on_the_batch(kind):
    run = learnt(kind, steps=20)
    halved = replace(run.task, training=replace(run.task.training, precision="bfloat16"))
    whole = replace(run.task, training=replace(run.task.training, precision="float32"))
    together = Run(halved, run.encoder, run.model).predict(PAIRS)
    assert together == Run(whole, run.encoder, run.model).predict(PAIRS)
    assert [one.texts for one in together] == [Run(halved, run.encoder, run.model).predict([pair])[0].texts for pair in PAIRS]


def test_a_character_that_training_never_saw_is_told_with_its_line(capsys):
    task = Translate(text=PairOptions(tokens="characters"), model=KINDS["transformer"])
    encoder = task.fit_encoder(PAIRS)
    run = Run(task, encoder, task.build(encoder))
    run.predict(read_lines(["one tree .", "Жß"]))
    assert capsys.readouterr().err == (
        "warning: line 2: the training text has no characters 'Ж', 'ß': each is read as unknown.\n"
    )


def test_a_long_beginning_is_cut_and_that_is_told(capsys):
    task = Translate(text=PairOptions(vocabulary=320, max_tokens=8), model=replace(KINDS["transformer"], position="learned"))
    encoder = task.fit_encoder(PAIRS)
    run = Run(task, encoder, task.build(encoder))
    good, cut = run.predict(read_lines(["one tree .", json.dumps({"source": "one tree .", "prefix": "eins " * 600})]))
    assert good.texts
    assert cut.texts[0].startswith("eins ")
    assert capsys.readouterr().err == "warning: line 2 begins with more than 7 tokens: the rest is left out.\n"


def test_many_answers_are_looked_for_in_smaller_batches(transformer, monkeypatch):
    sizes, rank = [], transformer.model.rank
    monkeypatch.setattr(Translate, "at_once", 200)
    monkeypatch.setattr(
        transformer.model, "rank", lambda given, num_best: sizes.append(len(given["source"])) or rank(given, num_best)
    )
    few = transformer.rank(PAIRS, 2)
    most, sizes[:] = max(sizes), []
    many = transformer.rank(PAIRS, 40)
    assert max(sizes) <= max(1, most // 4)
    assert [one["translation"] for one in many] == [one["translation"] for one in few]


def test_a_page_shows_a_translation_that_is_given(folder, tmp_path, capsys):
    page = tmp_path / "page.html"
    look([str(folder), "--input", "two green trees .", "--target", "drei Äpfel .", "--out", str(page)])
    assert "two green trees . → drei Äpfel ." in page.read_text()
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="--target is what one text is to become, the input has 2"):
        look([str(folder), "--input", str(tmp_path / "two.txt"), "--target", "drei", "--out", str(page)])
    with pytest.raises(InputError, match="--layers is for transformers models"):
        look([str(folder), "--input", "one", "--layers", "x", "--out", str(page)])
    with pytest.raises(InputError, match="--target is for models that translate; ner does not"):
        Ner().explain_saying(None, [], "x")


def test_predictions_can_be_aligned(folder, tmp_path, capsys):
    (tmp_path / "input.txt").write_text("two green trees .\n\n")
    predict([str(folder), "--input", str(tmp_path / "input.txt"), "--align"])
    first, empty = map(json.loads, capsys.readouterr().out.splitlines())
    links = parse_pharaoh(first["alignment"])
    assert [target for _, target in links] == list(range(4))
    assert all(max(row) == row[source] for row, (source, _) in zip(first["alignment_weights"], links, strict=True))
    assert empty["alignment"] == ""


def test_a_run_is_exported_once(folder, tmp_path, capsys):
    pytest.importorskip("ctranslate2", reason="written by CTranslate2's own library")
    result = export_command([str(folder), "--format", "ctranslate2"])
    assert sorted(path.name for path in (folder / "ctranslate2").iterdir()) == [
        "config.json",
        "model.bin",
        "shared_vocabulary.json",
        "tokenizer.json",
    ]
    assert result["bytes"] > 10_000
    with pytest.raises(InputError, match="must not exist"):
        export_command([str(folder), "--format", "ctranslate2"])
    with pytest.raises(InputError, match="cannot be exported as 'onnx': --format must be one of: ctranslate2"):
        export_command([str(folder), "--format", "onnx"])


@pytest.mark.parametrize("options", [{}, {"position": "learned", "num_kv_heads": 1}])
@pytest.mark.parametrize("beam", [1, 5])
def test_ctranslate2_says_the_same_of_two_hundred_sentences(options, beam, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the export is checked by CTranslate2 itself")
    torch.manual_seed(1)
    shape = {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_feedforward": 48}
    search = SearchOptions(beam=beam, length_penalty=0.0)
    task = Translate(text=TEXT, model=TranslatorOptions(**shape, **options), search=search)
    encoder = task.fit_encoder(PAIRS)
    run = Run(task, encoder, task.build(encoder).eval())
    for parameter in run.model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    export(run, tmp_path / "exported")
    translator = ctranslate2.Translator(str(tmp_path / "exported"), "cpu", compute_type="float32")
    vocabulary, draw = encoder.source.tokenizer, random.Random(0)
    pairs = [Pair(" ".join(draw.choices([*NUMBERS, "and", "."], k=draw.randrange(1, 9)))) for _ in range(200)]
    given = [[vocabulary.id_to_token(token) for token in encoder.source_tokens(pair.source)] for pair in pairs]
    ours = [one[0].tokens for one in run.answers(pairs, run.model.predict)]
    signs = [[vocabulary.id_to_token(sign)] for sign in (run.model.signs.padding, run.model.signs.start)]
    options_of_search = {"beam_size": beam, "length_penalty": 0.0, "disable_unk": True, "suppress_sequences": signs}
    num_alike = 0
    for source, own in zip(given, ours, strict=True):
        longest = int(search.max_ratio * len(source)) + ROOM
        (found,) = translator.translate_batch([source], max_decoding_length=longest, **options_of_search)
        num_alike += [vocabulary.token_to_id(token) for token in found.hypotheses[0]] == own
    assert num_alike >= 198  # where two scores all but tie, rounding decides


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("recurrent", {}, "recurrent"),
        ("transformer", {"position": "rotary"}, "rotary"),
        ("transformer", {"mechanism": "linear"}, "linear"),
    ],
)
def test_what_ctranslate2_cannot_run_is_refused(kind, options, message, tmp_path):
    task = Translate(text=TEXT, model=TranslatorOptions(name=kind, d_model=16, num_heads=2, **options))
    encoder = task.fit_encoder(PAIRS)
    with pytest.raises(InputError, match=message):
        export(Run(task, encoder, task.build(encoder)), tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters", "bytes"])
def test_a_space_of_any_kind_parts_words_wherever_its_bytes_are(kind):
    texts = ["A\u00a0dog ran 10\u00a0km today", "Ein\u3000Hund", "thin\u2009space", "  a  b\u00e9b\u00e9 "]
    encoder = Translate(text=PairOptions(tokens=kind, vocabulary=270)).fit_encoder([Pair(text, text) for text in texts])
    for text in texts:
        tokens = encoder.source_tokens(text)
        spelled = [
            b"".join(encoder.source.bytes_of(tokens[place]) for place in own)
            for own in _words(torch.tensor(tokens), encoder.source)
        ]
        assert [word.decode().strip() for word in spelled] == text.split()


def test_of_a_text_that_is_cut_inside_a_letter_all_pieces_have_a_word():
    encoder = Translate(text=PairOptions(tokens="bytes", max_tokens=4)).fit_encoder([Pair("a \u3042", "b")])
    assert _words(torch.tensor(encoder.source_tokens("a \u3042")), encoder.source) == [[0], [2]]


def test_a_prefix_stands_where_there_is_nothing_to_translate(transformer):
    assert transformer.predict([Pair("", prefix="Ein")])[0].texts == ("Ein",)


def test_an_unknown_word_of_a_prefix_is_told(capsys):
    task = Translate(text=PairOptions(tokens="words", vocabulary=100, is_joint=False), model=KINDS["transformer"])
    encoder = task.fit_encoder(PAIRS)
    task.decode(encoder, Pair("one", line=3, prefix="Zebra"), [])
    assert "line 3: the training text has no words 'Zebra'" in capsys.readouterr().err


def test_a_record_may_have_spaces_and_a_prefix_has_to_be_text():
    (spaced, number) = read_lines(['{ "source": "a", "prefix": "b"}', '{"source": "a", "prefix": 0}'])
    assert (spaced.source, spaced.prefix) == ("a", "b")
    assert "prefix" in number.error


def test_long_texts_are_not_kept():
    encoder = Translate(text=TEXT).fit_encoder(PAIRS)
    before = encoder._remembered.cache_info().currsize
    assert len(encoder.source_tokens("green " * 5000)) == TEXT.max_tokens
    assert encoder._remembered.cache_info().currsize == before
    assert len(encoder._cut("green " * 200, True)) <= TEXT.max_tokens
    assert encoder.is_shortened(Pair("green " * 5000))


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        ({"train.tsv": "en\tde\nhouse\tHaus\n"}, {"dev.tsv": "de\ten\nBaum\ttree\n"}),
        ({"train.tmx": TMX.format("en", "house", "Haus")}, {"dev.tmx": TMX.format("de", "tree", "Baum")}),
    ],
    ids=lambda files: next(iter(files)),
)
def test_all_parts_are_read_the_way_of_train(tmp_path, train, dev):
    for name, text in {**train, **dev}.items():
        (tmp_path / name).write_text(text)
    task = Translate()
    files = task.files(str(tmp_path), {})
    task = task.settled(files)
    assert tuple(task.languages) == ("en", "de")
    assert [(pair.source, pair.target) for pair in task.read(files.dev)[0]] == [("tree", "Baum")]


def test_names_that_are_roles_do_not_become_languages(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"source": "house", "target": "Haus"}\n')
    assert Translate().settled(Translate().files(str(tmp_path), {})).languages == Languages()
