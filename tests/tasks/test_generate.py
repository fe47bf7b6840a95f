"""Language generation, from files to windows and from prompts to texts."""

import io
import json
import math
import random

import pytest
import torch

from regard.commands.look import look
from regard.commands.score import evaluate, predict
from regard.data.batching import Batches
from regard.data.corpus import passages_of
from regard.data.stream import Lines
from regard.errors import InputError
from regard.models.options import LanguageOptions, ScoringOptions, TextOptions, WritingOptions
from regard.tasks.folder import Run, load_run, save_start, save_weights
from regard.tasks.generate.prompt import Prompt, read_prompts
from regard.tasks.generate.running import RunningText, Speller
from regard.tasks.generate.streaming import Gate, stream
from regard.tasks.generate.task import Generate
from regard.tasks.prediction import predict_source
from regard.tasks.source import TextSource

TEXT = "To be, or not to be:\n\nthat is the question – naïve 漢字 😀.\n" * 6
KINDS = ["characters", "bytes", "words", "bpe", "unigram"]
SMALL = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_feedforward": 16}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))


def task_of(sampling=None, model=None, stride=0, **text):
    return Generate(
        text=TextOptions(**{"context": 8} | text),
        model=LanguageOptions(**SMALL | (model or {})),
        sampling=WritingOptions(**sampling or {}),
        scoring=ScoringOptions(stride),
    )


