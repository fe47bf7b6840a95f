"""Columns as people have them, and each way they can be wrong."""

import gzip
import zipfile
from pathlib import Path

import pytest

from regard.data.conll import looks_like_conll, parse_conll, read_conll, scheme_of
from regard.data.files import find_files, read_lines
from regard.data.findings import raise_first_error
from regard.data.spans import Span, may_follow, spans_of, to_bio, to_bioes
from regard.errors import InputError

WANTED = [Span("PER", 0, 2), Span("PER", 3, 4), Span("LOC", 4, 5)]
SCHEMES = {
    "BIO": "B-PER I-PER O B-PER B-LOC",
    "IOB1": "I-PER I-PER O I-PER I-LOC",
    "BIOES": "B-PER E-PER O S-PER S-LOC",
    "BILOU": "B-PER L-PER O U-PER U-LOC",
}


@pytest.mark.parametrize("tags", SCHEMES.values(), ids=SCHEMES)
def test_every_scheme_marks_the_same_spans(tags):
    assert spans_of(tags.split()) == WANTED


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O I-A I-A O", [Span("A", 1, 3)]),
        ("B-A I-B O", [Span("A", 0, 1), Span("B", 1, 2)]),
        ("B-A B-A", [Span("A", 0, 1), Span("A", 1, 2)]),
        ("I-A B-A I-A", [Span("A", 0, 1), Span("A", 1, 3)]),
        ("S-A I-A", [Span("A", 0, 1), Span("A", 1, 2)]),
        ("B-A E-A E-A", [Span("A", 0, 2), Span("A", 2, 3)]),
        ("B-a-b I-a-b", [Span("a-b", 0, 2)]),
        ("", []),
        ("O", []),
    ],
)
def test_broken_sequences_are_read_as_conlleval_reads_them(tags, spans):
    assert spans_of(tags.split()) == spans


def test_spans_become_tags_again():
    assert " ".join(to_bio(WANTED, 5)) == SCHEMES["BIO"]
    assert " ".join(to_bioes(WANTED, 5)) == SCHEMES["BIOES"]
    assert to_bioes([Span("A", 0, 3)], 4) == ["B-A", "I-A", "E-A", "O"]


def test_which_tag_may_follow_which():
    tags = ["", "O", "B-A", "I-A", "E-A", "S-A"]
    table = {before: [after for after in tags if may_follow(before, after)] for before in tags}
    free, inside = ["", "O", "B-A", "S-A"], ["I-A", "E-A"]
    assert table == {"": free, "O": free, "B-A": inside, "I-A": inside, "E-A": free, "S-A": free}
    assert not may_follow("B-A", "I-B")


@pytest.mark.parametrize(("scheme", "tags"), [(("BIOES" if s == "BILOU" else s), t) for s, t in SCHEMES.items()], ids=SCHEMES)
def test_schemes_are_told_apart(scheme, tags):
    assert scheme_of([tags.split()]) == scheme


def write(folder: Path, text: str, name: str = "x.conll") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf8")
    return path


@pytest.mark.parametrize("separator", ["\t", " ", "   "])
@pytest.mark.parametrize("middle", [[], ["NNP"], ["NNP", "B-NP"]])
def test_two_to_four_columns_by_tab_or_space(tmp_path, separator, middle):
    rows = [separator.join([token, *middle, tag]) for token, tag in zip("abcde", SCHEMES["BIO"].split(), strict=True)]
    (sentence,), findings = read_conll(write(tmp_path, "\n".join(rows)))
    assert (sentence.tokens, sentence.spans, sentence.line) == (tuple("abcde"), WANTED, 1)
    assert not findings


def test_blank_lines_documents_comments_and_line_ends(tmp_path):
    text = "-DOCSTART-\tO\n\n# sent_id = 1\na\tO\r\n\r\n \n\nb\tB-X\n#\tO\n"
    sentences, findings = read_conll(write(tmp_path, text))
    assert [sentence.tokens for sentence in sentences] == [("a",), ("b", "#")]
    assert [sentence.line for sentence in sentences] == [4, 8]
    assert not findings


