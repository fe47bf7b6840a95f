"""Sentences and their propositions as numbers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from regard.data.conllu import UNSPECIFIED
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span, spans_of, to_bio
from regard.models.options import EncoderOptions, WordOptions
from regard.models.role_labeler import IGNORED
from regard.tasks.reading import Reading

CORE = re.compile(r"A(RG)?[0-9A]")
"""Numbered roles, and the causer's A."""


class RoleEncoder:
    """The reading of words, the labels of arguments, and the senses that each word form and lemma was seen with."""

    def __init__(self, reading: Reading, labels: list[str], senses: list[str], seen: dict[str, list[int]]) -> None:
        self.reading, self.labels, self.senses, self.seen = reading, labels, senses, seen
        self.tags = ["O", *(f"B-{label}" for label in labels), *(f"I-{label}" for label in labels)]
        self.tag_number = {tag: number for number, tag in enumerate(self.tags)}
        self.sense_number = {sense: number for number, sense in enumerate(senses)}

    @classmethod
    def fit(cls, sentences: Sequence[RoleSentence], words: WordOptions, encoder: EncoderOptions) -> RoleEncoder:
        """Learn them all."""
        propositions = [(sentence, one) for sentence in sentences for one in sentence.propositions or ()]
        labels = Counter(argument.type for _, one in propositions for argument in one.arguments)
        senses = Counter(one.sense for _, one in propositions if one.sense)
        numbers = {sense: number for number, sense in enumerate(senses)}
        seen: dict[str, set[int]] = defaultdict(set)
        for sentence, one in propositions:
            for form in _forms(sentence, one.predicate) if one.sense else ():
                seen[form].add(numbers[one.sense or ""])
        reading = Reading.fit([sentence.tokens for sentence in sentences], words, encoder)
        found = {form: sorted(members) for form, members in seen.items()}
        return cls(reading, [label for label, _ in labels.most_common()], list(senses), found)

    @classmethod
    def load(cls, kept: dict[str, Any]) -> RoleEncoder:
        """Again, from its `to_json`."""
        return cls(Reading.load(kept["reading"]), kept["labels"], kept["senses"], kept["seen"])

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {"reading": self.reading.to_json(), "labels": self.labels, "senses": self.senses, "seen": self.seen}

    @property
    def core(self) -> tuple[int, ...]:
        """The labels, by number, of which a predicate has at most one each."""
        return tuple(number for number, label in enumerate(self.labels) if CORE.fullmatch(label))

    def length(self, sentence: RoleSentence) -> int:
        """In tokens."""
        return len(sentence.tokens)

    def collate(self, sentences: list[RoleSentence]) -> dict[str, Tensor]:
        """Padded words, and the given predicates one after the other; tags where they are known."""
        batch = self.reading.collate([sentence.tokens for sentence in sentences])
        given = [(row, one) for row, sentence in enumerate(sentences) for one in sentence.propositions or ()]
        batch["sentences"] = torch.tensor([row for row, _ in given], dtype=torch.long)
        batch["predicates"] = torch.tensor([one.predicate for _, one in given], dtype=torch.long)
        batch["is_predicate"] = torch.zeros_like(batch["words"])
        batch["is_predicate"][batch["sentences"], batch["predicates"]] = 1
        batch["senses"] = torch.tensor([self.sense_number.get(one.sense or "", IGNORED) for _, one in given], dtype=torch.long)
        batch["tags"] = torch.full((len(given), batch["words"].shape[1]), IGNORED)
        for number, (row, one) in enumerate(given):
            tags = self._tags(one, len(sentences[row].tokens))
            batch["tags"][number, : len(tags)] = torch.tensor(tags)
        return batch

    def _tags(self, proposition: Proposition, length: int) -> list[int]:
        """A label that training never saw counts as outside; of arguments that overlap, the one that begins first is kept."""
        end, kept = 0, []
        for argument in sorted(proposition.arguments, key=lambda one: (one.start, -one.stop)):
            if argument.start >= end and argument.type in self.labels:
                kept.append(argument)
                end = argument.stop
        return [self.tag_number[tag] for tag in to_bio(kept, length)]

    def decode(self, sentence: RoleSentence, raw: Any) -> list[Proposition]:
        """The propositions of one sentence, for all predicates that the model read."""
        found = zip(raw.predicates, raw.tags, raw.sense_scores, strict=True)
        return [
            Proposition(predicate, self._sense(sentence, predicate, scores), tuple(self._spans(tags)))
            for predicate, tags, scores in found
        ]

    def _spans(self, tags: Iterable[int]) -> list[Span]:
        return spans_of([self.tags[number] for number in tags])

    def _sense(self, sentence: RoleSentence, predicate: int, scores: Tensor) -> str | None:
        """The best of those the word was seen with; of a word never seen, its own first sense; None where there were none."""
        forms = _forms(sentence, predicate)
        candidates = next((self.seen[form] for form in forms if form in self.seen), [])
        if not candidates:
            return f"{forms[0]}.01" if self.senses else None
        return self.senses[max(candidates, key=lambda number: float(scores[number]))]


def _forms(sentence: RoleSentence, place: int) -> list[str]:
    """By what a word's senses are looked up: its lemma where it is known, then the word itself."""
    lemma = sentence.lemmas[place].lower() if sentence.lemmas else UNSPECIFIED
    return [sentence.tokens[place].lower()] if lemma == UNSPECIFIED else [lemma, sentence.tokens[place].lower()]
