"""Data sets of the hub become files; one saved on disk stands for them, so no network is needed."""

import json
import sys

import pytest

from regard.cli import main
from regard.data.entities import read_entities
from regard.data.files import SPLITS, find_files
from regard.data.hub import folder_from_hub, is_data_set
from regard.errors import InputError
from regard.tasks.ner.task import Ner
from regard.tasks.srl.task import Srl
from tests.train.test_run import SMALL

NAMES = ["O", "B-PER", "I-PER", "B-LOC"]
ROWS = {"id": ["0", "1"], "tokens": [["Ada", "Lovelace"], ["In", "東京"]], "ner_tags": [[1, 2], [0, 3]]}


@pytest.fixture
def datasets(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets", reason="data sets of the hub need the optional library datasets")


def files_from_hub(id, cache):
    return find_files(folder_from_hub(id, cache), {})


def saved(datasets, folder, rows=ROWS, names=NAMES, splits=("train", "validation", "test")):
    tags = datasets.ClassLabel(names=names) if names else datasets.Value("string")
    features = {name: datasets.Value("string") for name in rows}
    features |= {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tags)}
    table = datasets.Dataset.from_dict(rows, datasets.Features({name: features[name] for name in rows}))
    whole = datasets.DatasetDict(dict.fromkeys(splits, table)) if splits else table
    whole.save_to_disk(str(folder))
    return str(folder)


def test_a_saved_data_set_becomes_files_with_names_for_numbers(datasets, tmp_path):
    files = files_from_hub(saved(datasets, tmp_path / "some set"), tmp_path / "cache")
    assert [(split, path.name) for split, path in files.items()] == [(split, f"{split}.jsonl") for split in SPLITS]
    for _, path in files.items():
        sentences, findings = read_entities(path)
        assert [(one.tokens, one.tags) for one in sentences] == [
            (("Ada", "Lovelace"), ("B-PER", "I-PER")),
            (("In", "東京"), ("O", "B-LOC")),
        ]
        assert not findings


def test_it_is_converted_once_and_again_when_it_changed(datasets, tmp_path, monkeypatch):
    folder, cache = saved(datasets, tmp_path / "set", splits=()), tmp_path / "cache"
    first = files_from_hub(folder, cache)
    assert [split for split, _ in first.items()] == ["train"]
    first.train.write_text("kept")
    with monkeypatch.context() as patch:
        patch.setattr("regard.data.hub._load", None)
        assert files_from_hub(folder, cache).train.read_text() == "kept"
    saved(datasets, tmp_path / "set", rows={name: column[:1] for name, column in ROWS.items()}, splits=())
    again = files_from_hub(folder, cache)
    assert again.train != first.train
    assert len(read_entities(again.train)[0]) == 1
    assert not list(cache.glob(".*"))


def test_tags_that_are_text_stay_and_numbers_without_names_are_told(datasets, tmp_path):
    rows = ROWS | {"ner_tags": [["B-PER", "I-PER"], ["O", "O"]]}
    files = files_from_hub(saved(datasets, tmp_path / "text", rows, None), tmp_path / "cache")
    assert read_entities(files.dev)[0][0].tags == ("B-PER", "I-PER")
    rows = ROWS | {"ner_tags": [[-1, 2], [0, 3]]}
    folder = saved(datasets, tmp_path / "hidden", rows)
    with pytest.raises(InputError, match=r"hidden', split train, row 1, cannot be read: tags must be .* got the number -1\."):
        files_from_hub(folder, tmp_path / "cache")
    assert [one.name[:5] for one in (tmp_path / "cache").iterdir()] == ["text-"]


def test_tags_may_be_types_alone(datasets, tmp_path):
    rows = {"tokens": [["Ada", "Lovelace", "in", "London"]], "ner_tags": [[1, 1, 0, 2]]}
    files = files_from_hub(saved(datasets, tmp_path / "set", rows, ["O", "person", "place-city"]), tmp_path / "cache")
    (sentence,), findings = read_entities(files.train)
    assert sentence.spans == [("person", 0, 2), ("place-city", 3, 4)]
    assert not findings


@pytest.mark.parametrize("kind", ["Sequence", "List"])
def test_entities_may_be_lists_of_starts_and_ends_and_classes(datasets, tmp_path, kind):
    integer, label = datasets.Value("int64"), datasets.ClassLabel(names=["PER", "LOC"])
    spans = getattr(datasets, kind)({"start": integer, "end": integer, "label": label})
    entities = [{"start": 0, "end": 3, "label": "PER"}, {"start": 7, "end": 13, "label": "LOC"}]
    given = entities if kind == "List" else {name: [one[name] for one in entities] for name in entities[0]}
    none = [] if kind == "List" else {name: [] for name in entities[0]}
    rows = {"text": ["Ada in London", "Nothing"], "entities": [given, none]}
    features = datasets.Features({"text": datasets.Value("string"), "entities": spans})
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(tmp_path / "set"))
    files = files_from_hub(str(tmp_path / "set"), tmp_path / "cache")
    assert [json.loads(line)["entities"] for line in files.train.read_text().splitlines()] == [entities, []]
    assert read_entities(files.train)[0][0].spans == [("PER", 0, 1), ("LOC", 2, 3)]


