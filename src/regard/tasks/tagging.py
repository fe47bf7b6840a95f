"""What tasks that tag words share: how words are read, and how readily the model speaks up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from regard.models.options import EncoderOptions, WordOptions
from regard.tasks.task import Task

STEP, FURTHEST = 0.5, 3.0
"""In nats."""


@dataclass(frozen=True)
class Tagging(Task):
    """A tag for each word. Tag 0 is "outside"; the model's `label_bias` is what it adds to the score of every other."""

    words: WordOptions = field(default_factory=WordOptions)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def load_pretrained(self, model: Any) -> None:
        from regard.tasks.reading import load_pretrained

        load_pretrained(model.read, self.words, self.encoder)

    def settle(self, run: Any, dev: Sequence[Any]) -> None:
        """Lift or lower all labels beside "outside" by the constant that scores best on dev.

        Likelihood rewards a model for silence where labels are rare and new names many: precision far above recall, and an F1
        below what the same weights can do. The constant is looked for from 0 on in steps of half a nat, up and down, each way
        until the score falls; of equal ones the nearest to 0 is taken.
        """
        found = {0.0: self._score_at(run, dev, 0.0)}
        for step in (STEP, -STEP):
            lean = 0.0
            while abs(lean) < FURTHEST:
                found[lean + step] = self._score_at(run, dev, lean + step)
                if found[lean + step] < found[lean]:
                    break
                lean += step
        _lift(run.model, max(found, key=lambda one: (found[one], -abs(one))))

    def _score_at(self, run: Any, dev: Sequence[Any], lean: float) -> float:
        _lift(run.model, lean)
        score = float(self.score(dev, run.predict(dev))[self.metric])
        _lift(run.model, -lean)
        return score


def _lift(model: Any, by: float) -> None:
    import torch

    with torch.no_grad():
        model.label_bias.add_(by)
