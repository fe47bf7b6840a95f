"""Running text: where its parts are, how it is read, what is kept of it on disk."""

import gzip
import json
import random

import numpy as np
import pytest

from regard.data.corpus import Passage, Windows, check_corpora, find_corpora, passages_of, read_corpus, tokenised
from regard.data.corpus import blocks as corpus_blocks
from regard.data.files import Files
from regard.data.findings import MOST_LISTED, num_findings
from regard.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))


def text_of(blocks):
    return "".join(passage.text for passage in passages_of(blocks))


def byte_tokens(passage):
    return [4 + byte for byte in passage.text.encode()] + [3] * passage.is_end


def kept(blocks, encode=byte_tokens, identity="bytes", size=260):
    return tokenised(blocks, encode, 3, identity, size)


def random_text(draw, num_lines):
    return "".join("".join(draw.choices("abc é漢😀\t", k=draw.randrange(40))) + "\n" for _ in range(num_lines))


@pytest.mark.parametrize("seed", range(20))
def test_no_character_of_a_text_is_lost_and_none_is_added(tmp_path, monkeypatch, seed):
    draw = random.Random(seed)
    monkeypatch.setattr(corpus_blocks, "BLOCK_CHARACTERS", draw.choice([1, 7, 50, 10_000]))
    text = random_text(draw, draw.randrange(1, 60)) + draw.choice(["", "the last line", "\n\n"])
    path = tmp_path / f"train{draw.choice(['.txt', '.txt.gz'])}"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    blocks, findings = read_corpus(path)
    assert not findings
    assert text_of(draw.sample(blocks, len(blocks))) == text
    assert sum(block.num_bytes for block in blocks) == len(text.encode())
    file = kept(blocks)
    assert bytes((file.tokens[1:] - 4).tolist()).decode() == text
    assert (file.num_tokens, file.num_characters) == (len(text.encode()), len(text))


@pytest.mark.parametrize("seed", range(20))
def test_a_text_of_one_line_is_read_in_parts(tmp_path, monkeypatch, seed):
    draw = random.Random(seed)
    monkeypatch.setattr(corpus_blocks, "BLOCK_CHARACTERS", 20)
    monkeypatch.setattr(corpus_blocks, "LONGEST_LINE", 16)
    text = "\ufeff" * (seed % 2) + "".join(draw.choices(draw.choice(["abc é漢😀\t", "漢😀", "a\ufeff"]), k=500))
    (tmp_path / "a.txt").write_bytes((text + draw.choice(["\r\n", "\n", ""])).encode())
    blocks, _ = read_corpus(tmp_path / "a.txt")
    assert text_of(blocks).rstrip("\n") == text.removeprefix("\ufeff")
    assert len(blocks) > 10
    assert max(block.num_bytes for block in blocks) <= 4 * 20 + 16


def test_a_long_line_is_cut_before_a_space(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_blocks, "BLOCK_CHARACTERS", 1)
    monkeypatch.setattr(corpus_blocks, "LONGEST_LINE", 16)
    (tmp_path / "a.txt").write_text("the wolf and the seven kids went home")
    read = [passage.text for passage in passages_of(read_corpus(tmp_path / "a.txt")[0])]
    assert read == ["the wolf and", " the seven kids", " went home"]


def test_some_blocks_are_read_without_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_blocks, "BLOCK_CHARACTERS", 4)
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\nthree\nfour\n")
    blocks, _ = read_corpus(path)
    assert len(blocks) == 4
    assert text_of([blocks[3], blocks[1]]) == "two\nfour\n"
    assert kept(blocks[:2]).folder != kept(blocks[2:]).folder


