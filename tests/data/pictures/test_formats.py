"""Tables, IDX and parquet."""

import gzip
import json
import pickle
import re
import struct
import sys

import numpy as np
import pytest

from regard.data.pictures import find_pictures, input_pictures, pixels, read_pictures
from regard.errors import InputError
from tests.data.pictures.examples import content, tree

FILES = {"img/1.png": content(1), "img/2, 3.png": content(2)}
TABLE = 'img/1.png,rose\n"img/2, 3.png",tulip\n'


def table(folder, text, name="train.csv"):
    tree(folder, FILES)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.csv", TABLE),
        ("train.csv.gz", "\ufeffpath,label\r\n" + TABLE),
        ("train.csv", 'Class,id,File_Name\nrose,1,img/1.png\n\ntulip,2,"img/2, 3.png"\n'),
        ("train.csv", "category;image\nrose;img/1.png\ntulip;img/2, 3.png\n"),
        ("train.tsv", "target\tfilename\nrose\timg/1.png\ntulip\timg/2, 3.png\n"),
        ("train.tsv.gz", "img/1.png\trose\nimg/2, 3.png\ttulip\n"),
    ],
)
def test_a_table_names_pictures_and_classes(tmp_path, name, text):
    path = table(tmp_path, text, name)
    pictures, findings = read_pictures(path)
    assert not findings
    assert [(one.name, one.label) for one in pictures] == [
        (f"{tmp_path}/img/1.png", "rose"),
        (f"{tmp_path}/img/2, 3.png", "tulip"),
    ]
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "img/" in line]
    assert [one.line for one in pictures] == lines
    found = list(input_pictures(str(path)))
    assert [(one.key, one.label, one.line) for one in found] == [(one.key, None, one.line) for one in pictures]


def test_rows_without_a_picture_or_a_class_are_errors(tmp_path):
    path = table(tmp_path, TABLE + "img/9.png,rose\nimg/1.png\nimg/1.png, \n\x00,rose\n")
    pictures, findings = read_pictures(path)
    assert len(pictures) == 2
    assert [(one.level, one.file, one.line) for one in findings] == [("error", path, line) for line in (3, 4, 5, 6)]
    assert findings[0].message.startswith("there is no such file: ")
    assert findings[0].message.endswith("img/9.png. Paths start at the table's folder, or at one of the table's name.")
    assert "a row must have a path and a class, got img/1.png." in findings[1].message


@pytest.mark.parametrize("name", ["train.csv", "train.tsv.gz"])
def test_paths_may_start_at_the_folder_of_the_table_s_name(tmp_path, name):
    tree(tmp_path / "train", {"1.png": content(1), "in/2.png": content(2)} | FILES)
    rows = [("1.png", "rose"), ("in/2.png", "tulip"), ("img/1.png", "rose"), ("9.png", "rose")]
    path = table(tmp_path, "".join("\t".join(row) + "\n" for row in rows).replace("\t", "\t" if ".tsv" in name else ","), name)
    pictures, (finding,) = read_pictures(path)
    meant = ["train/1.png", "train/in/2.png", "img/1.png"]
    assert [one.key for one in pictures] == meant
    assert finding.line == 4
    assert finding.message.endswith("/9.png. Paths start at the table's folder, or at one of the table's name.")
    found = [one.name for one in input_pictures(str(path))]
    assert found == [str(tmp_path / one) for one in (*meant, "9.png")]


IMAGE_FOLDER = {"0001.png": content(1), "in/0002.png": content(2), "in/other.png": content(3)}


def test_a_folder_may_have_a_table_of_the_classes_in_it(tmp_path):
    table = b"file_name,label\n0001.png,rose\nin/0002.png,tulip\n0003.png,rose\n"
    folder = tree(tmp_path / "train", IMAGE_FOLDER | {"metadata.csv": table})
    assert find_pictures(tmp_path, {}).train == folder
    pictures, (finding,) = read_pictures(folder)
    assert [(one.name, one.label) for one in pictures] == [(f"{folder}/0001.png", "rose"), (f"{folder}/in/0002.png", "tulip")]
    assert (finding.level, finding.file, finding.line) == ("error", folder / "metadata.csv", 4)
    assert re.match(r"there is no such file: \S*/0003\.png\.", finding.message)  # a long path is shortened in the middle
    assert [one.key for one in input_pictures(str(folder))] == list(IMAGE_FOLDER)