def corpus(tmp_path, text=TEXT, name="train.txt"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def run_of(tmp_path, text=TEXT, name="train.txt", **options):
    task = task_of(**options)
    blocks, _ = task.read(corpus(tmp_path, text, name))
    encoder = task.fit_encoder(blocks)
    torch.manual_seed(0)
    return Run(task, encoder, task.build(encoder).eval()), blocks


def documents(*texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def running(kind, text=TEXT):
    return RunningText.fit([text], TextOptions(tokens=kind, vocabulary=300))


@pytest.mark.parametrize("kind", KINDS)
def test_running_text_comes_back_as_it_was(kind):
    text = " ".join(TEXT.split(" ")) if kind != "words" else "\n".join(" ".join(line.split()) for line in TEXT.split("\n"))
    made = running(kind)
    assert made.decode(made.encode(text)) == text
    again = RunningText.load(json.loads(json.dumps(made.to_json())))
    assert again.encode(text) == made.encode(text)
    lines = text.splitlines(keepends=True)
    assert made.decode([token for line in lines for token in made.encode(line)]) == text


@pytest.mark.parametrize("kind", ["bytes", "bpe", "unigram"])
def test_what_is_no_whole_character_yet_is_held_back(kind):
    made = running(kind, "abc")
    tokens, speller = made.encode("a漢😀"), Speller(made)
    parts = [speller.add(token) for token in tokens]
    assert "".join(parts) == "a漢😀"
    assert set(parts) == {"", "a", "漢", "😀"}
    assert made.decode(tokens[:2]) == "a\ufffd"


def test_the_letters_of_byte_pairs_are_those_of_the_tokenizer():
    made = running("bpe", "abc")
    for byte in range(256):
        (token,) = [token for token in range(4, len(made)) if made.bytes_of(token) == bytes([byte])]
        if byte < 128:
            assert made.tokens.tokenizer.decode([token]) == chr(byte)


def test_words_of_a_line_stand_apart_and_lines_end():
    made = running("words", "the cat\nsat")
    assert made.encode("the\ncat\n") == [*made.encode("the"), 3, *made.encode("cat"), 3]
    assert made.decode(made.encode("sat the"), after="the cat") == " sat the"
    assert made.decode(made.encode("sat the"), after="the cat\n") == "sat the"
    assert made.decode(made.encode("dog")) == "\ufffd"
    assert made.pieces(made.encode("cat\ndog")) == ["cat", "\n", "\ufffd"]


def test_the_score_counts_each_token_once_whatever_the_batch(tmp_path):
    for stride in (0, 3):
        run, blocks = run_of(tmp_path, stride=stride)
        windows = run.task.cut(run.encoder, blocks, is_training=False)
        found = run.task.score(windows, run.predict(windows))
        assert found["num_tokens"] == len(TEXT)
        assert found["bits_per_character"] == pytest.approx(found["loss_nats"] / math.log(2))
        assert found["bits_per_byte"] == pytest.approx(found["bits_per_character"] * len(TEXT) / len(TEXT.encode()))
        one_by_one = [run.predict([window])[0] for window in windows]
        assert run.task.score(windows, one_by_one)["loss_nats"] == pytest.approx(found["loss_nats"], rel=1e-3)


def test_a_model_that_knows_nothing_is_as_perplexed_as_there_are_tokens(tmp_path):
    run, blocks = run_of(tmp_path)
    torch.nn.init.zeros_(run.model.embedding.weight)
    windows = run.task.cut(run.encoder, blocks, is_training=False)
    found = run.task.score(windows, run.predict(windows))
    assert found["perplexity"] == pytest.approx(len(run.encoder.running))


def test_words_count_the_ends_of_lines(tmp_path):
    run, blocks = run_of(tmp_path, "the cat sat\n\n on the mat \n", tokens="words")
    windows = run.task.cut(run.encoder, blocks, is_training=False)
    assert windows.text.num_tokens == 6 + 3
    assert run.task.score(windows, [1.0] * len(windows))["num_tokens"] == 9


def test_windows_for_training_stand_elsewhere_each_time_and_all_over_the_text(tmp_path):
    run, blocks = run_of(tmp_path, "".join(map(chr, range(100, 200))))
    windows = run.task.cut(run.encoder, blocks, is_training=True)
    torch.manual_seed(0)
    batches = [run.encoder.collate(windows[:])["tokens"] for _ in range(40)]
    assert {batch.shape for batch in batches} == {(13, 9)}
    assert len({tuple(batch.flatten().tolist()) for batch in batches}) == 40
    counts = torch.bincount(torch.cat([batch[:, 1:] for batch in batches]).flatten(), minlength=104)[4:]
    assert counts.min() > 10
    text = "".join(map(chr, range(100, 200)))
    assert all(run.encoder.running.decode(row) in text for row in batches[0].tolist())


def test_a_resumed_run_sees_the_windows_that_were_left(tmp_path):
    run, blocks = run_of(tmp_path)
    windows = run.task.cut(run.encoder, blocks, is_training=True)

    def batches():
        return Batches(windows, run.encoder.collate, 4, length=run.encoder.length, seed=3)

    torch.manual_seed(5)
    whole, seen = batches(), []
    for number in range(2):
        for batch in whole:
            seen.append(batch["tokens"])
            if number == 1 and len(seen) == len(whole) + 2:
                state, drawn = whole.state_dict(), torch.get_rng_state()
    again = batches()
    again.load_state_dict(state)
    torch.manual_seed(99)
    torch.set_rng_state(drawn)
    rest = [batch["tokens"] for batch in again]
    assert len(rest) == len(whole) - 2
    assert all(map(torch.equal, rest, seen[len(whole) + 2 :]))


def test_windows_tell_documents_apart(tmp_path):
    run, blocks = run_of(tmp_path, documents("abc", "defg", "h"), "train.jsonl", context=20)
    batch = run.encoder.collate(run.task.cut(run.encoder, blocks, is_training=False)[:])
    running = run.encoder.running
    end = 3
    expected = [end, *running.encode("abc"), end, *running.encode("defg"), end, *running.encode("h"), end]
    assert batch["tokens"].tolist() == [expected]
    numbers = batch["documents"][0].tolist()
    assert numbers == [1] * 4 + [2] * 5 + [3] * 2
    without, blocks = run_of(tmp_path, documents("abc", "defg", "h"), "train.jsonl", context=20, is_isolated=False)
    assert "documents" not in without.encoder.collate(without.task.cut(without.encoder, blocks, is_training=False)[:])


def test_the_loss_of_a_document_does_not_depend_on_those_before_it(tmp_path):
    run, blocks = run_of(tmp_path, documents("abcdef", "fedcba"), "train.jsonl", context=30)
    other, _ = run.task.read(corpus(tmp_path, documents("bbbbbb", "fedcba"), "other.jsonl"))
    one, two = (run.encoder.collate(run.task.cut(run.encoder, part, is_training=False)[:]) for part in (blocks, other))
    with torch.no_grad():
        states = [run.model(batch["tokens"][:, :-1], batch["documents"]) for batch in (one, two)]
    torch.testing.assert_close(states[0][:, 7:], states[1][:, 7:], rtol=0, atol=0)
    assert not torch.equal(states[0][:, :7], states[1][:, :7])


CASES = [{"stop": ("e",)}, {"stop": (" t", "\n")}, {"stop": ("zz",), "seed": 4}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", CASES, ids=str)
def test_what_is_streamed_is_what_is_predicted(tmp_path, kind, sampling):
    run, _ = run_of(tmp_path, tokens=kind, vocabulary=290, sampling={"max_tokens": 25, "temperature": 1.5} | sampling)
    prompts = [Prompt("to be"), Prompt("", 2), Prompt("that is\n", 3)]
    predicted = run.predict(prompts)
    streamed = [list(stream(run, prompt)) for prompt in prompts]
    assert ["".join(parts) for parts in streamed] == predicted
    assert all(part for parts in streamed for part in parts)
    assert not any(stop in text for stop in sampling.get("stop", ()) for text in predicted)
    assert predicted == run.predict(prompts)
    assert run.predict(prompts[::-1]) == predicted[::-1]


@pytest.fixture
def folder(tmp_path):
    run, _ = run_of(tmp_path, sampling={"max_tokens": 3, "temperature": 0.0})
    (tmp_path / "run").mkdir()
    save_start(tmp_path / "run", run, {"seed": 0})
    save_weights(tmp_path / "run", run.model)
    return tmp_path / "run"


def test_a_line_that_is_no_prompt_is_told_and_nothing_is_written_of_it(folder, capsys):
    given = folder / "input.jsonl"
    given.write_text('{"prompt": "to be"}\n{"x": 1}\n{"prompt": "not"}\n')
    result = predict([str(folder), "--input", str(given), "--stream"])
    said = capsys.readouterr()
    assert result == {"task": "generate", "num_predictions": 2, "num_left_out": 1}
    assert said.out.count("\n\n") == 2
    assert 'input.jsonl:2: a line must have a "prompt", which is the text to go on from. It is left out.' in said.err
    run = load_run(folder)
    assert len(run.task.explain(run.encoder, run.model, read_prompts(given.read_text().splitlines()))) == 2


@pytest.mark.parametrize("option", [["--n-best", "2"], ["--align"], ["--draw", "x"]], ids=str)
def test_what_is_streamed_is_the_text_alone(folder, option):
    with pytest.raises(InputError, match=f"--stream writes the text alone: leave out {option[0]}, or --stream"):
        predict([str(folder), "--input", "-", "--stream", *option])


def test_a_stop_ends_the_writing_itself(tmp_path):
    run, _ = run_of(tmp_path, sampling={"max_tokens": 10_000, "temperature": 2.0, "stop": ("be",)})
    assert len(list(run.model.write(run.encoder.prompt("to")))) < 10_000


@pytest.mark.parametrize("seed", range(10))
def test_a_gate_lets_through_all_before_the_first_stop(seed):
    draw = random.Random(seed)
    text, stops = "".join(draw.choices("ab", k=30)), ["".join(draw.choices("ab", k=draw.randrange(1, 6))) for _ in range(2)]
    gate, passed, place = Gate(stops), "", 0
    while place < len(text):
        size = draw.randrange(1, 4)
        passed += gate.add(text[place : place + size])
        place += size
    first = min((text.find(stop) for stop in stops if stop in text), default=len(text))
    assert passed + gate.rest() == text[:first]


def test_a_document_ends_where_the_model_says_so(tmp_path):
    run, _ = run_of(tmp_path, documents("ab", "ba"), "train.jsonl", sampling={"max_tokens": 500})
    assert run.model.language.end == 3
    assert run.encoder.prompt("ab") == [3, *run.encoder.running.encode("ab")]
    assert len(run.predict([Prompt("a")])[0]) < 500
    endless, _ = run_of(tmp_path, sampling={"max_tokens": 50})
    assert endless.model.language.end is None
    assert len(endless.predict([Prompt("To")])[0]) == 50


def test_prompts_are_lines_or_json_lines():
    assert read_prompts(["One", "", '{"a": 1', "Two "]) == [Prompt("One", 1), Prompt('{"a": 1', 3), Prompt("Two ", 4)]
    assert read_prompts(['{"prompt": "a\\nb"}', '{"text": "c"}']) == [Prompt("a\nb", 1), Prompt("c", 2)]
    assert read_prompts(['{"prompt": ""}']) == [Prompt("")]
    assert read_prompts([]) == []
    wrong, right = read_prompts(['{"promt": "a"}', '{"prompt": "b"}'])
    assert ('must have a "prompt"' in wrong.error, wrong.line, right.text) == (True, 1, "b")
    assert [one.text for one in read_prompts(["plain", '{"prompt": "b"}', "[1]"])] == ["plain", "b", "[1]"]
    for line, said in (
        ('{ "prompt": "a', "must be JSON"),
        ("{}", 'must have a "prompt"'),
        ('{"prompt": 3}', "must be text in quotes, got 3"),
    ):
        first, bad, last = read_prompts(['{"prompt": "a"}', line, '{"prompt": "b"}'])
        assert said in bad.error
        assert bad.line == 2
        assert (first.text, bad.text, last.text, last.place) == ("a", "", "b", 2)


def test_an_unknown_character_of_a_prompt_is_told_once(tmp_path, capsys):
    run, _ = run_of(tmp_path, sampling={"max_tokens": 2})
    run.predict([Prompt("€ and ж"), Prompt("€ and ж", 2)])
    said = capsys.readouterr().err
    assert said.startswith("warning: the training text has no characters '€', 'd', 'ж': each is read as unknown.")
    assert said.count("\n") == 1


def test_a_prompt_longer_than_the_context_is_told(tmp_path, capsys):
    run, _ = run_of(tmp_path, sampling={"max_tokens": 5, "temperature": 0.0})
    long, short = run.predict([Prompt("to be or not to be"), Prompt("ot to be", 2)])
    assert long == short
    assert capsys.readouterr().err == (
        "warning: a prompt has 18 tokens, more than the context of 8: it is read from its end.\n"
    )
    windowed, _ = run_of(tmp_path, sampling={"max_tokens": 5}, model={"window": 3})
    windowed.predict([Prompt("to be or not to be")])
    assert capsys.readouterr().err == ""


def test_a_text_shorter_than_the_context_can_be_learnt_and_is_told(tmp_path, capsys):
    run, blocks = run_of(tmp_path, "abc", context=50)
    windows = run.task.cut(run.encoder, blocks, is_training=True)
    assert "train.txt has 3 tokens, fewer than a context of 50" in capsys.readouterr().err
    batch = run.encoder.collate(windows[:])
    assert batch["tokens"].shape == (1, 4)
    run.model.loss(batch).backward()


def test_a_text_without_words_is_told(tmp_path):
    run, _ = run_of(tmp_path, "some words", tokens="words")
    blocks, _ = run.task.read(corpus(tmp_path, "   ", "dev.txt"))
    with pytest.raises(InputError, match=r"dev.txt: there is no word in it\."):
        run.task.cut(run.encoder, blocks, is_training=False)


def test_a_run_comes_back_from_what_was_kept(tmp_path):
    run, blocks = run_of(tmp_path, documents("ab", "ba"), "train.jsonl")
    again = run.task.load_encoder(json.loads(json.dumps(run.encoder.to_json())))
    assert again.prompt("ab") == run.encoder.prompt("ab")
    assert run.task.cut(again, blocks, is_training=False) == run.task.cut(run.encoder, blocks, is_training=False)


@pytest.mark.parametrize("model", [{}, {"window": 4}, {"name": "recurrent"}], ids=str)
def test_pictures_show_where_each_new_token_looked(tmp_path, model):
    run, blocks = run_of(tmp_path, model=model, sampling={"max_tokens": 3})
    windows = run.task.cut(run.encoder, blocks, is_training=False)
    shown = run.task.explain(run.encoder, run.model, run.task.worth_showing(windows))
    assert [len(picture.keys) for picture in shown] == [8] * 4
    assert "".join(shown[0].labels) == TEXT[:8]
    assert shown[0].keys[1:] == shown[0].labels[:-1]
    (layer,) = shown[0].layers
    assert layer.shape == (8, 8)
    (picture,) = run.task.explain(run.encoder, run.model, [Prompt("To be, or not")])
    assert len(picture.keys) == (15 if model else 8)
    assert picture.note.startswith("→ ")
    assert picture.note.startswith(f"→ {''.join(picture.labels)[-3:]}")
    assert ("The last 8 of " in picture.note) == (not model)


def test_a_single_token_has_nothing_to_look_at(tmp_path):
    run, _ = run_of(tmp_path, sampling={"max_tokens": 0})
    assert run.task.explain(run.encoder, run.model, [Prompt("T")]) == []


def test_ends_that_were_never_learnt_are_not_scored(tmp_path):
    run, _ = run_of(tmp_path)
    blocks, _ = run.task.read(corpus(tmp_path, documents("To be", "or not"), "dev.jsonl"))
    windows = run.task.cut(run.encoder, blocks, is_training=False)
    assert windows[0].text.tokens.tolist()[1:] == [*run.encoder.running.encode("To be"), *run.encoder.running.encode("or not")]


def test_an_empty_stop_is_refused():
    with pytest.raises(InputError, match="stop must be texts of a letter or more"):
        WritingOptions(stop=["\n", ""])


def test_a_folder_of_texts_is_scored_as_a_whole(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one")
    task = task_of()
    assert task.scored(str(tmp_path / "texts")) == tmp_path / "texts"
    (tmp_path / "texts" / "test.txt").write_text("two")
    assert task.scored(str(tmp_path / "texts")) == tmp_path / "texts" / "test.txt"


def test_a_file_is_counted(tmp_path):
    run, blocks = run_of(tmp_path)
    assert run.task.describe(blocks) == {
        "documents": 1,
        "lines": TEXT.count("\n"),
        "characters": len(TEXT),
        "bytes": len(TEXT.encode()),
    }
    assert "".join(passage.text for passage in passages_of(blocks)) == TEXT


def test_a_run_is_scored_with_another_stride(folder, capsys):
    text = corpus(folder, name="test.txt")
    cut, slid = (evaluate([str(folder), "--data", str(text), *more]) for more in ([], ["--scoring.stride", "2"]))
    assert cut["num_tokens"] == slid["num_tokens"]
    assert cut["loss_nats"] != slid["loss_nats"]
    with pytest.raises(InputError, match="stride must be at most the context of 8 tokens, got 9"):
        evaluate([str(folder), "--data", str(text), "--scoring.stride", "9"])


def test_what_would_change_nothing_cannot_be_chosen(folder):
    with pytest.raises(InputError, match=r"regard evaluate has no option --sampling\.temperature"):
        evaluate([str(folder), "--data", str(corpus(folder, name="test.txt")), "--sampling.temperature", "1"])
    with pytest.raises(InputError, match=r"regard predict has no option --scoring\.stride"):
        predict([str(folder), "--input", "to be", "--scoring.stride", "2"])


def test_each_prompt_is_answered_before_the_next_is_read(folder):
    run, read = load_run(folder), []

    class Typed(io.BytesIO):
        def readline(self, limit):
            line = super().readline(limit)
            read.append(line.decode().strip())
            return line

    source = TextSource(run.task, Lines(Typed(b"to be\nnot\nthat is\nso\n"), "standard input"))
    for number, (examples, records) in enumerate(predict_source(run, source)):
        assert [one.text for one in examples] == [record["prompt"] for record in records] == read[number:]
    assert read == ["to be", "not", "that is", "so", ""]


def test_a_page_shows_as_many_tokens_as_are_asked_for(folder, capsys):
    notes = []
    for count in (2, 7):
        page = folder / f"{count}.html"
        look([str(folder), "--input", "to", "--sampling.max_tokens", str(count), "--out", str(page)])
        run = load_run(folder, chosen={"sampling": WritingOptions(temperature=0.0, max_tokens=count)})
        notes.append(run.predict([Prompt("to")])[0])
        assert json.dumps(f"→ {notes[-1]}", ensure_ascii=False)[1:-1] in page.read_text()
    assert len(notes[1]) > len(notes[0])
