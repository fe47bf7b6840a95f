"""Files read line by line, and their lines in chunks."""

import gzip
import io
import zipfile

import pytest

from regard.data import stream
from regard.data.files import read_lines
from regard.data.stream import Chunk, Lines, chunks, is_file, open_lines, single_lines
from regard.errors import InputError

TEXT = "\ufeffAda\r\nmét\u2028Bob\n\nlast"


def written(folder, name, data):
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(data))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.txt", data)
    else:
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.zip"])
def test_a_file_has_the_lines_that_it_has_when_read_whole(tmp_path, name):
    path = written(tmp_path, name, TEXT.encode())
    with open_lines(path) as lines:
        assert list(lines) == ["Ada", "mét\u2028Bob", "", "last"] == read_lines(path)
        assert 0 < lines.share <= 1


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.zip"])
def test_lines_are_there_before_the_end_is_read(tmp_path, name):
    lines = [f"{i * 7919 % 100_003}" * 9 for i in range(100_000)]
    with open_lines(written(tmp_path, name, "\n".join(lines).encode())) as stream:
        given = iter(stream)
        assert [next(given) for _ in range(3)] == lines[:3]
        assert 0 < stream.share < 0.5
        assert list(given) == lines[3:]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.zip"])
def test_what_is_not_utf8_is_told_with_its_line_after_the_lines_before_it(tmp_path, name):
    with open_lines(written(tmp_path, name, b"fine\n" * 70_000 + b"caf\xe9\n")) as stream:
        given = iter(stream)
        assert [next(given) for _ in range(70_000)] == ["fine"] * 70_000
        with pytest.raises(InputError, match=rf"{name}:70001: the text must be UTF-8, got byte 0xe9"):
            next(given)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.gz", b"not packed", "the file is damaged or not .gz"),
        ("a.gz", gzip.compress(b"x\n" * 90_000, mtime=0)[:-20], "the file is damaged or not .gz"),
        ("a.zip", b"not packed", "the file is damaged or not .zip"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message), open_lines(tmp_path / name) as lines:
        list(lines)


def test_a_zip_of_two_files_and_no_file_are_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one", "1")
        archive.writestr("two", "2")
    with pytest.raises(InputError, match=r"a\.zip: a \.zip must hold one file, got 2"), open_lines(tmp_path / "a.zip"):
        pass
    with pytest.raises(InputError, match="nowhere: there is no such file"), open_lines(tmp_path / "nowhere"):
        pass


def test_nobody_knows_how_long_standard_input_is():
    lines = Lines(io.BytesIO(b"one\ntwo"), "standard input")
    assert list(lines) == ["one", "two"]
    assert lines.share is None


def test_columns_are_cut_at_blank_lines():
    lines = ["a\tO", "b\tO", "", "c\tO", "", "d\tO", "e\tO", ""]
    found = list(chunks(lines, 4))
    assert [chunk.lines for chunk in found] == [lines[:3], lines[3:5], lines[5:]]
    assert [chunk.first for chunk in found] == [1, 4, 6]
    assert not any(chunk.is_cut for chunk in found)


def test_text_without_blank_lines_is_cut_anywhere():
    lines = [f"{i} O" for i in range(500)]
    found = list(chunks(lines, 300))
    assert [line for chunk in found for line in chunk.lines] == lines
    assert [(len(chunk.lines), chunk.is_cut) for chunk in found] == [(300, True), (200, False)]


def test_a_chunk_knows_its_lines_behind_a_head_and_behind_what_was_left():
    chunk = Chunk(["c", "d"], 3).behind(["a", ""], ["b"])
    assert (chunk.head, chunk.lines) == (["a", ""], ["b", "c", "d"])
    assert [chunk.number_of(line) for line in (3, 4, 5)] == [2, 3, 4]


def test_an_array_stays_whole():
    lines = ["", "[", *['{"text": "x"},'] * 9, "]"]
    assert [chunk.lines for chunk in chunks(lines, 4)] == [lines]
    tweet = ["[VIDEO] see", *["it"] * 9]
    assert len(list(chunks(tweet, 4))) == 3


def test_blank_lines_alone_are_no_chunk():
    assert list(chunks([])) == list(chunks(["", " "] * 9, 4)) == []
    assert list(chunks(["", "", "", "", "x", "y", "z"], 2)) == [(["x", "y"], 5, True, ()), (["z"], 7, False, ())]


def test_runs_of_single_lines_begin_with_one():
    found = list(single_lines(map(str, range(20)), 8))
    assert [(chunk.first, len(chunk.lines)) for chunk in found] == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 5)]
    assert [line for chunk in found for line in chunk.lines] == [*map(str, range(20))]


def test_a_chunk_is_given_before_the_next_is_read():
    def endless():
        while True:
            yield "x"

    assert len(next(chunks(endless(), 10)).lines) == 10


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("Ada\tB-PER\n".encode("utf-16"), "It looks like UTF-16. Convert the file: iconv -f UTF-16 -t UTF-8."),
        ("Adé\tB-PER\n".encode("utf-16-le"), "It looks like UTF-16. Convert"),
        (gzip.compress(b"Ada\tB-PER\n", mtime=0), "It looks compressed: give it a name that ends in .gz."),
        ("café\tO\n".encode("latin1"), "Convert the file: iconv -f LATIN1 -t UTF-8."),
    ],
    ids=["UTF-16", "UTF-16 without a mark", "gzip", "Latin-1"],
)
def test_what_is_not_utf8_is_told_with_what_it_looks_like(tmp_path, data, advice):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.txt:1: the text must be UTF-8, got byte 0x\w\w\. {advice}"):
        read_lines(tmp_path / "a.txt")


def test_letters_between_zero_bytes_are_told(tmp_path):
    (tmp_path / "a.txt").write_bytes("Ada\tB-PER\n".encode("utf-16-le"))
    with pytest.raises(InputError, match=r"a\.txt:1: the text must be UTF-8, got zero bytes\. It looks like UTF-16\."):
        read_lines(tmp_path / "a.txt")


def test_a_zip_that_needs_a_password_is_told(tmp_path):
    path = written(tmp_path, "a.zip", b"text")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flags of the file, and of the directory of files
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip: the file is damaged or not \.zip: .* is encrypted, password required"):
        read_lines(path)


def test_what_is_too_large_is_told_before_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "MAX_BYTES", 2**10)
    for name, data, what in (("a.gz", b"x" * 10**6, "a line"), ("b.gz", b"x\n" * 10**5, "the text")):
        with pytest.raises(InputError, match=rf"{name}: {what} must be at most 0 GiB uncompressed\. Split the file\."):
            read_lines(written(tmp_path, name, data))
    with open_lines(tmp_path / "b.gz") as lines:
        assert sum(1 for _ in lines) == 10**5


def test_a_long_text_is_no_file(tmp_path):
    (tmp_path / "a").write_text("")
    assert is_file(tmp_path / "a")
    assert not is_file(tmp_path)
    assert not is_file("a text " * 1000)


def test_what_cannot_be_opened_is_told(tmp_path):
    for path, message in ((tmp_path, "this is a folder"), (tmp_path / ("a" * 999), "cannot be read: File name too long")):
        with pytest.raises(InputError, match=message):
            read_lines(path)
