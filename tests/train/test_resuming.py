"""A run that is stopped at any moment and resumed ends as the unbroken one, weights and log."""

import csv
import shutil

import pytest
import torch
from safetensors.torch import load_file

from regard.cli import main
from regard.tasks.ner.task import Ner
from regard.train.callbacks import Interruption

OPTIONS = ["--words.d_word", "8", "--words.d_character", "4", "--words.d_affix", "2", "--model.d_recurrent", "8"]
OPTIONS += ["--model.num_heads", "2", "--training.batch_size", "8", "--training.accumulate", "2"]
OPTIONS += ["--training.average_decay", "0.5", "--training.max_epochs", "5", "--training.score_every", "2"]
OPTIONS += ["--training.learning_rate", "0.03", "--training.warm_up", "1"]
"""36 sentences in 5 batches, 3 steps a pass; passes 2, 4 and 5 are scored."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from tests.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("data")
    for split, copies in (("train", 12), ("dev", 1), ("test", 1)):
        (folder / f"{split}.conll").write_text((SENTENCES + "\n") * copies)
    return folder


def train(data, out, *more):
    return main(["train", "ner", "--data", str(data), "--out", str(out), *OPTIONS, *more])


def interrupt(data, out, monkeypatch, step):
    """Train, and be asked to stop behind a step."""
    act = Interruption.on_train_batch_end

    def ask(self, trainer, *rest):
        self.is_asked = trainer.global_step == step
        act(self, trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", ask)
        assert train(data, out) == 2


def resume(out):
    return main(["train", "ner", "--out", str(out), "--resume"])


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    assert train(data, out) == 0
    return out


def assert_same(out, unbroken):
    logs = [list(csv.DictReader((run / "log.csv").open())) for run in (out, unbroken)]
    assert [row["epoch"] for row in logs[0]] == ["1", "2", "3", "4", "5"]
    for name in ("step", "learning_rate", "dev_score"):
        assert [row[name] for row in logs[0]] == [row[name] for row in logs[1]]
    losses = [[float(row["train_loss"]) for row in log] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    weights = [load_file(run / "model.safetensors") for run in (out, unbroken)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("step", [1, 3, 6, 14, 15])
def test_interrupted_behind_a_step(data, tmp_path, monkeypatch, unbroken, step, capsys):
    """Within a pass and at its end, one that is scored and one that is not, and in the last."""
    interrupt(data, tmp_path / "run", monkeypatch, step)
    assert f"Interrupted at step {step};" in capsys.readouterr().err
    assert resume(tmp_path / "run") == 0
    assert_same(tmp_path / "run", unbroken)


def test_interrupted_between_batches_that_are_added_up(data, tmp_path, monkeypatch, unbroken, capsys):
    """Behind the first of the two batches of step 5, which is done with both."""
    act = Interruption.on_train_batch_end

    def ask(self, trainer, module, outputs, batch, batch_idx):
        self.is_asked |= trainer.global_step == 4 and batch_idx == 2
        act(self, trainer, module, outputs, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", ask)
        assert train(data, tmp_path / "run") == 2
    assert "Interrupted at step 5;" in capsys.readouterr().err
    assert resume(tmp_path / "run") == 0
    assert_same(tmp_path / "run", unbroken)


@pytest.mark.parametrize("step", [8, 14])
def test_killed(data, tmp_path, monkeypatch, unbroken, step):
    """What was kept when dev was scored is all there is."""
    act = Interruption.on_train_batch_end

    def die(self, trainer, *rest):
        if trainer.global_step == step:
            raise RuntimeError("the power is cut")
        act(self, trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", die)
        assert train(data, tmp_path / "run") == 1
    assert resume(tmp_path / "run") == 0
    assert_same(tmp_path / "run", unbroken)


def test_killed_while_it_was_scored_on_test(tmp_path, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    assert resume(tmp_path / "run") == 0
    assert_same(tmp_path / "run", unbroken)


def test_a_run_that_was_moved_knows_its_best_weights(data, tmp_path, monkeypatch, unbroken):
    interrupt(data, tmp_path / "run", monkeypatch, 14)
    (tmp_path / "run").rename(tmp_path / "moved")
    best = (tmp_path / "moved" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    score = Ner.dev_score
    monkeypatch.setattr(Ner, "dev_score", lambda *given: score(*given) | {"f1_percent": -1.0})
    assert resume(tmp_path / "moved") == 0
    assert (tmp_path / "moved" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == best


def test_a_run_that_had_lost_its_patience_does_not_go_on(data, tmp_path, monkeypatch):
    act, hopeless = Interruption.on_train_epoch_end, ["--training.learning_rate", "1e-9", "--training.patience", "1"]

    def die(self, trainer, *rest):
        act(self, trainer, *rest)
        if trainer.should_stop:
            raise RuntimeError("the power is cut")

    options = [*hopeless, "--training.max_epochs", "9"]
    assert train(data, tmp_path / "straight", *options) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_epoch_end", die)
        assert train(data, tmp_path / "run", *options) == 1
    assert resume(tmp_path / "run") == 0
    logs = [(tmp_path / name / "log.csv").read_text().count("\n") for name in ("straight", "run")]
    assert logs[0] == logs[1] < 9
