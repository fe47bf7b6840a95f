from collections import Counter

import pytest
import torch

from regard.models.options import GanOptions, PainterOptions
from regard.models.painting import Gan, build_painter
from regard.tasks.folder import Run
from regard.tasks.paint.encoder import PaintEncoder
from regard.tasks.paint.request import Request
from regard.tasks.paint.settling import AT_ONCE, BATCHES, settle
from regard.tasks.paint.task import Paint
from regard.tasks.pictures.views import Viewer


@pytest.fixture
def settled(monkeypatch):
    """The batches by which a gan of some classes settles, after training pictures with these labels."""

    def batches(labels, classes):
        task = Paint(model=PainterOptions(gan=GanOptions(d_latent=4, widths=(4, 4))))
        encoder, found = PaintEncoder(Viewer(8, 1, 1.0), classes, 4), []
        monkeypatch.setattr(Gan, "settle", lambda self, given: found.extend(given))
        settle(Run(task, encoder, build_painter(task.model, encoder.sizes)), [Request(label=one) for one in labels])
        return found

    return batches


@pytest.mark.parametrize("count", [1, 65, 4000])
def test_a_gan_settles_by_full_batches_however_many_pictures_there_are(settled, count):
    assert [len(batch["noise"]) for batch in settled([None] * count, ())] == [AT_ONCE] * BATCHES


def test_batches_by_which_a_gan_settles_are_of_all_classes_as_often_as_in_training(settled):
    batches = settled(["a"] * 3000 + ["b"] * 1000, ("a", "b"))
    shares = [batch["classes"].float().mean().item() for batch in batches]
    assert 0 < min(shares) < max(shares) < 0.6
    assert sum(shares) / BATCHES == pytest.approx(0.25, abs=0.03)


def test_a_gan_settles_by_different_noise_and_always_the_same(settled):
    one, other = (settled(["a", "b"] * 20, ("a", "b")) for _ in range(2))
    for name in ("noise", "classes"):
        assert all(torch.equal(first[name], second[name]) for first, second in zip(one, other, strict=True))
    assert max(Counter(tuple(row) for batch in one for row in batch["noise"].tolist()).values()) == 1
