"""Word vectors in the text forms there are."""

import gzip

import pytest

from regard.data.vectors import read_vectors
from regard.errors import InputError

ROWS = "the 1 2\nof 3 4.5\n"


def write(tmp_path, text):
    path = tmp_path / "vectors.txt"
    path.write_text(text, encoding="utf8")
    return path


def test_glove_and_word2vec_files_say_the_same(tmp_path):
    for text in (ROWS, "2 2\n" + ROWS):
        words, vectors = read_vectors(write(tmp_path, text), 10)
        assert words == ["the", "of"]
        assert vectors.tolist() == [[1, 2], [3, 4.5]]


@pytest.mark.parametrize("text", [ROWS.replace(" ", "\t"), "the\t1 2\nof\t3 4.5\n", "2\t2\n" + ROWS.replace(" ", "\t")])
def test_tabs_part_words_and_numbers_as_spaces_do(tmp_path, text):
    words, vectors = read_vectors(write(tmp_path, text + "New York\t5\t6\n"), 10)
    assert words == ["the", "of", "New York"]
    assert vectors.tolist() == [[1, 2], [3, 4.5], [5, 6]]


def test_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(ROWS.encode()))
    assert read_vectors(path, 10)[0] == ["the", "of"]


def test_the_first_lines_are_read_and_a_word_counts_once(tmp_path):
    path = write(tmp_path, ROWS + "the 9 9\nand 5 6\n")
    assert read_vectors(path, 2)[0] == ["the", "of"]
    words, vectors = read_vectors(path, 10)
    assert words == ["the", "of", "and"]
    assert vectors[0].tolist() == [1, 2]


def test_a_word_may_have_spaces_in_it(tmp_path):
    words, vectors = read_vectors(write(tmp_path, ROWS + ". . 5 6\nat name@domain.com 7 8\n"), 10)
    assert words == ["the", "of", ". .", "at name@domain.com"]
    assert vectors[2:].tolist() == [[5, 6], [7, 8]]


def test_no_more_lines_are_read_than_are_wanted(tmp_path):
    (tmp_path / "vectors.txt").write_bytes(ROWS.encode() + b"caf\xe9 1 2\n")
    assert read_vectors(tmp_path / "vectors.txt", 2)[0] == ["the", "of"]
    with pytest.raises(InputError, match=r"vectors\.txt:3: the text must be UTF-8"):
        read_vectors(tmp_path / "vectors.txt", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\nof 3 4 5\n", r"vectors.txt:2: each word must have 2 numbers like the first, got 3"),
        ("the 1 2\nof 3\n", r"vectors.txt:2: each word must have 2 numbers like the first, got 1"),
        ("the 1 2\nof x 3\n", r"vectors.txt:2: a word must be followed by numbers, got 'x 3'"),
        ("the 1 nan\n", r"vectors.txt:1: a word must be followed by finite numbers"),
        ("the\n", r"vectors.txt:1: a word must be followed by finite numbers, got none"),
        ("", r"vectors.txt: the file holds no word vectors"),
    ],
)
def test_a_broken_file_is_told_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_vectors(write(tmp_path, text), 10)
