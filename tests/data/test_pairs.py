"""Sentence pairs in each format that people have, which way round they are, and each way these can be wrong."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from regard.data.pairs import Languages, Pair, find_pairs, read_pairs
from regard.errors import InputError

FOUND_OUT, EN_DE = Languages(), Languages("en", "de")
GIVEN = [("Go.", "Geh."), ("I see.", "Ich verstehe.")]
TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"><note>about it</note></header><body>
<tu><tuv xml:lang="en-US"><seg>Go.</seg></tuv><tuv xml:lang="de"><seg>Geh.</seg></tuv></tu>
<tu><tuv lang="DE"><prop>x</prop><seg>Ich verstehe.</seg></tuv><tuv lang="EN"><seg>I see.</seg></tuv></tu>
</body></tmx>"""
SAME = {
    "a.tsv": "Go.\tGeh.\nI see.\tIch verstehe.\n",
    "b.tab": "Go.\tGeh.\tCC-BY 2.0 (France)\n\nI see.\tIch verstehe.\tCC-BY 2.0\n",
    "c.txt": "source\ttarget\nGo.\tGeh.\nI see.\tIch verstehe.\n",
    "d.tsv": "id\ttgt\tsrc\n1\tGeh.\tGo.\n2\tIch verstehe.\tI see.\n",
    "e.tsv": "de\ten\nGeh.\tGo.\nIch verstehe.\tI see.\n",
    "f.jsonl": '{"source": "Go.", "target": "Geh."}\n\n{"target": "Ich verstehe.", "source": "I see."}\n',
    "g.json": '{"tgt": "Geh.", "src": "Go."}\n{"src": "I see.", "tgt": "Ich verstehe."}\n',
    "h.ndjson": '{"id": "1", "url": "x", "de": "Geh.", "en": "Go."}\n{"en": "I see.", "de": "Ich verstehe."}\n',
    "i.jsonl": "\n".join(json.dumps({"translation": {"de": target, "en": source}}) for source, target in GIVEN),
    "j.tmx": TMX,
}


def written(path: Path, text: str | bytes) -> Path:
    """A file, packed where its name says so."""
    data = text.encode() if isinstance(text, str) else text
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside", data)
    else:
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def texts(pairs: list[Pair]) -> list[tuple[str, str | None]]:
    return [(pair.source, pair.target) for pair in pairs]


def errors(path: Path, languages: Languages = EN_DE) -> list[str]:
    """What is said of a file, without its folder."""
    return [str(finding).replace(f"{path.parent}{os.sep}", "") for finding in read_pairs(path, languages)[1]]


@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
@pytest.mark.parametrize("name", SAME)
def test_every_format_says_the_same(name, packed, tmp_path):
    pairs, findings = read_pairs(written(tmp_path / f"{name}{packed}", SAME[name]), EN_DE)
    assert texts(pairs) == GIVEN
    assert not findings


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("train.en", "train.de"),
        ("train.en.gz", "train.de.zip"),
        ("train.en", "train.de.gz"),
        ("train.en.txt", "train.de.txt"),
        ("train.pt_BR", "train.zh-Hans"),
        ("train.src", "train.tgt"),
        ("train.source", "train.target"),
        ("test_2016_flickr.en", "test_2016_flickr.de"),
    ],
)
def test_parallel_files_are_read_line_by_line(source, target, tmp_path):
    written(tmp_path / target, "Geh.\r\nIch\u2028verstehe.")
    pairs, findings = read_pairs(written(tmp_path / source, "Go.\nI see.\x85\n"), FOUND_OUT)
    assert pairs == [Pair("Go.", "Geh.", 1), Pair("I see.\x85", "Ich\u2028verstehe.", 2)]
    assert not findings


def test_languages_that_look_like_none_can_be_asked_for(tmp_path):
    written(tmp_path / "train.german", "Geh.\n")
    written(tmp_path / "train.english", "Go.\n")
    languages = Languages("english", "german")
    files = find_pairs(tmp_path, {}, languages)
    assert texts(read_pairs(files.train, languages)[0]) == GIVEN[:1]
    record = written(tmp_path / "a.jsonl", '{"german": "Geh.", "english": "Go.", "licence": "CC-BY"}')
    assert texts(read_pairs(record, languages)[0]) == GIVEN[:1]
    with pytest.raises(InputError, match=r"the name must end in \.tsv, .*, or in a language such as \.en\."):
        read_pairs(files.train, FOUND_OUT)


