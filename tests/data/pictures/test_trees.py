"""Folders and archives of pictures."""

import gzip
import multiprocessing
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from regard.data.pictures import pixels, read_pictures
from regard.data.pictures.formats import listed
from regard.data.pictures.trees import read
from regard.errors import InputError
from tests.data.pictures.examples import classes, content, made, packed, tree

FORMS = ["train", "train.zip", "train.tar", "train.tar.gz", "train.tgz"]
_HIDDEN = ("__MACOSX/rose/._1.png", ".DS_Store", "rose/.DS_Store", "rose/Thumbs.db", ".git/a/1.png", "rose/.hidden.png")
LITTER = dict.fromkeys(_HIDDEN, b"?")


@pytest.mark.parametrize("form", FORMS)
def test_the_first_folder_is_the_class(tmp_path, form):
    files = {"tulip/1.png": content(1), "rose/2.PNG": content(2), "rose/more/deep/3.jpg": content(3, "JPEG")}
    path = made(tmp_path / form, files | LITTER)
    pictures, findings = read_pictures(path)
    assert not findings
    assert [(one.label, one.key) for one in pictures] == [
        ("rose", "rose/2.PNG"),
        ("rose", "rose/more/deep/3.jpg"),
        ("tulip", "tulip/1.png"),
    ]
    assert pictures[2].name == f"{path}/tulip/1.png"
    assert pixels(pictures[2])[0, 0].tolist() == [1, 0, 7]
    assert pictures[2].size == (3, 2)
    assert len({one.digest for one in pictures}) == 3


@pytest.mark.parametrize("form", FORMS[1:])
def test_one_folder_around_all_classes_of_an_archive_is_no_class(tmp_path, form):
    files = {f"flowers/{name}": data for name, data in classes({"rose": 2, "tulip": 1}).items()}
    labels = [one.label for one in listed(packed(tmp_path / form, {"flowers/": b"", **files, "flowers/README": b""}))[0]]
    assert labels == ["rose", "rose", "tulip"]


@pytest.mark.parametrize("stray", ["overview.png", "flowers/overview.png"])
def test_a_loose_picture_is_told_and_makes_no_class(tmp_path, stray):
    files = {f"flowers/{name}": data for name, data in classes({"rose": 2, "tulip": 1}).items()}
    pictures, findings = listed(packed(tmp_path / "a.zip", {**files, stray: content(9)}))
    assert [one.label for one in pictures] == ["rose", "rose", "tulip"]
    (told,) = findings
    assert told.message.startswith(f"1 picture lies in no class folder, such as {stray}: not used.")


@pytest.mark.parametrize("top", ["", "flowers/"])
def test_parts_in_an_archive_are_no_classes(tmp_path, top):
    path = packed(tmp_path / "all.zip", {f"{top}{part}/{name}/1.png": content(1) for part in ("Train", "dev") for name in "ab"})
    with pytest.raises(
        InputError, match=r"all\.zip: it must hold one part, got Train, dev\. Unpack it, or pack each by itself"
    ):
        listed(path)
    folder = tree(tmp_path / "all", {f"{part}/a/1.png": content(1) for part in ("train", "val")})
    with pytest.raises(InputError, match=r"it must hold one part, got train, val\. Name it with --data, or each with --train"):
        listed(folder)


def test_one_class_may_be_called_like_a_part(tmp_path):
    path = packed(tmp_path / "vehicles.zip", classes({"bus": 1, "train": 1, "test tube": 1}))
    assert {one.label for one in listed(path)[0]} == {"bus", "train", "test tube"}


def test_a_single_class_is_one(tmp_path):
    assert {one.label for one in listed(packed(tmp_path / "a.zip", classes({"rose": 2})))[0]} == {"rose"}
    nested = {f"rose/{name}": data for name, data in classes({"red": 1, "white": 1}).items()}
    assert {one.label for one in listed(tree(tmp_path / "a", nested))[0]} == {"rose"}


