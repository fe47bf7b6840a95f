"""The optimiser and its schedule."""

import math

import pytest
import torch

from regard.data.sentence import Sentence
from regard.models.options import TaggerOptions, WordOptions
from regard.tasks.folder import Run
from regard.tasks.ner.task import Ner
from regard.tasks.task import Training
from regard.train.module import TaskModule


def schedule_of(spent, num_steps=1000):
    words = WordOptions(d_word=4, d_character=4, d_affix=2)
    task = Ner(Training(learning_rate=1.0), words=words, model=TaggerOptions(d_recurrent=4, mechanism="none"))
    encoder = task.fit_encoder([Sentence(("Ada",), ("B-PER",))])
    made = TaskModule(Run(task, encoder, task.build(encoder)), [], num_steps, spent).configure_optimizers()
    return made["lr_scheduler"]["scheduler"].lr_lambdas[0]


def test_the_rate_warms_up_and_falls_to_nothing_at_the_last_step():
    share = schedule_of(lambda: 0.0)
    assert share(0) == pytest.approx(0.01)
    assert share(500) == pytest.approx(0.5)
    assert share(1000) == 0
    rates = [share(step) for step in range(100, 1000)]
    assert rates == sorted(rates, reverse=True)


def test_it_falls_with_the_time_where_that_ends_first():
    assert schedule_of(lambda: 0.75)(200) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.75)))
    assert schedule_of(lambda: 0.1)(200) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.2)))
    assert schedule_of(lambda: 1.3)(200) == 0


def test_every_parameter_that_learns_is_in_one_group():
    words = WordOptions(d_word=4, d_character=4, d_affix=2)
    task = Ner(words=words, model=TaggerOptions(d_recurrent=4, mechanism="none"))
    encoder = task.fit_encoder([Sentence(("Ada",), ("B-PER",))])
    model = task.build(encoder)
    model.crf.first.requires_grad = False
    given = [id(one) for group in model.parameter_groups() for one in group["params"]]
    assert sorted(given) == sorted(id(one) for one in model.parameters() if one is not model.crf.first)
    torch.optim.AdamW(model.parameter_groups())
