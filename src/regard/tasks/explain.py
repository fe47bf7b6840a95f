"""Pictures of a sentence: where a model looked, and before it what each of its decisions rests on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from regard.lens.measure import measure_matrix
from regard.lens.record import Lens
from regard.lens.statistics import Wanted
from regard.lens.watch import watch
from regard.models.model import Model
from regard.tasks.occlusion import MOST_WORDS, Decision
from regard.tasks.reading import Reading
from regard.viewer.picture import Layer
from regard.viewer.report import Extras, Picture

DECIDED = "decided on"
HOW_DECIDED = (
    "Decided on: each word was hidden in turn. A weight is the word's share of what a decision's probability falls by; a row "
    "is blank where no word lowers it by half a point of per cent."
)
WANTED = Wanted(("entropy_bits", "mean_distance", "mass_received", "block_map", "top_weights", "top_keys"), top_keys=8)


def watched(model: Model, see: Callable[[], Any], *, keep_calls: bool = False) -> tuple[Lens, Any]:
    """What the model looked at meanwhile, and what `see` returned. A model without attention leaves the lens empty."""
    with warnings.catch_warnings(), watch(model, keep_calls=keep_calls) as lens:
        warnings.filterwarnings("ignore", "No attention was seen")
        found = see()
    return lens, found


def picture_of(
    reading: Reading, lens: Lens, tokens: Sequence[str], decided: Sequence[Decision], *, note: str, labels: Sequence[str]
) -> Picture:
    """Layers of attention see words, those of a pretrained encoder pieces; decisions have a layer of their own."""
    texts, notes = _pieces(reading, tokens)
    picture = Picture.of(lens, " ".join(tokens), tokens, note=note, labels=labels, extras=Extras(texts=texts))
    if len(tokens) > MOST_WORDS:
        notes.append(f"What decisions rest on was not tested: the sentence has more than {MOST_WORDS} words.")
    if not decided:
        return replace(picture, notes=[*picture.notes, *notes])
    return replace(
        picture,
        layers=[decided_on(decided), *picture.layers],
        notes=[*picture.notes, *notes, HOW_DECIDED],
        extras=Extras({one.name: one.in_words(tokens) for one in decided}, texts=texts | {DECIDED: [d.name for d in decided]}),
    )


def decided_on(decided: Sequence[Decision]) -> Layer:
    """Decisions as queries that look at words: weights are shares of the fall."""
    shares = torch.stack([one.shares for one in decided])
    found = measure_matrix(shares[None, None], None, WANTED).statistics
    return Layer(DECIDED, found, (len(decided), shares.shape[1]), (0,), (DECIDED, "keys"), roles=("words hidden in turn",))


def _pieces(reading: Reading, tokens: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The pieces that a pretrained encoder reads, as a text; and a note where they are more than it reads at once."""
    if reading.pieces is None:
        return {}, []
    batch = reading.pieces.collate([tokens])
    ids, num_windows = batch["pieces"][0, : batch["piece_lengths"][0]], len(batch["pieces"])
    note = f"The encoder reads this sentence in {num_windows} windows; its layers show the first."
    pieces = [str(reading.pieces.tokenizer.id_to_token(number)) for number in ids.tolist()]
    return {"pieces": pieces}, [note] if num_windows > 1 else []