def test_windows_line_ends_are_read_as_others(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\r\nthree")
    assert text_of(read_corpus(path)[0]) == "one\ntwo\nthree"


def test_documents_are_json_lines_or_the_files_of_a_folder(tmp_path):
    texts = ["one\n", "two\nlines", "three"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n\n")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, text in zip(("a.txt", "b.md", "deep/c.txt"), texts, strict=True):
        (tmp_path / "in" / name).write_text(text)
    (tmp_path / "in" / ".hidden.txt").write_text("no")
    (tmp_path / "a.JSON").write_bytes((tmp_path / "a.jsonl").read_bytes())
    (tmp_path / "shards").mkdir()
    lines = (tmp_path / "a.jsonl").read_text().split("\n")
    (tmp_path / "shards" / "0.jsonl.gz").write_bytes(gzip.compress(lines[0].encode()))
    (tmp_path / "shards" / "1.ndjson").write_text("\n".join(lines[1:]))
    for path in (tmp_path / "a.jsonl", tmp_path / "a.JSON", tmp_path / "in", tmp_path / "shards"):
        blocks, findings = read_corpus(path)
        assert not findings
        assert list(passages_of(blocks)) == [Passage(text, True) for text in texts]
        file = kept(blocks)
        ends = [place for place, token in enumerate(file.tokens) if token == 3]
        assert file.borders.tolist() == ends
        assert (file.num_documents, file.num_tokens) == (3, sum(map(len, texts)) + 3)


def test_a_long_document_of_a_folder_ends_once(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_blocks, "BLOCK_CHARACTERS", 4)
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    assert [passage.is_end for passage in passages_of(read_corpus(tmp_path)[0])] == [False, False, True]


def test_tokens_are_made_once_until_the_file_or_the_encoder_changes(tmp_path):
    path, made = tmp_path / "a.txt", []

    def encode(passage):
        made.append(passage)
        return byte_tokens(passage)

    path.write_text("one")
    first = kept(read_corpus(path)[0], encode)
    assert kept(read_corpus(path)[0], encode) == first
    assert len(made) == 1
    assert kept(read_corpus(path)[0], encode, identity="other") != first
    path.write_text("two and three")
    assert kept(read_corpus(path)[0], encode).num_tokens == 13
    assert len(made) == 3


def test_what_is_not_read_of_a_folder_does_not_matter(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    (folder / ".#a.txt").symlink_to("somebody@somewhere.1")  # as editors lock a file
    first = kept(read_corpus(folder)[0], byte_tokens)
    (folder / "notes.doc").write_text("more")
    assert kept(read_corpus(folder)[0], byte_tokens) == first


def test_what_was_half_written_is_not_used(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")

    def fails(passage):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(read_corpus(path)[0], fails)
    assert list((tmp_path / "cache" / "tokens").iterdir()) == []
    assert kept(read_corpus(path)[0]).num_tokens == 3


def test_many_tokens_take_four_bytes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    file = kept(read_corpus(path)[0], lambda passage: [70_000, 5], size=70_001)
    assert file.tokens.dtype == np.uint32
    assert file.tokens.tolist() == [3, 70_000, 5]


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match=r"tokens of the text cannot be kept here: Not a directory\. Name another.*REGARD_CACHE"
    ):
        kept(read_corpus(tmp_path / "a.txt")[0])


@pytest.mark.parametrize(("num_tokens", "context"), [(1, 4), (4, 4), (5, 4), (8, 4), (11, 4), (3, 100)])
def test_each_token_is_in_one_window(tmp_path, num_tokens, context):
    path = tmp_path / "a.txt"
    path.write_text("x" * num_tokens)
    windows = Windows(kept(read_corpus(path)[0]), context)
    assert [place for window in windows for place in range(window.start, window.stop)] == list(range(num_tokens))
    assert windows[:2] == [windows[place] for place in range(min(2, len(windows)))]
    free = Windows(windows.text, context, is_free=True)
    assert {window.stop - window.start for window in free} == {min(num_tokens, context)}


def test_parts_are_files_or_folders(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_text("one")
    (tmp_path / "dev.txt").write_text("two")
    assert find_corpora(tmp_path, {}) == Files(tmp_path / "train", tmp_path / "dev.txt")
    assert find_corpora(tmp_path, {"test": str(tmp_path / "train")}).test == tmp_path / "train"
    assert find_corpora(tmp_path, {"train": str(tmp_path / "dev.txt")}).train == tmp_path / "dev.txt"
    assert find_corpora(None, {"train": str(tmp_path / "train")}) == Files(tmp_path / "train")
    assert find_corpora(tmp_path / "train", {}) == Files(tmp_path / "train")


def test_a_folder_and_a_file_of_one_part_are_told(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_text("one")
    (tmp_path / "train.txt").write_text("two")
    (tmp_path / "train.old").mkdir()
    with pytest.raises(InputError, match=r"one file or folder must be train, found train, train.txt. Name it with --train"):
        find_corpora(tmp_path, {})
    assert find_corpora(tmp_path, {"train": str(tmp_path / "train.txt")}).train == tmp_path / "train.txt"
    (tmp_path / "train.txt").unlink()
    assert find_corpora(tmp_path, {}) == Files(tmp_path / "train")


def test_a_folder_without_text_is_told(tmp_path):
    with pytest.raises(InputError, match="No train, dev or test file in"):
        find_corpora(tmp_path, {})
    with pytest.raises(InputError, match="--data must be a folder that exists"):
        find_corpora(tmp_path / "none", {})
    with pytest.raises(InputError, match=r"No data was given\."):
        find_corpora(None, {})


def test_files_of_a_folder_that_are_not_read_are_told(tmp_path):
    for name in ("a.txt", "b.csv", "c.docx"):
        (tmp_path / name).write_text("one")
    blocks, (finding,) = read_corpus(tmp_path)
    assert text_of(blocks) == "one"
    assert (finding.level, finding.file) == ("warning", tmp_path / "b.csv")
    assert finding.message.startswith("2 files of the folder are not read")


def test_what_cannot_be_read_is_told_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xff\n")
    with pytest.raises(InputError, match=r"a.txt:2: the text must be UTF-8, got byte 0xff"):
        read_corpus(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"a.txt:2: the text must be UTF-8"):
        read_corpus(tmp_path)
    path, lines = tmp_path / "a.jsonl", ("{", '{"words": 1}', "[]")
    path.write_text("\n".join(['{"text": "one"}', *lines, '{"text": "two"}']))
    blocks, findings = read_corpus(path)
    assert text_of(blocks) == "onetwo"
    assert [(one.file, one.line) for one in findings] == [(path, 2), (path, 3), (path, 4)]
    for finding, said in zip(findings, ("must be JSON", '"text" must be text in quotes, got null', "an object"), strict=True):
        assert said in finding.message


def test_of_very_many_bad_lines_a_thousand_are_held_and_all_are_counted(tmp_path):
    path, num_bad = tmp_path / "a.jsonl", 1_500
    path.write_text('{"text": "one"}\n' + "{\n" * num_bad)
    blocks, findings = read_corpus(path)
    assert text_of(blocks) == "one"
    assert num_findings(findings) == num_bad
    listed = [one["line"] for finding in findings for one in finding.listed()]
    assert listed == [*range(2, MOST_LISTED + 2), None]
    assert "500 more" in [one for finding in findings for one in finding.listed()][-1]["message"]


@pytest.mark.parametrize("text", ["", '{"text": ""}\n'])
def test_an_empty_corpus_is_an_error(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    blocks, findings = read_corpus(path)
    assert not blocks
    assert [(one.level, one.message) for one in findings] == [("error", "there is no text in it.")]


def findings_of(tmp_path, train, dev, **kinds):
    for name, text in (("train", train), ("dev", dev)):
        (tmp_path / f"{name}.txt").write_text(text)
    files = find_corpora(tmp_path, {})
    parts = {split: read_corpus(path)[0] for split, path in files.items()}
    return [one.message for one in check_corpora(files, parts, **{"is_words": False, "is_characters": False} | kinds)]


def test_dev_text_that_stands_in_train_is_told(tmp_path):
    lines = [f"this is line number {number} and it is a long one\n" for number in range(20)]
    assert findings_of(tmp_path, "".join(lines[:10]), "".join(lines[10:])) == []
    (message,) = findings_of(tmp_path, "".join(lines[:10]), "".join(lines[8:]))
    assert message.startswith("2 of its 12 long lines (17 %) stand in train.txt too; its score promises too much.")
    assert findings_of(tmp_path, "ROMEO:\n" * 9, "ROMEO:\n" * 9) == []


def test_characters_and_words_that_train_lacks_are_counted(tmp_path):
    (message,) = findings_of(tmp_path, "ab", "a\nézézé", is_characters=True)
    assert message.startswith("2 characters in it missing from the training file, 5 times together: 'é', 'z'.")
    (message,) = findings_of(tmp_path, "a b", "a c", is_words=True)
    assert message.startswith("1 word in it missing")
    assert findings_of(tmp_path, "a b", "a c") == []