def test_pairs_know_their_lines(tmp_path):
    lines = {name: [pair.line for pair in read_pairs(written(tmp_path / name, text), EN_DE)[0]] for name, text in SAME.items()}
    assert lines["a.tsv"] == [1, 2]
    assert lines["b.tab"] == lines["f.jsonl"] == [1, 3]
    assert lines["c.txt"] == [2, 3]
    assert lines["j.tmx"] == [4, 5]


def test_the_other_way_round(tmp_path):
    for name in ("e.tsv", "h.ndjson", "i.jsonl", "j.tmx"):
        pairs, _ = read_pairs(written(tmp_path / name, SAME[name]), Languages("de", "en"))
        assert texts(pairs) == [(target, source) for source, target in GIVEN]


@pytest.mark.parametrize(
    ("folder", "turned"), [("x_en_de", False), ("x.de-en", True), ("wmt19--de-en", True), ("EN-DE", False)]
)
def test_a_folder_is_named_by_its_languages(folder, turned, tmp_path, monkeypatch):
    for name in ("train.en", "train.de", "dev.en.gz", "dev.de.gz"):
        written(tmp_path / folder / name, "x")
    written(tmp_path / folder / "test.jsonl", SAME["i.jsonl"])
    written(tmp_path / folder / "ATTRIBUTION.txt", "")
    files = find_pairs(tmp_path / folder, {}, FOUND_OUT)
    code = "de" if turned else "en"
    assert [path.name for _, path in files.items()] == [f"train.{code}", f"dev.{code}.gz", "test.jsonl"]
    assert texts(read_pairs(files.test, FOUND_OUT)[0])[0] == (GIVEN[0][::-1] if turned else GIVEN[0])
    monkeypatch.chdir(tmp_path / folder)
    assert find_pairs(".", {}, FOUND_OUT).train == Path(f"train.{code}")


def test_languages_choose_among_files_before_the_folder_does(tmp_path):
    folder = tmp_path / "x_en_de"
    for code in ("en", "de", "fr"):
        written(folder / f"train.{code}", f"in {code}\n")
    for languages, expected in {
        FOUND_OUT: ("in en", "in de"),
        Languages("de", "fr"): ("in de", "in fr"),
        Languages("fr", "en"): ("in fr", "in en"),
        Languages("", "de"): ("in en", "in de"),
    }.items():
        files = find_pairs(folder, {}, languages)
        assert texts(read_pairs(files.train, languages)[0]) == [expected]


def test_a_language_is_itself_before_one_of_its_regions(tmp_path):
    for code in ("pt_BR", "pt", "en"):
        written(tmp_path / f"train.{code}", f"in {code}\n")
    for languages, expected in ((Languages("en", "pt"), "in pt"), (Languages("en", "pt-br"), "in pt_BR")):
        assert texts(read_pairs(tmp_path / "train.en", languages)[0]) == [("in en", expected)]
    assert texts(read_pairs(tmp_path / "train.pt_BR", Languages("pt_BR", "pt"))[0]) == [("in pt_BR", "in pt")]


def test_only_files_of_the_same_name_are_parallel(tmp_path):
    for name in ("train.en", "train.de", "train.tok.fr", "training.cs"):
        written(tmp_path / name, "x\n")
    assert len(read_pairs(tmp_path / "train.en", FOUND_OUT)[0]) == 1


def test_files_named_singly_stand_for_those_of_the_folder(tmp_path):
    for name in ("x_en_de/train.en", "x_en_de/train.de", "new.de", "new.en"):
        written(tmp_path / name, "x\n")
    files = find_pairs(tmp_path / "x_en_de", {"dev": str(tmp_path / "new.en"), "train": None}, FOUND_OUT)
    assert [path.name for _, path in files.items()] == ["train.en", "new.en"]
    assert find_pairs(None, {"test": str(tmp_path / "new.de")}, FOUND_OUT).test == tmp_path / "new.de"


