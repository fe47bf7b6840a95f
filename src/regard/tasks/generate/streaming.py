"""A text as it is written, for whoever reads along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from regard.tasks.folder import Run
from regard.tasks.generate.prompt import Prompt
from regard.tasks.generate.running import Speller


def stream(run: Run, prompt: Prompt) -> Iterator[str]:
    """The text that follows, piece by piece; joined it is what `run.predict` gives."""
    encoder: Any = run.encoder
    model: Any = run.model.eval()
    task: Any = run.task
    speller, gate = Speller(encoder.running, prompt.text), Gate(task.sampling.stop)
    for token in model.write(encoder.prompt(prompt.text), prompt.place):
        if text := gate.add(speller.add(token)):
            yield text
    if text := gate.add(speller.rest()) + gate.rest():
        yield text


class Gate:
    """Lets text through, up to the first stop in it; what may become one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops, self.held, self.is_shut = stops, "", False

    def add(self, text: str) -> str:
        """What may go on."""
        if self.is_shut:
            return ""
        self.held += text
        place = min((at for stop in self.stops if (at := self.held.find(stop)) >= 0), default=-1)
        self.is_shut = place >= 0
        if not self.is_shut:
            place = len(self.held) - max((_overlap(self.held, stop) for stop in self.stops), default=0)
        passed, self.held = self.held[:place], self.held[place:]
        return passed

    def rest(self) -> str:
        """What was held back for nothing."""
        return "" if self.is_shut else self.held


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of a text with which a stop begins."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