def test_names_of_windows_and_of_here_are_read(tmp_path):
    pictures, _ = listed(packed(tmp_path / "a.tar", {"./rose\\1.png": content(1), "./tulip/1.png": content(2)}))
    assert [one.label for one in pictures] == ["rose", "tulip"]
    assert [pixels(one)[0, 0, 0] for one in pictures] == [1, 2]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_picture_of_a_class_is_told(tmp_path, form):
    files = {
        "empty/": b"",
        "notes/a.txt": b"",
        "rose/1.png": content(1),
        "rose/a.heic": b"",
        "loose.png": content(2),
        "README": b"",
    }
    pictures, findings = read_pictures(made(tmp_path / form, files))
    assert [one.key for one in pictures] == ["rose/1.png"]
    assert [one.level for one in findings] == ["warning"] * 4
    assert "a class folder must hold pictures, empty has none" in str(findings[0])
    assert "notes has none" in str(findings[1])
    assert "2 files in class folders are no pictures by name, such as notes/a.txt: not read. Read are .png, .jpg," in str(
        findings[2]
    )
    assert "1 picture lies in no class folder, such as loose.png: not used." in str(findings[3])


@pytest.mark.parametrize("form", FORMS)
def test_broken_pictures_are_errors_with_their_paths(tmp_path, form):
    files = classes({"rose": 1}) | {
        "rose/cut.jpg": content(1, "JPEG")[:-30],
        "rose/empty.png": b"",
        "rose/text.png": b"some text",
    }
    path = made(tmp_path / form, files)
    pictures, findings = read_pictures(path)
    assert [one.key for one in pictures] == ["rose/0.png"]
    assert [(one.level, str(one.file)) for one in findings] == [
        ("error", f"{path}/rose/{name}") for name in ("cut.jpg", "empty.png", "text.png")
    ]
    assert ["damaged or cut off" in findings[0].message, "0 bytes" in findings[1].message] == [True, True]


def test_of_many_errors_twenty_are_told(tmp_path):
    files = {f"rose/{number}.png": b"" for number in range(50)}
    _, findings = read_pictures(tree(tmp_path / "train", files))
    assert len(findings) == 20
    assert str(findings[-1]).endswith("And 30 more like this.")


def test_a_folder_without_pictures_is_an_error(tmp_path):
    (finding,) = read_pictures(tree(tmp_path / "train", {"README": b""}))[1]
    assert (finding.level, finding.message[:21]) == ("error", "it must hold pictures")


def test_a_name_that_is_no_text_is_an_error(tmp_path):
    tree(tmp_path / "train", {"rose/1.png": content(1), "caf\udce9/1.png": content(2)})
    pictures, findings = read_pictures(tmp_path / "train")
    assert [one.label for one in pictures] == ["rose"]
    assert any(r"must be UTF-8, got 'caf\udce9/1.png'" in one.message for one in findings if one.level == "error")


