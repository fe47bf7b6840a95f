"""What tasks that tag words share: how words are read."""

from dataclasses import dataclass, field
from typing import Any

from regard.models.options import EncoderOptions, WordOptions
from regard.tasks.task import Task


@dataclass(frozen=True)
class Tagging(Task):
    """A tag for each word."""

    words: WordOptions = field(default_factory=WordOptions)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)

    def load_pretrained(self, model: Any) -> None:
        from regard.tasks.reading import load_pretrained

        load_pretrained(model.read, self.words, self.encoder)
