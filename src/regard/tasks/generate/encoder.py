"""Running text as windows of tokens, and prompts."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.corpus import Block, Passage, Window, Windows, passages_of, tokenised
from regard.data.vocabulary import UNKNOWN
from regard.errors import InputError
from regard.models.language import Language
from regard.models.options import TextOptions, WritingOptions
from regard.tasks.generate.prompt import Prompt
from regard.tasks.generate.running import RunningText
from regard.tasks.subwords import END, PADDING, START, remark_on_unknown, unknown_in


class TextEncoder:
    """The tokens; how many are read at once, and whether that is all that is ever seen; whether texts have an end.

    `stride` is that of `ScoringOptions`.
    """

    def __init__(self, running: RunningText, options: TextOptions, stride: int, *, has_end: bool, is_endless: bool) -> None:
        self.running, self.options, self.stride = running, options, stride
        self.has_end, self.is_endless = has_end, is_endless
        self.told: set[str] = set()

    @classmethod
    def fit(cls, blocks: Sequence[Block], options: TextOptions, stride: int, *, is_endless: bool) -> TextEncoder:
        """Learn the tokens."""
        running = RunningText.fit((passage.text for passage in passages_of(blocks)), options)
        return cls(running, options, stride, has_end=any(block.num_documents for block in blocks), is_endless=is_endless)

    @classmethod
    def load(cls, kept: dict[str, Any], options: TextOptions, stride: int, *, is_endless: bool) -> TextEncoder:
        """Again, from its `to_json`."""
        return cls(RunningText.load(kept["tokens"]), options, stride, has_end=kept["has_end"], is_endless=is_endless)

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {"tokens": self.running.to_json(), "has_end": self.has_end}

    def cut(self, blocks: Sequence[Block], *, is_training: bool) -> Windows:
        """A corpus as windows; its tokens are kept on disk."""
        kept = json.dumps(self.to_json(), sort_keys=True)
        text = tokenised(blocks, self._tokens_of, END, hashlib.sha256(kept.encode()).hexdigest(), len(self.running))
        if not text.num_tokens:
            raise InputError("there is no word in it.", file=blocks[0].path)
        if text.num_tokens < self.options.context:
            self._tell(f"{blocks[0].path} has {text.num_tokens} tokens, fewer than a context of {self.options.context}.")
        return Windows(text, self.options.context, is_free=is_training)

    def language(self, sampling: WritingOptions) -> Language:
        """What a model has to know."""
        is_ended = self.has_end and not self.running.is_words
        never = {PADDING, UNKNOWN, START, END} - ({END} if is_ended or self.running.is_words else set())
        end = END if is_ended else None
        return Language(len(self.running), self.options.context, tuple(sorted(never)), end, _Stops(self.running, sampling.stop))

    def length(self, example: Window | Prompt) -> int:
        """In tokens; of a prompt about."""
        return example.stop - example.start if isinstance(example, Window) else len(example.text) + 1

    def collate(self, examples: list[Any]) -> dict[str, Tensor]:
        """Windows, or prompts."""
        return self._prompts(examples) if isinstance(examples[0], Prompt) else self._windows(examples)

    def prompt(self, text: str) -> list[int]:
        """Tokens of a prompt; of none, those that a text begins behind."""
        if remark := remark_on_unknown(self.running.tokens, text):
            self._tell(remark)
        tokens, context = self.running.encode(text), self.options.context
        if len(tokens) > context and not self.is_endless:
            self._tell(f"a prompt has {len(tokens):,} tokens, more than the context of {context}: it is read from its end.")
        if self.has_end:
            return [END, *tokens]
        return tokens or ([END] if unknown_in(self.running.tokens, "\n") else self.running.encode("\n"))

    def written(self, tokens: Sequence[int], prompt: str, stops: Sequence[str]) -> str:
        """The text behind a prompt, up to the first stop in it."""
        text = self.running.decode(tokens, prompt)
        return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]

    def _tokens_of(self, passage: Passage) -> list[int]:
        tokens = self.running.encode(passage.text)
        is_word = self.running.is_words  # each line has an end then
        is_ended = passage.is_end and (is_word or self.has_end) and not (is_word and tokens[-1:] == [END])
        return [*tokens, END] if is_ended else tokens

    def _windows(self, windows: list[Window]) -> dict[str, Tensor]:
        text, context = windows[0].text, self.options.context
        starts = torch.tensor([window.start for window in windows])
        lengths = torch.tensor([window.stop - window.start for window in windows])
        if windows[0].is_free:
            moved = starts + torch.randint(-(context // 2), context // 2 + 1, starts.shape)
            starts = moved.clamp(torch.zeros_like(starts), text.num_tokens - lengths)
        history = 0 if windows[0].is_free or not self.stride else context - self.stride
        places = starts[:, None] - history + torch.arange(history + int(lengths.max()) + 1)
        is_there = (places >= 0) & (places <= (starts + lengths)[:, None])
        found = text.tokens[places.clamp(0, text.num_tokens).numpy()].astype(np.int64)
        batch = {"tokens": torch.from_numpy(found).masked_fill(~is_there, PADDING), "lengths": lengths}
        if history:
            batch["history"] = starts.clamp(max=history)
        if self.options.is_isolated and text.num_documents > 1:
            numbers = np.searchsorted(text.borders, places[:, :-1].numpy(), side="right")
            batch["documents"] = torch.from_numpy(numbers)
        return batch

    def _prompts(self, prompts: list[Prompt]) -> dict[str, Tensor]:
        rows = [torch.tensor(self.prompt(prompt.text)) for prompt in prompts]
        return {
            "prompt": pad_sequence(rows, batch_first=True, padding_value=PADDING),
            "lengths": torch.tensor([len(row) for row in rows]),
            "place": torch.tensor([prompt.place for prompt in prompts]),
        }

    def _tell(self, message: str) -> None:
        """Once."""
        if message not in self.told:
            self.told.add(message)
            print(f"warning: {message}", file=sys.stderr)


class _Stops:
    """Does a text end with one in which a stop stands? A stop is as many tokens as it has bytes, or fewer."""

    def __init__(self, running: RunningText, stops: Sequence[str]) -> None:
        self.running, self.stops = running, stops
        self.longest = max((len(stop.encode()) + 1 for stop in stops), default=0)

    def __call__(self, written: Sequence[int]) -> bool:
        tail = self.running.decode(written[-self.longest :]) if self.longest else ""
        return any(stop in tail for stop in self.stops)