def test_links_are_followed_but_not_in_a_circle(tmp_path):
    tree(tmp_path / "elsewhere", {"1.png": content(1)})
    (tmp_path / "train" / "tulip").mkdir(parents=True)
    (tmp_path / "train" / "rose").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "train" / "tulip" / "up").symlink_to(tmp_path / "train")
    assert [one.key for one in listed(tmp_path / "train")[0]] == ["rose/1.png"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", b"no archive", r"a\.zip: the file is damaged or not \.zip: File is not a zip file"),
        ("a.tar", b"no archive", r"a\.tar: the archive cannot be read: "),
        ("a.tar", b"", r"a\.tar: the archive cannot be read: empty file"),
        ("a.tgz", b"no archive", r"a\.tgz: the file is damaged or not \.tgz: "),
        ("a.tar.gz", gzip.compress(b"no archive", mtime=0), r"a\.tar\.gz: the archive cannot be read: "),
    ],
)
def test_a_damaged_archive_is_told(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_pictures(tmp_path / name)


@pytest.mark.parametrize("form", ["a.tar", "a.tgz"])
def test_an_archive_that_is_cut_off_is_told(tmp_path, form):
    path = packed(tmp_path / form, {"rose/1.bmp": bytes(np.random.default_rng(0).bytes(9_000))})
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(InputError, match=rf"{form}: (the archive is cut off|the archive cannot be read|the file is damaged)"):
        read_pictures(path)


def test_a_zip_with_a_password_or_an_unknown_method_is_told(tmp_path):
    path = packed(tmp_path / "a.zip", classes({"rose": 1}))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[8] = data[central + 10] = 99
    path.write_bytes(data)
    (finding,) = read_pictures(path)[1]
    assert "rose/0.png: the archive cannot be read: That compression method is not supported. Pack it again." in str(finding)
    data[6] |= 1
    data[central + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip: the archive must have no password\."):
        read_pictures(path)


def test_a_content_that_does_not_fit_its_sum_is_told(tmp_path):
    path = packed(tmp_path / "a.zip", classes({"rose": 2}))
    data = bytearray(path.read_bytes())
    data[14] ^= 1  # of the first member
    data[data.index(b"PK\x01\x02") + 16] ^= 1
    path.write_bytes(data)
    pictures, (finding,) = read_pictures(path)
    assert [one.key for one in pictures] == ["rose/1.png"]
    assert "rose/0.png: the file is damaged or not .png: Bad CRC-32" in str(finding)


def test_a_content_of_endless_length_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("regard.data.pictures.stores.MAX_CONTENT", 1_000)
    for form in ("a", "a.zip", "a.tar"):
        (finding,) = read_pictures(made(tmp_path / form, {"rose/1.png": b"\0" * 5_000}))[1]
        assert "rose/1.png: a picture must have at most 1,000 bytes, got 5,000." in str(finding)
    monkeypatch.setattr("regard.data.pictures.stores.MAX_BYTES", 2**20)
    with pytest.raises(InputError, match=r"a\.tgz: an archive must be at most 0 GiB unpacked"):
        read_pictures(packed(tmp_path / "a.tgz", {"rose/1.png": b"\0" * 2**22}))


def test_nothing_is_written_where_names_say(tmp_path):
    path = packed(tmp_path / "a.zip", {"../../rose/1.png": content(1)})
    read_pictures(path)
    assert list(tmp_path.iterdir()) == [path]


def totals(pictures):
    return [int(pixels(one).sum()) for one in pictures]


@pytest.mark.parametrize("form", FORMS)
def test_threads_and_processes_read_the_same(tmp_path, form):
    pictures, _ = read(made(tmp_path / form, classes({"rose": 40, "tulip": 40})), is_labelled=True)
    expected = totals(pictures)
    assert len(set(expected)) == 80
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(totals, [pictures] * 16):
            assert found == expected
    again = pickle.loads(pickle.dumps(pictures))
    assert again == pictures
    assert totals(again) == expected


def forked(pictures, queue):
    queue.put([totals(pictures) for _ in range(5)])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs processes that fork")
@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("form", ["a.zip", "a.tgz"])
def test_forks_that_read_at_the_same_time_do_not_disturb_one_another(tmp_path, form):
    pictures, _ = read(packed(tmp_path / form, classes({"rose": 200})), is_labelled=True)
    expected = totals(pictures)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=forked, args=(pictures, queue)) for _ in range(3)]
    for one in processes:
        one.start()
    assert [queue.get(timeout=60) for _ in processes] == [[expected] * 5] * 3
    for one in processes:
        one.join()


def test_a_pickle_is_small(tmp_path):
    pictures, _ = read_pictures(
        packed(tmp_path / "a.tgz", {"rose/1.png": content(1), "rose/2.bmp": content(2, "BMP") + b"\0" * 9_999})
    )
    assert len(pickle.dumps(pictures)) < 1_000


def test_links_in_an_archive_are_no_pictures(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("rose/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert not listed(Path(tmp_path / "a.tar"))[0]
