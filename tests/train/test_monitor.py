"""The monitor reads a training run, changes nothing in it, and warns of collapse."""

import csv
import math
import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.nn import functional as F

from regard.errors import InputError
from regard.train.callbacks import Log
from regard.train.monitor import AttentionMonitor, AttentionWarning, Limits

LENGTH, WIDTH = 12, 8


class Layer(nn.Module):
    def __init__(self, gain=1.0):
        super().__init__()
        self.project, self.gain = nn.Linear(WIDTH, 3 * WIDTH), gain

    def forward(self, x):
        query, key, value = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return x + F.scaled_dot_product_attention(self.gain * query, key, value).transpose(1, 2).flatten(2)


class Toy(LightningModule):
    """Two layers with dropout between them, so that random numbers matter."""

    def __init__(self, gain=1.0, has_attention=True):
        super().__init__()
        self.layers = nn.ModuleList([Layer(gain) if has_attention else nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        self.growth = 1.0

    def forward(self, x):
        for layer in self.layers:
            x = F.dropout(layer(x), 0.2, self.training)
        return x

    def training_step(self, batch, _):
        for layer in self.layers:
            layer.gain = getattr(layer, "gain", 1.0) * self.growth
        loss = self(batch["x"]).square().mean()
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-2)


def fit(tmp_path, *callbacks, model=None, logger=False, num_steps=6, epochs=2, **options):
    """A model made and trained by one seed, and where the generator stands afterwards."""
    torch.manual_seed(0)
    model = model or Toy()
    data = [{"x": torch.randn(3, LENGTH, WIDTH)} for _ in range(num_steps)]
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        **options,
    )
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=None))
    return model, torch.get_rng_state()


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}], ids=str)
def test_training_is_the_same_to_the_bit(tmp_path, options):
    plain, plain_state = fit(tmp_path, **options)
    watched, state = fit(tmp_path, AttentionMonitor(every_n_steps=2, sample=1), **options)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, watched.state_dict()[name]), name
    assert torch.equal(plain_state, state)
    assert not any("forward" in vars(module) for module in watched.modules())


def test_what_is_logged_is_what_the_step_looked_at(tmp_path):
    """Of the first step, against weights that are written out; at the steps asked for, in the logger's table."""
    model, seen = Toy(), []
    before = model.layers[0].project.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    logger = CSVLogger(tmp_path, flush_logs_every_n_steps=1)
    fit(tmp_path, AttentionMonitor(every_n_steps=4, sample=None), model=model, logger=logger)
    before.remove()
    query, key, _ = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in seen[0].chunk(3, -1))
    scores = query @ key.mT / 2
    weights = scores.softmax(-1)
    bits = torch.special.entr(weights).sum(-1).div(torch.tensor(2.0).log()).mean((0, 2))
    rows = [row for row in csv.DictReader((tmp_path / "lightning_logs/version_0/metrics.csv").open()) if row[ENTROPY]]
    assert [row["step"] for row in rows] == ["0", "4", "8"]
    expected = {
        "entropy_bits": bits.mean(),
        "smallest_entropy_bits": bits.min(),
        "sink_share": weights[..., 0].mean(),
        "largest_logit": scores.max(),
    }
    for kind, value in expected.items():
        assert float(rows[0][f"attention/layers.0/{kind}"]) == pytest.approx(float(value), rel=1e-5), kind
    assert float(rows[1][ENTROPY]) != float(rows[0][ENTROPY])


ENTROPY = "attention/layers.0/entropy_bits"


def test_it_lands_in_our_log(tmp_path):
    log = Log(tmp_path / "log.csv", "dev_score")
    fit(tmp_path, log, AttentionMonitor(every_n_steps=1, layers="layers.0"))
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert len(rows) == 2
    assert [name for name in rows[0] if name.startswith("attention/")] == [
        f"attention/layers.0/{kind}" for kind in ("entropy_bits", "largest_logit", "sink_share", "smallest_entropy_bits")
    ]
    assert all(0 < float(row[ENTROPY]) < 4 for row in rows)


def test_a_run_of_ours_has_it_in_its_log(tiny_data, tmp_path):
    from regard.models.options import TaggerOptions, WordOptions
    from regard.tasks.ner.task import Ner
    from regard.tasks.task import Training
    from regard.train.run import Terms, train

    task = Ner(Training(max_epochs=2), WordOptions(d_word=16, d_character=8), model=TaggerOptions(d_recurrent=16, num_heads=2))
    weights = []
    for steps in (0, 1):
        out = tmp_path / str(steps)
        train(task, task.files(str(tiny_data), {}), out, Terms(monitor_steps=steps))
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    rows = list(csv.DictReader((out / "log.csv").open()))
    assert len(rows) == 2
    assert 0 < float(rows[1]["attention/model.attention.mechanism/entropy_bits"]) < 3


