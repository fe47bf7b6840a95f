"""Whether what a tagger looks at is what its entities rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from regard.data.sentence import Sentence
from regard.data.spans import Span, to_bioes
from regard.errors import InputError
from regard.lens.attributions import of_attention, of_gradients
from regard.lens.faithfulness import Example, Faithfulness, faithfulness
from regard.lens.watch import watch
from regard.models.blocks import positions_before
from regard.models.words import PADDING, UNKNOWN
from regard.tasks.folder import Run, predict_one


def faithfulness_of_run(run: Run, sentences: Sequence[Sentence], *, max_examples: int = 50, **options: Any) -> Faithfulness:
    """Of the entities that a run finds in sentences, first ones first; `options` are those of `lens.faithfulness`."""
    examples = [example for example, _ in zip(examples_of(run, sentences), range(max_examples), strict=False)]
    if not examples:
        raise InputError("faithfulness needs an entity that the model finds in a sentence of two words or more, got none.")
    return faithfulness(examples, **{"batch_size": 256, **options})


def examples_of(run: Run, sentences: Sequence[Sentence]) -> Iterator[Example]:
    """An example for each entity that the model finds, in sentences of two words or more."""
    for sentence in sentences:
        for span in predict_one(run.task, run.encoder, run.model, sentence) if len(sentence.tokens) > 1 else ():
            yield example_of(run, sentence, span)


def example_of(run: Run, sentence: Sentence, span: Span) -> Example:
    """One entity that was found: its score is the probability of its tags, p = Z(these tags here) / Z of the CRF.

    A word is taken away by the unknown word without letters. The prediction is made at the words of the entity.
    """
    model: Any = run.model
    encoder: Any = run.encoder
    model.eval()
    device = next(model.parameters()).device
    batch = {name: x.to(device) for name, x in encoder.collate([Sentence(sentence.tokens)]).items()}
    names = to_bioes([span], len(sentence.tokens))[span.start : span.stop]
    score = _score(model, batch, span.start, [encoder.tags.index(name) for name in names])
    with torch.no_grad(), watch(model, ["mass_received"], keep_calls=True) as lens:
        model(batch)
    attributions = of_attention(lens, range(span.start, span.stop))
    kept = torch.ones(1, len(sentence.tokens), dtype=torch.bool)
    return Example(score, attributions | of_gradients(model.read, lambda: score(kept)))


def _score(model: Any, batch: dict[str, Tensor], start: int, tags: list[int]) -> Callable[[Tensor], Tensor]:
    def score(kept: Tensor) -> Tensor:
        given = _without(batch, kept.to(batch["words"].device))
        emissions = model(given)
        is_token = positions_before(given["lengths"], emissions.shape[1])
        rows = torch.arange(len(kept), device=emissions.device)
        wanted = torch.tensor(tags, device=emissions.device).expand(len(kept), -1)
        return model.crf.span_probability(emissions, is_token, rows, torch.full_like(rows, start), wanted)

    return score


def _without(batch: dict[str, Tensor], kept: Tensor) -> dict[str, Tensor]:
    """A batch of one sentence, once for each mask."""
    given = {name: x.expand(len(kept), *x.shape[1:]) for name, x in batch.items()}
    return {
        "words": given["words"].where(kept, UNKNOWN),
        "affixes": given["affixes"].where(kept[..., None], UNKNOWN),
        "characters": given["characters"].where(kept[..., None], PADDING),
        "lengths": given["lengths"],
    }