def test_the_source_of_a_translation_memory_is_what_its_header_says(tmp_path):
    assert texts(read_pairs(written(tmp_path / "a.tmx", TMX), FOUND_OUT)[0]) == GIVEN
    turned = written(tmp_path / "a.tmx", TMX.replace('srclang="en"', 'srclang="de"'))
    assert texts(read_pairs(turned, FOUND_OUT)[0])[0] == GIVEN[0][::-1]


def test_a_translation_memory_may_be_utf16(tmp_path):
    path = written(tmp_path / "a.tmx.gz", TMX.replace("UTF-8", "UTF-16").replace("Geh.", "Géh.").encode("utf-16"))
    assert texts(read_pairs(path, EN_DE)[0]) == [("Go.", "Géh."), GIVEN[1]]


def test_regions_are_told_apart_where_the_languages_are_the_same(tmp_path):
    text = TMX.replace('"en-US"', '"pt-PT"').replace('xml:lang="de"', 'xml:lang="pt-BR"').replace('"en"', '"pt-PT"')
    pairs, (finding,) = read_pairs(written(tmp_path / "a.tmx", text), FOUND_OUT)
    assert texts(pairs) == GIVEN[:1]
    assert finding.message == "1 unit without pt-PT or pt-BR, first line 5: left out."


def test_marked_text_is_text_and_mark_up_is_none(tmp_path):
    segment = (
        '<bpt i="1">&lt;b&gt;</bpt>Go <hi>a<hi>wa</hi>y</hi><ept i="1">&lt;/b<sub>x</sub>&gt;</ept> &amp;<ph/> run.<it>}</it>'
    )
    pairs, _ = read_pairs(written(tmp_path / "a.tmx", TMX.replace(">Go.<", f">{segment}<")), EN_DE)
    assert texts(pairs) == [("Go away & run.", "Geh."), GIVEN[1]]


def test_a_translation_memory_is_not_held_at_once(tmp_path):
    import tracemalloc

    other = '<tuv xml:lang="fr"><seg>{}</seg></tuv>'.format("x" * 1000)
    unit = f'<tu><tuv xml:lang="en"><seg>Go.</seg></tuv><tuv xml:lang="de"><seg>Geh.</seg></tuv>{other}</tu>'
    path = written(tmp_path / "a.tmx.gz", f"<tmx><body>{unit * 10_000}</body></tmx>")
    tracemalloc.start()
    assert len(read_pairs(path, EN_DE)[0]) == 10_000
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