def test_a_table_without_classes_leaves_a_folder_as_it_is(tmp_path):
    folder = tree(tmp_path / "train", {"rose/1.png": content(1), "metadata.csv": b"file_name,text\nrose/1.png,a rose\n"})
    assert [one.label for one in read_pictures(folder)[0]] == ["rose"]
    (folder / "metadata.csv").write_bytes(b"")
    assert [one.label for one in read_pictures(folder)[0]] == ["rose"]


def test_a_header_must_name_path_and_class(tmp_path):
    with pytest.raises(InputError, match=r"train\.csv:1: the header must name a column with a class \(label, .*got path, size"):
        read_pictures(table(tmp_path, "path,size\nimg/1.png,3\n"))
    with pytest.raises(InputError, match=r"train\.csv:1: the header must name a column with a path \(path, .*got id, label"):
        read_pictures(table(tmp_path, "id,label\nimg/1.png,3\n"))
    assert [one.key for one in input_pictures(str(table(tmp_path, "size,path\n3,img/1.png\n")))] == ["img/1.png"]


def test_what_is_no_table_is_told(tmp_path):
    with pytest.raises(InputError, match=r"train\.csv:2: the table must be rows of columns: field larger than field limit"):
        read_pictures(table(tmp_path, TABLE.split("\n")[0] + "\n" + "x" * 200_000))
    (finding,) = read_pictures(table(tmp_path, ""))[1]
    assert finding.level == "error"


def idx(folder, values, labels, *, prefix="train", is_packed=True, sizes=None):
    pack, end = (gzip.compress, ".gz") if is_packed else (bytes, "")
    header = struct.pack(">4I", 0x803, *(sizes or values.shape))
    path = folder / f"{prefix}-images-idx3-ubyte{end}"
    path.write_bytes(pack(header + values.tobytes()))
    if labels is not None:
        (folder / f"{prefix}-labels-idx1-ubyte{end}").write_bytes(pack(struct.pack(">2I", 0x801, len(labels)) + bytes(labels)))
    return path


@pytest.mark.parametrize("is_packed", [True, False])
def test_idx_has_grey_pictures_and_digits(tmp_path, is_packed):
    values = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    path = idx(tmp_path, values, [7, 0, 9], is_packed=is_packed)
    pictures, findings = read_pictures(path)
    assert not findings
    assert [one.label for one in pictures] == ["7", "0", "9"]
    assert pictures[2].name == f"{path}:3"
    assert np.array_equal(np.stack([pixels(one)[:, :, 0] for one in pictures]), values)
    assert pickle.loads(pickle.dumps(pictures)) == pictures
    assert len(pickle.dumps(pictures[0])) < 500
    assert [one.label for one in input_pictures(str(path))] == [None] * 3


def test_idx_that_does_not_fit_is_told(tmp_path):
    values = np.zeros((3, 2, 4), np.uint8)
    with pytest.raises(InputError, match=r"the labels of .* must be beside it, in train-labels-idx1-ubyte\.gz; there is no"):
        read_pictures(idx(tmp_path, values, None))
    with pytest.raises(InputError, match=r"labels-idx1-ubyte\.gz: there must be a label for each of 3 pictures, got 2\."):
        read_pictures(idx(tmp_path, values, [1, 2]))
    with pytest.raises(InputError, match=r"images-idx3-ubyte\.gz: the header promises 4 x 2 x 4 = 32 bytes, got 24\."):
        read_pictures(idx(tmp_path, values, [1, 2, 3], sizes=(4, 2, 4)))
    with pytest.raises(InputError, match=r"the header promises 2 x 2 x 4 = 16 bytes, got more\."):
        read_pictures(idx(tmp_path, values, [1, 2, 3], sizes=(2, 2, 4)))
    with pytest.raises(InputError, match=r"the header promises 4,294,967,295 x .* bytes, got 24\."):
        read_pictures(idx(tmp_path, values, [1, 2, 3], sizes=(2**32 - 1,) * 3))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"IDX of pictures must begin with 00000803 and its sizes, got 89504e47\."):
        read_pictures(path)