def test_entities_of_a_text_are_kept(datasets, tmp_path):
    rows = {"text": ["Ada left"], "entities": [[{"start": 0, "end": 3, "label": "PER"}]], "more": [1]}
    datasets.DatasetDict({"test": datasets.Dataset.from_dict(rows)}).save_to_disk(str(tmp_path / "set"))
    files = files_from_hub(str(tmp_path / "set"), tmp_path / "cache")
    assert json.loads(files.test.read_text()) == {"text": "Ada left", "entities": rows["entities"][0]}
    assert read_entities(files.test)[0][0].spans == [("PER", 0, 1)]


def test_what_cannot_be_used_is_said(datasets, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(InputError, match=r"must have columns tokens and ner_tags, or text and entities, got id, tokens\."):
        files_from_hub(saved(datasets, tmp_path / "a", {name: ROWS[name] for name in ("id", "tokens")}), cache)
    with pytest.raises(InputError, match="must have a split train, validation or test, got other"):
        files_from_hub(saved(datasets, tmp_path / "b", splits=("other",)), cache)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty' cannot be loaded: .*It must be a folder that exists, or owner/name"):
        files_from_hub(str(tmp_path / "empty"), cache)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the data set cannot be kept: "):
        files_from_hub(saved(datasets, tmp_path / "c"), tmp_path / "file")
    assert not cache.exists() or not list(cache.iterdir())


def test_without_the_library_the_command_that_installs_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"data of the hub needs the library datasets: pip install 'regard\[hub\]'"):
        files_from_hub("owner/name", tmp_path)


def test_an_id_that_cannot_be_reached_is_said(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for id in ("nobody/nothing", "nobody/nothing:config", "not an id", ""):
        with pytest.raises(
            InputError,
            match=r"cannot be loaded: .+[^.]\. It must be a folder that exists, or owner/name or owner/name:config of",
        ):
            files_from_hub(id, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_may_be_a_data_set(datasets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(map(is_data_set, ("owner/name", "owner/na-me.v2:config")))
    assert not any(map(is_data_set, ("nowhere", "/owner/name", "./name", "a/b/c", "../name", "owner/name:", "")))
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert not is_data_set("owner/name")
    assert not is_data_set("owner/nmae")  # a folder's name mistyped is not told to the hub
    assert is_data_set(saved(datasets, tmp_path / "set"))
    assert is_data_set(saved(datasets, tmp_path / "one", splits=()))


def test_data_may_be_a_folder_that_datasets_saved(datasets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    folder = saved(datasets, tmp_path / "set")
    assert main(["check", "ner", "--data", folder, "--json"]) == 0
    printed = capsys.readouterr()
    files = json.loads(printed.out.splitlines()[-1])["files"]
    assert {split: (one["sentences"], one["entities"]) for split, one in files.items()} == dict.fromkeys(SPLITS, (2, 2))
    assert files["train"]["file"].startswith(f"{tmp_path}/cache/hub/set-")
    assert "asking the hub" not in printed.err
    assert main(["check", "srl", "--data", folder]) == 2
    assert (
        f"{folder}: --data must be a folder of files that exists; srl reads no data sets of the hub" in capsys.readouterr().err
    )


def test_a_run_is_scored_on_a_data_set_as_it_is_trained_on_one(datasets, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    folder = saved(datasets, tmp_path / "set")
    monkeypatch.setattr("regard.data.hub._load", lambda id: datasets.load_from_disk(folder))
    run = str(tmp_path / "run")
    assert main(["train", "ner", "--data", "owner/name", "--out", run, "--training.max_epochs", "1", *SMALL]) == 0
    scores = []
    for given, name in (("owner/name", "owner--name"), ("owner/name:config", "owner--name--config"), (folder, "set-")):
        capsys.readouterr()
        assert main(["evaluate", run, "--data", given, "--json"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert result["file"].startswith(f"{tmp_path}/cache/hub/{name}")
        assert result["file"].endswith("/test.jsonl")
        scores.append(result["f1_percent"])
    assert len(set(scores)) == 1


def test_what_is_scored_is_a_file_or_the_test_or_dev_part_of_data(datasets, tmp_path, monkeypatch):
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert Ner().scored(saved(datasets, tmp_path / "a", splits=("train", "validation"))).name == "dev.jsonl"
    file = tmp_path / "file"
    file.write_text("")
    assert Ner().scored(str(file)) == file
    with pytest.raises(InputError, match=r"b: the data must hold a test or a dev file\."):
        Ner().scored(saved(datasets, tmp_path / "b", splits=("train",)))
    with pytest.raises(InputError, match=r"owner/name: --data must be .*; srl reads no data sets of the hub"):
        Srl().scored("owner/name")
    for name in ("nowhere", "a/nowhere", "x" * 300):
        with pytest.raises(
            InputError, match=rf"{name}: (there is no such file or folder|cannot be read: File name too long)\."
        ):
            Ner().scored(name)


def test_the_hub_is_asked_for_an_id_alone_and_that_is_said(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("regard.data.hub._load", lambda id: asked.append(id) or {})
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path))
    for name in ("nowhere", "./no/where", str(tmp_path / "nowhere")):
        assert main(["check", "ner", "--data", name]) == 2
        assert "--data must be a folder that exists" in capsys.readouterr().err
    assert not asked
    assert main(["check", "ner", "--data", "owner/name:config"]) == 2
    assert asked == ["owner/name:config"]
    assert "regard: owner/name:config is no folder here; asking the hub for it" in capsys.readouterr().err