BOMB = '<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
PLAIN = '<!DOCTYPE tmx SYSTEM "tmx14.dtd">'
REFUSED = [
    ("a.tmx", TMX.replace(PLAIN, BOMB).replace("Go.", "&b;"), r"a\.tmx:2: the DOCTYPE must declare nothing itself"),
    ("a.tmx", TMX.replace("Go.", "&nbsp;"), r"a\.tmx:4: no entity but &lt; .* is known, got &nbsp;"),
    ("a.tmx", TMX.replace(PLAIN, "").replace("Go.", "&nbsp;"), r"a\.tmx:4: this must be XML: undefined entity at column"),
    ("a.tmx", TMX.replace("</seg>", "", 1), r"a\.tmx:4: this must be XML: mismatched tag at column 37\."),
    ("a.tmx", TMX[:300], r"a\.tmx:5: this must be XML: unclosed token"),
    ("a.tmx", "", r"a\.tmx:1: this must be XML: no element found"),
    ("a.tmx", TMX.replace("UTF-8", "big5"), r"a\.tmx:1: the encoding must be UTF-8 or UTF-16: multi-byte encodings"),
    ("a.tmx", TMX.replace("UTF-8", "none"), r"a\.tmx:1: the encoding must be UTF-8 or UTF-16: unknown encoding: none\."),
    ("a.tmx", TMX.encode("utf-8").replace(b"Go.", b"G\xff"), r"a\.tmx:4: this must be XML: not well-formed \(invalid token\)"),
    ("a.tmx.gz", b"not packed", r"a\.tmx\.gz: the file is damaged or not \.gz"),
    ("a.tsv", b"Go.\tGeh.\nG\xff\tGeh.\n", r"a\.tsv:2: the text must be UTF-8, got byte 0xff"),
    ("a.csv", "Go.,Geh.", r"a\.csv: the file of the other language .* both languages must end in \.tsv, \.jsonl or \.tmx"),
    ("a.parquet", "x", r"a\.parquet: the name must end in \.tsv, \.tab, .*\.tmx, or in a language such as \.en"),
    ("a.tsv", "id\ten\tde\n1\tGo.\tGeh.\n", r"a\.tsv: source and target .* found de, en, id\. Choose: --languages"),
    ("a.jsonl", SAME["i.jsonl"], r"a\.jsonl: .* found de, en\. Choose: --languages\.source de --languages\.target en, or"),
    ("a.tmx", TMX.replace('srclang="en"', 'srclang="*all*"'), r"a\.tmx: source and target must be told apart, found de, en-US"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError, match=message):
        read_pairs(path, FOUND_OUT)


def test_a_translation_memory_opens_no_other_file(tmp_path):
    written(tmp_path / "tmx14.dtd", '<!ENTITY nbsp "secret">')
    with pytest.raises(InputError, match="got &nbsp;"):
        read_pairs(written(tmp_path / "a.tmx", TMX.replace("Go.", "&nbsp;")), EN_DE)
    assert texts(read_pairs(written(tmp_path / "a.tmx", TMX), EN_DE)[0]) == GIVEN


WRONG = [
    ("a.tsv", "Go. Geh.\nGo.\tGeh.", "error: a.tsv:1: a row must be source, tab, target; got 1 column by tab."),
    ("a.tsv", "x\tde\ten\nGo.\tGeh.", "error: a.tsv:2: a row must be 3 columns, as the header says; got 2 columns by tab."),
    ("a.tsv", "source\ttarget\n\n", "error: a.tsv: the file holds no pair of texts."),
    ("a.jsonl", "", "error: a.jsonl: the file holds no pair of texts."),
    ("a.jsonl", '{"source": "Go."}', 'error: a.jsonl:1: a record must have "source" and "target", "src" and "tgt", or codes'),
    ("a.jsonl", '{"en": "a", "de": "b"}\n{"en": "a", "de": null}', "error: a.jsonl:2: de must be text in quotes, got null"),
    ("a.jsonl", '["Go.", "Geh."]', 'error: a.jsonl:1: a line must be an object in braces, got ["Go.", "Geh."].'),
    ("a.jsonl", '{"en": "Go.", "de": "Geh."', "error: a.jsonl:1: this must be JSON: Expecting ',' delimiter at column 27."),
    ("a.jsonl", '{"en": "Go.", "de": "Geh."} x', "error: a.jsonl:1: a line must hold one JSON object, got more after it at"),
    ("a.jsonl", '{"en": "\\ud800", "de": "Geh."}', "error: a.jsonl:1: the text must be Unicode, got half of a pair"),
    ("a.tmx", TMX.replace('"de"', '"fr"').replace('"DE"', '"fr"'), "error: a.tmx: a tu must hold en and de; found EN, en-US"),
    ("a.tmx", "<tmx/>", "error: a.tmx: a tu must hold en and de; found no language, and no such tu."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), WRONG)
def test_what_is_wrong_is_said(name, text, message, tmp_path):
    found = errors(written(tmp_path / name, text))
    assert len(found) == 1
    assert found[0].startswith(message)
    assert len(found[0]) < 400


def test_one_wrong_line_does_not_hide_the_others(tmp_path):
    pairs, findings = read_pairs(written(tmp_path / "a.jsonl", f"{SAME['f.jsonl']}x\n{SAME['f.jsonl']}"), EN_DE)
    assert texts(pairs) == GIVEN * 2
    assert [finding.line for finding in findings] == [4]


def test_of_many_errors_the_first_are_told(tmp_path):
    found = errors(written(tmp_path / "a.txt", "no tab\n" * 100))
    assert len(found) == 20
    assert found[-1].endswith("And 80 more like this.")


@pytest.mark.parametrize("name", ["train.de", "train.de.gz"])
def test_files_of_unequal_length_are_one_error_with_both_counts(name, tmp_path):
    written(tmp_path / name, "x\n" * 1002)
    path = written(tmp_path / "train.en", "x\n" * 1000)
    assert read_pairs(path, EN_DE)[0] == []
    (error,) = errors(path)
    assert error.startswith(
        "error: train.en:1001: parallel files must have as many lines as one another, "
        f"got 1,000 in train.en and 1,002 in {name}."
    )


def test_bytes_that_are_no_text_are_named_with_the_side_they_are_in(tmp_path):
    written(tmp_path / "train.de", b"fine\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"train\.de:2: the text must be UTF-8, got byte 0xe9"):
        read_pairs(written(tmp_path / "train.en", "fine\nfine\n"), EN_DE)


def test_a_side_without_its_partner_is_told(tmp_path):
    path = written(tmp_path / "train.en", "x")
    with pytest.raises(
        InputError, match=r"train\.en: the file of the other language must stand beside this one, such as train\.de"
    ):
        read_pairs(path, FOUND_OUT)
    written(tmp_path / "train.fr", "x")
    with pytest.raises(InputError, match=r"such as train\.de\. There is train\.fr\."):
        read_pairs(path, EN_DE)
    written(tmp_path / "train.de", "x")
    with pytest.raises(InputError, match=r"found de, en, fr\. Choose: --languages\.source en --languages\.target fr, or other"):
        read_pairs(path, FOUND_OUT)


def test_the_target_named_as_the_source_is_told(tmp_path):
    for name in ("a.en", "a.de", "b.src", "b.tgt"):
        written(tmp_path / name, "x")
    with pytest.raises(InputError, match=r"a\.de: the source's file must be named, got that of de, the target\."):
        read_pairs(tmp_path / "a.de", EN_DE)
    with pytest.raises(InputError, match=r"b\.tgt: the source's file must be named, that of src\."):
        read_pairs(tmp_path / "b.tgt", FOUND_OUT)


def test_a_folder_that_does_not_say_which_way_is_told(tmp_path):
    for folder in ("x", "x_ende", "en-de-en"):
        for name in ("train.en", "train.de"):
            written(tmp_path / folder / name, "x")
        message = r"found de, en\. Choose: --languages\.source de --languages\.target en, or other codes"
        with pytest.raises(InputError, match=rf"{folder}: source and target must be told apart, {message}"):
            find_pairs(tmp_path / folder, {}, FOUND_OUT)
    for languages in (Languages("cs", "de"), Languages("de", "de")):
        with pytest.raises(InputError, match=f"must be two of de, en, which are found; asked for {languages.source} and de"):
            find_pairs(tmp_path / "x", {}, languages)


@pytest.mark.parametrize("extra", ["train.tsv", "training.en", "train.jsonl.gz"])
def test_more_files_than_one_pair_are_told(extra, tmp_path):
    for name in ("train.en", "train.de", extra, "training.de"):
        written(tmp_path / "x_en_de" / name, "x")
    with pytest.raises(InputError, match=r"several files could be train: .*Name one with --train FILE"):
        find_pairs(tmp_path / "x_en_de", {}, FOUND_OUT)


def test_no_folder_and_no_files_are_told(tmp_path):
    with pytest.raises(InputError, match="--data must be a folder that exists"):
        find_pairs(tmp_path / "nowhere", {}, FOUND_OUT)
    with pytest.raises(InputError, match="No train, dev or test file in"):
        find_pairs(tmp_path, {}, FOUND_OUT)
    with pytest.raises(InputError, match="No data was given"):
        find_pairs(None, {}, FOUND_OUT)
    for name in ("nowhere.en", "nowhere.tsv", "nowhere/a.en"):
        with pytest.raises(InputError, match="there is no such file"):
            read_pairs(tmp_path / name, EN_DE)
