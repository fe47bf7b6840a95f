from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from regard.train import callbacks
from regard.train.callbacks import Interruption, Log, RunningMean


class Module(LightningModule):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm1d(4)


def averaged(module, decay, change, num_steps):
    """The running mean after so many steps of a training that `change` makes."""
    mean = RunningMean(decay)
    mean._device = None
    mean.setup(None, module, "fit")
    for step in range(1, num_steps + 1):
        change(module)
        mean.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
    return mean._average_model.module


def test_the_running_mean_keeps_its_share_of_the_old():
    module = Module(nn.Linear(4, 4))
    expected = None

    def change(module):
        nonlocal expected
        with torch.no_grad():
            module.layer.weight.normal_()
        module.norm.num_batches_tracked += 1
        step = int(module.norm.num_batches_tracked)
        share = 1.0 if step == 1 else 1 - min(0.5, step / (9 + step))
        expected = module.layer.weight.detach().clone() if step == 1 else expected.lerp(module.layer.weight.detach(), share)

    torch.manual_seed(0)
    mean = averaged(module, 0.5, change, 20)
    torch.testing.assert_close(mean.layer.weight, expected)
    assert mean.norm.num_batches_tracked == 20


def test_singular_vectors_of_a_bounded_product_stay_unit_vectors():
    torch.manual_seed(0)
    module = Module(spectral_norm(nn.Linear(4, 4)))

    def change(module):  # singular vectors turn while the weights hardly move
        with torch.no_grad():
            module.layer.parametrizations.weight.original.copy_(torch.linalg.qr(torch.randn(4, 4))[0] + torch.eye(4))
        module.train()
        for _ in range(20):
            module.layer.weight  # noqa: B018 - each look is a power iteration

    norm = averaged(module, 0.9, change, 30).layer.parametrizations.weight[0]
    assert torch.equal(norm._u, module.layer.parametrizations.weight[0]._u)
    assert float(norm._u.norm()) == pytest.approx(1, abs=1e-5)
    assert float(norm._v.norm()) == pytest.approx(1, abs=1e-5)


def test_a_long_pass_is_kept_on_the_way(tmp_path, monkeypatch):
    now, saved = [0.0], []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    trainer = SimpleNamespace(
        accumulate_grad_batches=2,
        is_last_batch=False,
        save_checkpoint=lambda path: saved.append(now[0]) or path.write_text("new"),
    )
    last = tmp_path / "last.ckpt"
    interruption = Interruption(last, "")
    for batch, seconds in enumerate([300, 500, 700, 800, 900, 1000, 1500, 1600]):
        now[0] = float(seconds)
        interruption.on_train_batch_end(trainer, None, None, None, batch)
    assert saved == [800.0, 1600.0]  # between steps only
    assert last.read_text() == "new"
    assert list(tmp_path.iterdir()) == [last]


def test_the_clock_of_a_resumed_run_goes_on_where_it_was_left(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    log = Log(tmp_path / "log.csv", "dev_score")
    now[0] = 640.0  # within the first pass: no line is written yet
    state = log.state_dict()
    now[0] = 5000.0
    again = Log(tmp_path / "log.csv", "dev_score")
    again.load_state_dict(state)
    now[0] = 5010.0
    assert again.seconds == 550.0
