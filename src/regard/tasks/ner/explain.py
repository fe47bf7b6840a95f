"""Where a tagger looks, what its entities rest on, and its worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from regard.data.sentence import Sentence
from regard.data.spans import Span, to_bio, to_bioes
from regard.models.model import Batch
from regard.tasks.errors import Errors, in_pieces, picture_of_errors, worst
from regard.tasks.excerpt import distinct, shortened
from regard.tasks.explain import picture_of, watched
from regard.tasks.folder import Run
from regard.tasks.occlusion import decisions_of
from regard.viewer.report import Picture


def picture(run: Run, sentence: Sentence) -> Picture:
    """Of the entities that the run finds in a sentence."""
    encoder: Any = run.encoder
    lens, (spans,) = watched(run.model, partial(run.predict, [sentence]))
    tokens, tags = sentence.tokens, to_bio(spans, len(sentence.tokens))
    names = distinct([f"{kind} {shortened(tokens[start:stop])}" for kind, start, stop in spans])
    decided = decisions_of(run, sentence, names, partial(probabilities, run, spans))
    note = ", ".join(f"{shortened(tokens[start:stop])} → {kind}" for kind, start, stop in spans)
    return picture_of(encoder.reading, lens, tokens, decided, note=note or "no entity", labels=tags)


def probabilities(run: Run, spans: Sequence[Span], batch: Batch) -> Tensor:
    """(copies, spans): of each entity in copies of its sentence, p = Z(its tags there) / Z of the CRF."""
    return _probabilities(run, spans, run.model(batch))


def _probabilities(run: Run, spans: Sequence[Span], emissions: Tensor) -> Tensor:
    """Of whole sentences, without padding."""
    model: Any = run.model
    encoder: Any = run.encoder
    is_token = torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device)
    copies, found = torch.arange(len(emissions)), []
    for span in spans:
        names = to_bioes([span], emissions.shape[1])[span.start : span.stop]
        tags = torch.tensor([encoder.tags.index(name) for name in names]).expand(len(copies), -1)
        given = (one.to(emissions.device) for one in (copies, torch.full_like(copies, span.start), tags))
        found.append(model.crf.span_probability(emissions, is_token, *given))
    return torch.stack(found, 1)


def worst_errors(run: Run, sentences: Sequence[Sentence], said: Sequence[list[Span]], most: int) -> list[Picture]:
    """Of the sentences that were tagged wrongly, those of whose errors the run was most sure."""
    wrong = [(one, spans) for one, spans in zip(sentences, said, strict=True) if set(one.spans) != set(spans)]
    scored = in_pieces(run, [sentence for sentence, _ in wrong], partial(_emissions, run.model))
    errors = [_errors(run, *one, emissions) for one, emissions in zip(wrong, scored, strict=True)]
    found = []
    for place in worst(errors, most):
        sentence = wrong[place][0]
        found.append(picture_of_errors(picture(run, sentence), errors[place], to_bio(sentence.spans, len(sentence.tokens))))
    return found


def _errors(run: Run, sentence: Sentence, said: list[Span], emissions: Tensor) -> Errors:
    encoder: Any = run.encoder
    return Errors.of(sentence.spans, said, encoder.types, lambda some: _probabilities(run, some, emissions[None])[0])


def _emissions(model: Any, batch: Batch) -> list[Tensor]:
    return [row[:length] for row, length in zip(model(batch).float(), batch["lengths"].tolist(), strict=True)]
