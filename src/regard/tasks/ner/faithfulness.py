"""Whether what a tagger looks at is what its entities rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from regard.data.sentence import Sentence
from regard.data.spans import Span
from regard.errors import InputError
from regard.lens.attributions import of_attention, of_gradients
from regard.lens.faithfulness import Example, Faithfulness, faithfulness
from regard.lens.watch import watch
from regard.tasks.folder import Run, predict_one
from regard.tasks.ner.explain import probabilities
from regard.tasks.occlusion import without


def faithfulness_of_run(run: Run, sentences: Sequence[Sentence], *, max_examples: int = 50, **options: Any) -> Faithfulness:
    """Of the entities that a run finds in sentences, first ones first; `options` are those of `lens.faithfulness`."""
    examples = list(islice(examples_of(run, sentences), max_examples))
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

    A word is taken away as `occlusion.without` does it. The prediction is made at the words of the entity. Attention is that
    of the tagger, between words; a pretrained encoder's, between pieces, is not among it.
    """
    model: Any = run.model
    if model.attention is None:
        raise InputError("the tagger has no attention: it was trained with --model.mechanism none.")
    model.eval()

    def score(kept: Tensor) -> Tensor:
        return probabilities(run, [span], without(run, sentence, kept))[:, 0]

    kept = torch.ones(1, len(sentence.tokens), dtype=torch.bool)
    with torch.no_grad(), watch(model, ["mass_received"], layers="attention*", keep_calls=True) as lens:
        model(without(run, sentence, kept))
    attributions = of_attention(lens, range(span.start, span.stop))
    return Example(score, attributions | of_gradients(model.read, lambda: score(kept)))
