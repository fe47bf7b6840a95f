"""What `regard check` prints."""

from pathlib import Path

import pytest

from regard.data.files import Files
from regard.data.findings import Finding
from regard.tasks.check import MOST_FINDINGS, MOST_LABELS, check_files
from regard.tasks.generate.task import Generate
from regard.tasks.ner.task import Ner
from regard.tasks.translate.task import Translate


def written(folder: Path, **parts: str) -> Files:
    for split, text in parts.items():
        (folder / split).write_text(text)
    return Files(**{split: folder / split for split in parts})


def lines_of(files: Files) -> list[str]:
    return [line.replace(f"{files.train or files.test}", "FILE") for line in check_files(Ner(), files)["lines"]]


TRAIN = "".join(f"Ada{i}\tB-PER\nsaw\tO\nBob{i}\tB-PER\n\n" for i in range(6))


def test_clean_files_are_two_tables_and_a_verdict(tmp_path):
    lines = lines_of(written(tmp_path, train=TRAIN, test="".join(f"{i} O\nBob{i} B-PER\n\n" for i in range(1000))))
    assert lines == [
        "       sentences  tokens  entities  mean length  longest  file",
        "train          6      18        12          3.0        3  FILE",
        f"test       1,000   2,000     1,000          2.0        2  {tmp_path}/test",
        "",
        "label  train   test",
        "PER       12  1,000",
        "",
        "0 errors, 0 warnings. The files can be used.",
    ]


def test_errors_stand_before_warnings_and_each_is_one_line(tmp_path):
    lines = lines_of(written(tmp_path, train=TRAIN + "a\tI-PER\nb\tX\n"))
    assert lines[-4:] == [
        "error: FILE:26: the tag 'X' is of no known scheme. Known: O, and B-, I-, E-, S-, L-, U- before a type, as in B-PER "
        "(BIO, IOB1, BIOES, BILOU).",
        "warning: FILE:25: I-PER continues nothing (before it: O); read as a start, as conlleval does.",
        "",
        "1 error, 1 warning. Mend the errors, then check again.",
    ]


def test_files_without_a_train_file_can_be_scored(tmp_path):
    assert lines_of(written(tmp_path, test=TRAIN))[-1] == (
        "0 errors, 0 warnings. The files can be used to score a model; to train one needs a train file."
    )


def test_of_many_labels_and_findings_the_first_are_printed(tmp_path):
    labels = "".join(f"a{i}\tB-{name}\n\n" for i in range(6) for name in (chr(0x4E00 + i) for i in range(50)))
    lines = lines_of(written(tmp_path, train=labels))
    assert f"and {50 - MOST_LABELS} labels more" in lines
    assert sum(line.endswith("  6") for line in lines) == MOST_LABELS
    lines = lines_of(written(tmp_path, train=TRAIN + "b\tX\n" * 150))
    assert sum(line.startswith("error: FILE:") for line in lines) == MOST_FINDINGS
    assert lines[-3:-1] == ["… and 50 more; --json lists them.", ""]
    assert lines[-1].startswith("150 errors, 0 warnings.")


def test_all_findings_are_in_the_result_and_a_few_of_a_kind_are_printed(tmp_path):
    train = TRAIN + "".join(f"Ada\tB-rare{name}\n\n" for name in "abcdefgh")
    result = check_files(Ner(), written(tmp_path, train=train))
    rare = [one for one in result["findings"] if "fewer than 5 are seldom learnt" in one["message"]]
    assert [one["line"] for one in rare] == [25 + 2 * number for number in range(8)]
    assert all(one.keys() == {"level", "file", "line", "message"} for one in rare)
    assert sum("fewer than 5 are seldom learnt" in line for line in result["lines"]) == 3
    assert any(line.endswith("And 5 more like this.") for line in result["lines"])
    assert result["lines"][-1].startswith(f"0 errors, {len(result['findings'])} warnings.")


def test_a_million_wrong_rows_are_counted_and_not_kept(tmp_path):
    result = check_files(Ner(), written(tmp_path, train=TRAIN + "b\tX\n" * 3000))
    assert result["num_errors"] == 3000
    assert len(result["findings"]) == 1001
    assert result["lines"][-3] == "… and 2,900 more; --json lists them."


def test_a_message_quotes_no_endless_word_or_list():
    message = Finding("error", Path("file"), 1, f"the label {'x' * 999} is long. Shorten it.").message
    assert message == f"the label {'x' * 60}…{'x' * 15} is long. Shorten it."
    message = Finding("error", Path("file"), 1, f"the labels must be few, got {'A0 ' * 999}. Take some out.").message
    assert len(message) < 500
    assert message.startswith("the labels must be few, got A0 A0 ")
    assert message.endswith("A0 A0 . Take some out.")


@pytest.mark.parametrize(
    ("task", "good", "bad", "line"),
    [(Translate(), "x_en_de/train.en", "x_en_de/train.de", 2), (Generate(), "train/a.txt", "train/b.txt", 2)],
    ids=["pairs", "folder"],
)
def test_the_file_that_cannot_be_read_is_named(tmp_path, task, good, bad, line):
    (tmp_path / good).parent.mkdir()
    (tmp_path / good).write_text("one\ntwo\n")
    (tmp_path / bad).write_bytes(b"eins\nzw\xf6lf\n")
    root = (tmp_path / good).parent
    files = task.files(str(tmp_path if task.name == "generate" else root), {})
    found = check_files(task, files)
    assert [(one["file"], one["line"]) for one in found["findings"]] == [(str(tmp_path / bad), line)]
    assert found["exit_code"] == 2