def parquet(path, columns, features=None):
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs the optional library pyarrow")
    from pyarrow.parquet import write_table

    table = pyarrow.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    write_table(table, path, row_group_size=2)
    return path


def test_parquet_has_names_for_numbers_where_they_are_given(tmp_path):
    images = [{"bytes": content(value), "path": None} for value in (1, 2, 3)]
    names = {"label": {"names": ["rose", "tulip"], "_type": "ClassLabel"}}
    path = parquet(tmp_path / "train.parquet", {"image": images, "label": [1, 0, 1], "path": ["x"] * 3}, names)
    pictures, findings = read_pictures(path)
    assert not findings
    assert [one.label for one in pictures] == ["tulip", "rose", "tulip"]
    assert [pixels(one)[0, 0, 0] for one in pickle.loads(pickle.dumps(pictures))] == [1, 2, 3]
    assert pictures[2].name == f"{path}:3"
    assert [one.label for one in input_pictures(str(path))] == [None] * 3


def test_parquet_may_hold_plain_bytes_and_any_labels(tmp_path):
    images = [content(1), content(2), content(3)]
    path = parquet(tmp_path / "a.parquet", {"label": [3, 0, None], "image": images})
    pictures, (finding,) = read_pictures(path)
    assert [one.label for one in pictures] == ["3", "0"]
    assert str(finding) == f"error: {path}:3: a row must have a class, got none."
    path = parquet(tmp_path / "b.parquet", {"class": ["rose", "tulip", "rose"], "img": [images[0], None, b"text"]})
    pictures, findings = read_pictures(path)
    assert [one.label for one in pictures] == ["rose"]
    assert [str(one.file) for one in findings] == [f"{path}:2", f"{path}:3"]
    assert "got 0 bytes" in findings[0].message


def test_parquet_in_numbered_parts_is_one_table(tmp_path):
    for part in range(2):
        images = [content(10 * part + value) for value in range(3)]
        parquet(tmp_path / f"train-0000{part}-of-00002.parquet", {"image": images, "label": ["a", "b", "c"]})
    first = tmp_path / "train-00000-of-00002.parquet"
    pictures, _ = read_pictures(first)
    assert [pixels(one)[0, 0, 0] for one in pictures] == [0, 1, 2, 10, 11, 12]
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"train-00001-of-00002\.parquet: there is no such file"):
        read_pictures(first)


def test_parquet_with_labels_that_are_no_utf8_is_told_with_the_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs the optional library pyarrow")
    labels = pyarrow.Array.from_buffers(
        pyarrow.string(),
        3,
        [None, pyarrow.py_buffer(np.array([0, 4, 8, 12], np.int32)), pyarrow.py_buffer(b"rosefl\xf6rerose")],
    )
    path = parquet(tmp_path / "a.parquet", {"image": [content(value) for value in range(3)], "label": labels})
    with pytest.raises(InputError, match=r"a\.parquet:2: the text must be UTF-8, got byte 0xf6\."):
        read_pictures(path)


def test_parquet_that_cannot_be_used_is_told(tmp_path, monkeypatch):
    path = parquet(tmp_path / "a.parquet", {"image": [content(1)], "size": [1]})
    with pytest.raises(InputError, match=r"a\.parquet: a column must hold classes, named one of label, .*; got image, size\."):
        read_pictures(path)
    path = parquet(tmp_path / "a.parquet", {"text": ["x"], "label": [1]})
    for use in (read_pictures, lambda path: list(input_pictures(str(path)))):
        with pytest.raises(InputError, match=r"a column must hold pictures, named one of image, .*; got text, label\."):
            use(path)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"a\.parquet: the file is damaged or not parquet: "):
        read_pictures(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"a\.parquet: parquet needs the library pyarrow: pip install pyarrow\."):
        read_pictures(path)


def test_a_file_that_is_none_of_these_is_told(tmp_path):
    (tmp_path / "train.conll").write_text("Ada B-PER\n")
    with pytest.raises(InputError, match=r"train\.conll: labelled pictures must be in a folder, \.zip, .*IDX pictures"):
        read_pictures(tmp_path / "train.conll")