def test_it_lands_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    from lightning.pytorch.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    fit(tmp_path, AttentionMonitor(every_n_steps=4), logger=logger)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert [event.step for event in events.Scalars(ENTROPY)] == [0, 4, 8]


def test_a_sound_model_is_not_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", AttentionWarning)
        fit(tmp_path, AttentionMonitor(every_n_steps=1))


def test_heads_that_look_at_one_key_are_told_once(tmp_path):
    with pytest.warns(AttentionWarning) as told:
        fit(tmp_path, AttentionMonitor(every_n_steps=1, sample=1), model=Toy(gain=1e5))
    texts = [str(one.message) for one in told if one.category is AttentionWarning]
    collapsed = [text for text in texts if "looks at one key in more than 90% of queries" in text]
    assert sorted(text.split(" at step ")[0] for text in collapsed) == ["layers.0", "layers.1"]


def test_logits_that_grow_are_told_and_large_ones_that_do_not_are_not(tmp_path):
    model = Toy(gain=40.0)
    model.growth = 2.0
    with pytest.warns(AttentionWarning, match=r"layers.0 at step \d+: its largest logit grew from \d+ to \d+, more than half"):
        fit(tmp_path, AttentionMonitor(every_n_steps=1), model=model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AttentionWarning)
        fit(tmp_path, AttentionMonitor(every_n_steps=100, limits=Limits(entropy_bits=0.0)), model=Toy(gain=400.0))


def test_a_sink_is_told(tmp_path):
    with pytest.warns(AttentionWarning, match=r"layers.0 at step 0: \d+% of its weight goes to the first key"):
        fit(tmp_path, AttentionMonitor(every_n_steps=1, limits=Limits(sink_share=0.01)))


def test_a_layer_that_is_no_number_is_told(tmp_path):
    class Broken(Toy):
        def training_step(self, batch, batch_number):
            with torch.no_grad():
                self.layers[1].project.weight[0] = float("nan")  # of a query
            return super().training_step(batch, batch_number)

    log = Log(tmp_path / "log.csv", "dev_score")
    told = r"layers.1 at step 0: weights of some of its queries are NaN or infinite. What may help: a lower learning rate"
    with pytest.warns(AttentionWarning, match=told):
        fit(tmp_path, log, AttentionMonitor(every_n_steps=1), model=Broken(), epochs=1, num_steps=1)
    assert math.isnan(float(log.rows[0]["attention/layers.1/largest_logit"]))
    assert math.isnan(float(log.rows[0]["attention/layers.1/smallest_entropy_bits"]))


def test_a_model_without_attention_is_noted_once_and_trained_on(tmp_path):
    with pytest.warns(UserWarning, match="No attention was seen in Toy") as told:
        model, _ = fit(tmp_path, AttentionMonitor(every_n_steps=1), model=Toy(has_attention=False))
    assert len([one for one in told if "No attention was seen" in str(one.message)]) == 1
    assert model.global_step == 12


def test_penalties_can_be_put_on_a_step_that_is_read(tmp_path):
    from regard.lens.attached import attached
    from regard.lens.losses import EntropyFloor

    class Penalised(Toy):
        def training_step(self, batch, _):
            with attached(self, {"layers.*": [EntropyFloor(3.0)]}) as added:
                return self(batch["x"]).square().mean() + added.total()

    log = Log(tmp_path / "log.csv", "dev_score")
    plain, _ = fit(tmp_path, model=Penalised())
    watched, _ = fit(tmp_path, log, AttentionMonitor(every_n_steps=2), model=Penalised())
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, watched.state_dict()[name]), name
    assert ENTROPY in log.rows[0]


def test_an_error_in_a_step_leaves_nothing_behind(tmp_path):
    class Broken(Toy):
        def training_step(self, batch, _):
            self(batch["x"])
            raise RuntimeError("broken on purpose")

    model = Broken()
    with pytest.raises(RuntimeError, match="broken on purpose"):
        fit(tmp_path, AttentionMonitor(every_n_steps=1), model=model)
    assert not any("forward" in vars(module) for module in model.modules())


def test_bad_numbers_are_told():
    with pytest.raises(InputError, match="every_n_steps must be at least 1, got 0"):
        AttentionMonitor(every_n_steps=0)
