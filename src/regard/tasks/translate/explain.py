"""Which source tokens each token of a translation looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.data.pairs import Pair
from regard.lens.measure import measure_matrix
from regard.lens.watch import Lens, watch
from regard.tasks.explain import WANTED
from regard.tasks.folder import Run
from regard.tasks.translate.alignment import alignments, looks
from regard.viewer.picture import Layer
from regard.viewer.report import Extras, Picture

STOP = "▪"
ALIGNMENT, SOURCE = "alignment", "source words"


def pictures(run: Run, examples: Sequence[Pair]) -> list[Picture]:
    """A picture each, of the translation that the run gives; none of a model without attention."""
    if not run.model.looks:
        return []
    predictions = zip(examples, run.predict(examples), strict=True)
    return [_picture(run, one, found.texts[0] if found.texts else "") for one, found in predictions if one.source.strip()]


def pictures_saying(run: Run, example: Pair, text: str) -> list[Picture]:
    """One, of a translation that is given."""
    return [_picture(run, example, text)] if run.model.looks and example.source.strip() else []


def _picture(run: Run, example: Pair, text: str) -> Picture:
    encoder: Any = run.encoder
    said = replace(example, target=text)
    lens = _seen(run.model, encoder.collate([said]))
    source = [*encoder.source.pieces(encoder.source_tokens(example.source)[:-1]), STOP]
    target = [*encoder.target.pieces(encoder.target_tokens(text)[:-1]), STOP]
    note = "" if example.target is None else f"reference: {example.target}"
    picture = Picture.of(lens, f"{example.source} → {text}", source, queries=target, note=note)
    return _with_alignment(picture, alignments(run, [said])[0], said)


def _with_alignment(picture: Picture, weights: Tensor, said: Pair) -> Picture:
    """What the words of the translation come from stands before the layers; nothing where they are cut in another way."""
    words = {ALIGNMENT: (said.target or "").split(), SOURCE: said.source.split()}
    if weights.shape != tuple(map(len, words.values())) or not weights.numel():
        return picture
    found = measure_matrix(weights[None, None], None, WANTED).statistics
    layer = Layer(ALIGNMENT, found, (len(weights), weights.shape[1]), (0,), (ALIGNMENT, SOURCE), roles=("words to words",))
    return replace(picture, layers=[layer, *picture.layers], extras=Extras(texts=words))


def _seen(model: Any, batch: dict[str, Tensor]) -> Lens:
    """What one pass over a known translation looked at; of steps taken one by one, all in one reading."""
    if not model.is_stepwise:
        with watch(model, layers=model.looks) as lens, torch.no_grad():
            model(batch)
        return lens
    replayed = _Given(looks(model, batch)[:, None])
    with watch(replayed) as lens, torch.no_grad():
        width = replayed.given.new_zeros(*replayed.given.shape[:2], 1, 1)
        query, key = (width.expand(-1, -1, length, -1) for length in replayed.given.shape[2:])
        replayed(query, key, key)
    return lens


class _Given(Mechanism):
    """Weights that were computed before, to be looked at as one call."""

    def __init__(self, given: Tensor) -> None:
        super().__init__()
        self.given = given

    def weights(
        self, query: Tensor, key: Tensor, mask: Mask = everything, *, bias: Tensor | None = None, rows: range | None = None
    ) -> Tensor:
        return self.given if rows is None else self.given[:, :, rows.start : rows.stop]
