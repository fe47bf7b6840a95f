"""Which past tokens each new one was predicted from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from regard.data.corpus import Window
from regard.tasks.explain import watched
from regard.tasks.folder import Run
from regard.tasks.generate.prompt import Prompt
from regard.viewer.report import Picture

TITLE = 80
NOTE = "Each row is a token that was read; its label is what follows it, predicted from where the row looks."


def pictures(run: Run, examples: Sequence[Window | Prompt]) -> list[Picture]:
    """Of text as it is, or of prompts with what is written behind them; of lines that are no prompts there are none."""
    shown = [one for one in examples if isinstance(one, Window) or not one.error]
    found = (_of_window(run, one) if isinstance(one, Window) else _of_prompt(run, one) for one in shown)
    return [picture for picture in found if picture is not None]


def _of_window(run: Run, window: Window) -> Picture | None:
    tokens = window.text.tokens[window.start : window.stop + 1].tolist()
    return _picture(run, tokens, f"tokens {window.start + 1:,} to {window.stop:,}", NOTE)


def _of_prompt(run: Run, prompt: Prompt) -> Picture | None:
    encoder: Any = run.encoder
    model: Any = run.model.eval()
    begun = encoder.prompt(prompt.text)
    written = list(model.write(begun, prompt.place))
    title = prompt.text if len(prompt.text) <= TITLE else f"…{prompt.text[1 - TITLE :]}"
    return _picture(run, [*begun, *written], title, f"→ {encoder.running.decode(written, prompt.text)}")


def _picture(run: Run, tokens: list[int], title: str, note: str) -> Picture | None:
    """Of a pass over the tokens but the last; of more than are read at once, over the last ones. None of a single token."""
    if len(tokens) < 2:
        return None
    encoder: Any = run.encoder
    task: Any = run.task
    shown = tokens if task.model.is_endless else tokens[-encoder.options.context - 1 :]
    if len(shown) < len(tokens):
        note = f"{note} The last {len(shown) - 1:,} of {len(tokens) - 1:,} tokens: more are never read at once."
    device = next(run.model.parameters()).device
    with torch.no_grad():
        lens, _ = watched(run.model.eval(), partial(run.model, torch.tensor([shown[:-1]], device=device)))
    pieces = encoder.running.pieces(shown)
    return Picture.of(lens, title, pieces[:-1], note=note, labels=pieces[1:])