def test_tokens_may_hold_spaces_between_tabs(tmp_path):
    (sentence,), _ = read_conll(write(tmp_path, "New York\tB-LOC\nis\tO\n"))
    assert sentence.tokens == ("New York", "is")


def test_only_line_feeds_end_a_line(tmp_path):
    (sentence,), _ = read_conll(write(tmp_path, "a\u2028b\tO\nc\x85d\tO\n"))
    assert sentence.tokens == ("a\u2028b", "c\x85d")


def test_compressed_files_are_read(tmp_path):
    with gzip.open(tmp_path / "x.conll.gz", "wt", encoding="utf8") as stream:
        stream.write("é\tO\n")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("inside.conll", "é\tO\n")
    for name in ("x.conll.gz", "x.zip"):
        assert read_conll(tmp_path / name)[0][0].tokens == ("é",)


def first_error(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        raise_first_error(read_conll(path)[1])
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tO\nb\tX\tO\n", "x.conll:2: this row must have 2 columns like the first, got 3 by tab: 'b | X | O'."),
        ("a O\nb\n", "x.conll:2: this row must have 2 columns like the first, got 1 by space: 'b'."),
        ("word\nword\n", "x.conll:1: rows must have 2 to 4 columns (token … tag), got 1 by space: 'word'."),
        ("a b c d O\n", "x.conll:1: rows must have 2 to 4 columns (token … tag), got 5 by space"),
        ("a\tO\nb\tPER\n", "x.conll:2: the tag 'PER' is of no known scheme. Known: O, and B-, I-"),
        ("a\tO\nb\tB_PER\n", "x.conll:2: the tag 'B_PER' is of no known scheme."),
        ("a\tO\nb\tB-\n", "x.conll:2: the tag 'B-' is of no known scheme."),
        ("a\tO\n\tO\n", "x.conll:2: the token is empty, its tag is 'O'."),
        ("", "x.conll: the file holds no sentence."),
        ("\n\n", "x.conll: the file holds no sentence."),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, text, message):
    assert message in first_error(write(tmp_path, text))


def test_the_first_error_says_how_many_more_there_are(tmp_path):
    assert "(2 more: regard check lists them all.)" in first_error(write(tmp_path, "a\tO\nb\tX\nc\tY\nd\tZ\n"))


def test_a_wrong_encoding_is_said_with_its_line(tmp_path):
    path = tmp_path / "x.conll"
    path.write_bytes(b"a\tO\ncaf\xe9\tO\n")
    with pytest.raises(InputError, match=r"x.conll:2: the text must be UTF-8, got byte 0xe9\. Convert the file: iconv"):
        read_lines(path)


@pytest.mark.parametrize("name", ["x.gz", "x.zip"])
def test_a_damaged_archive_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(b"not an archive")
    with pytest.raises(InputError, match=f"{name}: the file is damaged or not"):
        read_lines(tmp_path / name)


