"""Where a role labeler looks for a predicate, what each argument rests on, and its worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import OUTSIDE, Span, to_bio
from regard.metrics.roles import PREDICATE
from regard.models.model import Batch
from regard.tasks.errors import Errors, in_pieces, picture_of_errors, worst
from regard.tasks.excerpt import distinct, shortened
from regard.tasks.explain import picture_of, watched
from regard.tasks.folder import Run
from regard.tasks.occlusion import Decision, decisions_of
from regard.viewer.report import Picture


def pictures(run: Run, sentence: RoleSentence, said: Sequence[Proposition]) -> list[Picture]:
    """One for each of some propositions that the run found in a sentence."""
    encoder: Any = run.encoder
    decided = _decided(run, sentence, said)
    found = []
    for one in said:
        # alone, so that every layer has one row, whether it reads the sentence or the proposition
        lens, _ = watched(run.model, partial(run.answers, [_of(sentence, [one])], lambda batch: [run.model(batch)]))
        own = [decided.pop(0) for _ in one.arguments] if decided else []
        labels, note = tags_of(one, len(sentence.tokens)), in_one_line(sentence, one)
        picture = picture_of(encoder.reading, lens, sentence.tokens, own, note=note, labels=labels)
        found.append(replace(picture, title=f"{sentence.tokens[one.predicate]} · {picture.title}"))
    return found


def tags_of(one: Proposition, length: int) -> list[str]:
    """BIO tags of the arguments, and V at the predicate."""
    tags = to_bio(one.arguments, length)
    tags[one.predicate] = PREDICATE if tags[one.predicate] == OUTSIDE else tags[one.predicate]
    return tags


def in_one_line(sentence: RoleSentence, one: Proposition) -> str:
    """killed (kill.01): ARG0 American forces; ARG1 …"""
    arguments = (f"{kind} {shortened(sentence.tokens[start:stop])}" for kind, start, stop in one.arguments)
    sense = f" ({one.sense})" if one.sense else ""
    return f"{sentence.tokens[one.predicate]}{sense}: {'; '.join(arguments) or 'no argument'}"


def probabilities(run: Run, said: Sequence[Proposition], batch: Batch) -> Tensor:
    """(copies, arguments): of each argument in copies of its sentence, the product of its tags' probabilities."""
    scores = run.model(batch).tags.log_softmax(-1).unflatten(0, (-1, len(said)))
    return torch.cat([_of_arguments(run, one.arguments, scores[:, row]) for row, one in enumerate(said)], 1)


def worst_errors(run: Run, sentences: Sequence[RoleSentence], said: Sequence[list[Proposition]], most: int) -> list[Picture]:
    """Of the propositions with a wrong argument, those of whose errors the run was most sure.

    `said` holds a proposition for each that is given, in their order.
    """
    scored = in_pieces(run, sentences, partial(_scores, run.model))
    found: list[tuple[RoleSentence, Proposition, Proposition]] = []
    errors: list[Errors] = []
    for sentence, propositions, scores in zip(sentences, said, scored, strict=True):
        for gold, one, row in zip(sentence.propositions or (), propositions, scores, strict=True):
            if set(gold.arguments) != set(one.arguments):
                found.append((sentence, gold, one))
                errors.append(_errors(run, gold, one, row))
    return [_picture_of_errors(run, *found[place], errors[place]) for place in worst(errors, most)]


def _picture_of_errors(run: Run, sentence: RoleSentence, gold: Proposition, said: Proposition, errors: Errors) -> Picture:
    (picture,) = pictures(run, sentence, [said])
    return picture_of_errors(picture, errors, tags_of(gold, len(sentence.tokens)), f"{sentence.tokens[gold.predicate]}: ")


def _errors(run: Run, gold: Proposition, said: Proposition, scores: Tensor) -> Errors:
    encoder: Any = run.encoder
    return Errors.of(gold.arguments, said.arguments, encoder.labels, lambda some: _of_arguments(run, some, scores[None])[0])


def _scores(model: Any, batch: Batch) -> list[Tensor]:
    """Of each sentence the log probabilities of tags, (propositions, words, tags)."""
    scores = model(batch)
    counts = scores.sentences.bincount(minlength=len(batch["lengths"])).tolist()
    parts = zip(scores.tags.float().log_softmax(-1).split(counts), batch["lengths"].tolist(), strict=True)
    return [part[:, :length] for part, length in parts]


def _of_arguments(run: Run, arguments: Sequence[Span], scores: Tensor) -> Tensor:
    """(copies, arguments), from log probabilities (copies, words, tags) of one proposition."""
    encoder: Any = run.encoder
    found = [scores.new_zeros(len(scores), 0)]
    for kind, start, stop in arguments:
        tags = [encoder.tag_number[f"{prefix}-{kind}"] for prefix in ("B", *"I" * (stop - start - 1))]
        found.append(scores[:, range(start, stop), tags].sum(1, keepdim=True).exp())
    return torch.cat(found, 1)


def _decided(run: Run, sentence: RoleSentence, said: Sequence[Proposition]) -> list[Decision]:
    """The arguments of all propositions, one after the other."""
    names: list[str] = []
    for one in said:
        names += distinct([f"{kind} {shortened(sentence.tokens[start:stop])}" for kind, start, stop in one.arguments])
    return decisions_of(run, _of(sentence, said), names, partial(probabilities, run, said))


def _of(sentence: RoleSentence, propositions: Sequence[Proposition]) -> RoleSentence:
    return replace(sentence, propositions=tuple(propositions))
