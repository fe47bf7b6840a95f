"""Words as the pieces that a pretrained encoder reads, in windows as long as it can."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regard.errors import InputError
from regard.places import may_be_hub_id

OFFSET_POSITIONS = 2
"""Positions that RoBERTa's kin leave unused; of the others two are not missed."""


class Window(NamedTuple):
    """Some pieces of a sentence, and at which of them each of its words begins."""

    ids: list[int]
    starts: dict[int, int]


class PieceEncoder:
    """A transformers tokenizer and configuration, kept whole: a run needs nothing but its own folder."""

    def __init__(self, tokenizer: str, config: dict[str, Any], max_pieces: int) -> None:
        from tokenizers import Tokenizer

        self.tokenizer, self.config, self.max_pieces = Tokenizer.from_str(tokenizer), config, max_pieces
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.num_special = self.tokenizer.num_special_tokens_to_add(False)

    @classmethod
    def load(cls, path: str, max_pieces: int) -> PieceEncoder:
        """Of a transformers folder or hub id."""
        try:
            from transformers import AutoConfig, AutoTokenizer, logging
        except ModuleNotFoundError as missing:
            raise InputError("a pretrained encoder needs transformers: pip install 'regard[hub]'.") from missing
        if not (Path(path).is_dir() or may_be_hub_id(path)):
            raise InputError(f"--encoder.path must be a transformers folder that exists, or owner/name, got {path!r}.")
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            config = AutoConfig.from_pretrained(path)
            tokenizer = AutoTokenizer.from_pretrained(path, add_prefix_space=True)
        except (OSError, ValueError, KeyError) as fault:
            reason = str(fault).strip().split("\n")[0]
            raise InputError(
                f"--encoder.path must be a transformers folder (config.json, weights, tokenizer), got {path!r}: {reason}"
            ) from None
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(f"the encoder must have a fast tokenizer (tokenizer.json), {path!r} has none.")
        known = getattr(config, "max_position_embeddings", None) or 0
        longest = known - OFFSET_POSITIONS if known > 0 else max_pieces  # XLNet's is -1: any length
        return cls(tokenizer.backend_tokenizer.to_str(), config.to_dict(), min(max_pieces, longest))

    def to_json(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"tokenizer": self.tokenizer.to_str(), "config": self.config, "max_pieces": self.max_pieces}

    def collate(self, sentences: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """Windows of pieces, their lengths, how many a sentence has, and each word's place among all windows' positions."""
        windows = [self._windows(encoding) for encoding in self._encode(sentences)]
        flat = [window for group in windows for window in group]
        width, longest = max(len(window.ids) for window in flat), max(map(len, sentences))
        pieces = torch.zeros(len(flat), width, dtype=torch.long)
        places = torch.zeros(len(sentences), longest, dtype=torch.long)
        row = 0
        for number, group in enumerate(windows):
            places[number] = row * width  # of padding, and of a word that has no piece: the sentence's own beginning
            for window in group:
                pieces[row, : len(window.ids)] = torch.tensor(window.ids)
                for word, start in window.starts.items():
                    places[number, word] = row * width + start
                row += 1
        return {
            "pieces": pieces,
            "piece_lengths": torch.tensor([len(window.ids) for window in flat]),
            "num_windows": torch.tensor([len(group) for group in windows]),
            "places": places,
        }

    @cached_property
    def unknown(self) -> str:
        """The piece of what it does not know; empty where it has none."""
        model = json.loads(self.tokenizer.to_str())["model"]
        if model.get("unk_id") is not None:
            return model["vocab"][model["unk_id"]][0]
        return model.get("unk_token") or ""

    def _encode(self, sentences: Sequence[Sequence[str]]) -> list[Any]:
        """Where a tokenizer makes nothing of a word, such as a variation selector alone, it is read as an unknown one."""
        given = [list(words) for words in sentences]
        encodings = self.tokenizer.encode_batch(given, is_pretokenized=True)
        for number, words in enumerate(given):
            missing = set(range(len(words))).difference(encodings[number].word_ids)
            if missing and self.unknown:
                told = [self.unknown if place in missing else word for place, word in enumerate(words)]
                encodings[number] = self.tokenizer.encode(told, is_pretokenized=True)
        return encodings

    def _windows(self, encoding: Any) -> list[Window]:
        """One window where the sentence fits; else windows that overlap by half, each word read where it has most around it."""
        ids, words = encoding.ids, encoding.word_ids
        if len(ids) <= self.max_pieces:
            return [Window(ids, _starts(words, range(len(ids))))]
        first = next(place for place, word in enumerate(words) if word is not None)
        last = len(words) - next(place for place, word in enumerate(reversed(words)) if word is not None)
        room = self.max_pieces - self.num_special
        begins = [*range(first, max(first + 1, last - room), max(1, room // 2)), last - room]
        spans = [range(begin, begin + room) for begin in begins]
        groups = [_starts(words, span, shift=first - span.start) for span in spans]
        best = {word: _best(word, groups, first + room / 2) for group in groups for word in group}
        return [
            Window(
                [*ids[:first], *ids[span.start : span.stop], *ids[last:]],
                {word: start for word, start in group.items() if best[word] == number},
            )
            for number, (span, group) in enumerate(zip(spans, groups, strict=True))
        ]


def _starts(words: list[int | None], span: range, shift: int = 0) -> dict[int, int]:
    """Of each word that begins in the span: where, counted in its window."""
    found: dict[int, int] = {}
    for place in span:
        word = words[place]
        if word is not None and (place == 0 or words[place - 1] != word):
            found[word] = place + shift
    return found


def _best(word: int, groups: list[dict[int, int]], middle: float) -> int:
    """The window in whose middle the word stands most."""
    return min((abs(group[word] - middle), number) for number, group in enumerate(groups) if word in group)[1]