def test_repairs_are_told_but_not_in_files_that_keep_to_iob1(tmp_path):
    _, findings = read_conll(write(tmp_path, "a\tB-X\nb\tO\nc\tI-X\nd\tI-Y\n"))
    assert [(finding.level, finding.line) for finding in findings] == [("warning", 3), ("warning", 4)]
    assert "I-X continues nothing (before it: O); read as a start, as conlleval does." in findings[0].message
    assert not read_conll(write(tmp_path, "a\tO\nc\tI-X\nd\tI-X\nd\tB-X\n"))[1]
    assert len(read_conll(write(tmp_path, "a\tS-X\nc\tE-X\n"))[1]) == 1


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (SCHEMES["BIO"], []),
        (SCHEMES["IOB1"], []),
        (SCHEMES["BIOES"], []),
        (SCHEMES["BILOU"], []),
        ("S-X B-X O", [(2, "B-X is never ended (after it: O)")]),
        ("B-X I-X S-X", [(2, "I-X is never ended (after it: S-X)")]),
        ("U-X B-X B-X L-X", [(2, "B-X is never ended (after it: B-X)")]),
        ("S-X B-X I-X", [(3, "I-X is never ended (after it: the sentence's end)")]),
        ("B-X E-Y", [(2, "E-Y continues nothing (before it: B-X)")]),
    ],
)
def test_an_entity_without_its_last_tag_is_told_where_the_scheme_has_one(tmp_path, tags, told):
    (sentence,), findings = read_conll(write(tmp_path, "\n".join(f"w\t{tag}" for tag in tags.split())))
    assert [(one.level, one.line, one.message.split(";")[0]) for one in findings] == [("warning", *one) for one in told]
    assert sentence.spans == spans_of(tags.split())


def test_sentences_in_bio_among_others_in_bioes_are_told(tmp_path):
    _, findings = read_conll(write(tmp_path, "a\tS-X\n\nb\tB-X\nc\tO\n"))
    assert [(one.line, one.message) for one in findings] == [
        (3, "B-X is never ended (after it: O); read as its end. A file must keep to one scheme.")
    ]


def test_the_seven_tags_of_the_danish_data_are_told(ner_data):
    found = {split: read_conll(ner_data / "uner_da_ddt" / f"{split}.conll")[1] for split in ("train", "dev", "test")}
    assert {split: len(findings) for split, findings in found.items()} == {"train": 6, "dev": 0, "test": 1}


@pytest.mark.parametrize(
    ("name", "split", "counts"),
    [
        ("wnut17_en", "train", (3394, 62730, 1975)),
        ("wnut17_en", "test", (1287, 23394, 1079)),
        ("btc_en", "dev", (1000, 15023, 1730)),
        ("btc_en", "test", (2001, 35425, 4376)),
        ("uner_da_ddt", "train", (4383, 80378, 3022 + 6)),  # its authors count B-; six start with I-
    ],
)
def test_real_files_hold_what_their_authors_counted(ner_data, name, split, counts):
    sentences, _ = read_conll(ner_data / name / f"{split}.conll")
    spans = sum(len(sentence.spans) for sentence in sentences)
    assert (len(sentences), sum(len(sentence.tokens) for sentence in sentences), spans) == counts


def test_files_are_found_by_their_names(tmp_path):
    for name in ("train.conll.gz", "valid.txt", "Test.conll", "README.md"):
        (tmp_path / name).touch()
    found = find_files(str(tmp_path), {"test": str(tmp_path / "README.md")})
    assert [path.name for _, path in found.items()] == ["train.conll.gz", "valid.txt", "README.md"]
    (tmp_path / "train.txt").touch()
    with pytest.raises(
        InputError, match=r"several files could be train: train.conll.gz, train.txt. Name one with --train FILE"
    ):
        find_files(str(tmp_path), {})


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="No train, dev or test file in"):
        find_files(str(tmp_path), {})
    with pytest.raises(InputError, match="nowhere: --data must be a folder that exists"):
        find_files("nowhere", {})
    with pytest.raises(InputError, match="nowhere: there is no such file"):
        find_files(None, {"train": "nowhere"})


def test_text_is_told_from_columns():
    assert looks_like_conll(["", "a\tO"])
    assert looks_like_conll(["# id = 1", "-DOCSTART- O", "", "a\tO"])
    assert looks_like_conll(["a O", "", "b B-X"])
    assert not looks_like_conll([])
    assert not looks_like_conll(["Vitamin B-12"])
    assert not looks_like_conll(["Blood type O", "Ada met Charles in London."])
    assert not looks_like_conll(["Ada met Charles ."])
    assert parse_conll(["a O"], Path("input"))[0][0].tokens == ("a",)
