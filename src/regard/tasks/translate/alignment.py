"""Which source word each word of a translation comes from, by where the model looked while it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.data.pairs import Pair
from regard.errors import InputError
from regard.lens.watch import watch
from regard.tasks.folder import Run


def alignments(run: Run, examples: Sequence[Pair]) -> list[Float[Tensor, "target_words source_words"]]:
    """Of what a target word saw, how much was each source word: rows sum to one. Raises InputError without attention.

    Weights are means over heads; of a transformer those of the last layer but one, where they agree best with what people
    align (Garg et al. 2019, arXiv:1909.02074, section 4.1). Pieces of a source word are added up, rows of a target word
    averaged.
    """
    if not run.model.looks:
        raise InputError("the model has no attention to align by: it was trained with --model.mechanism none.")
    return run.answers([_known(example) for example in examples], lambda batch: _aligned(run, batch))


def links(weights: Float[Tensor, "target_words source_words"]) -> list[tuple[int, int]]:
    """The source word that each target word looked at most, as (source, target)."""
    return [(source, target) for target, source in enumerate(weights.argmax(1).tolist())] if weights.numel() else []


def _known(pair: Pair) -> Pair:
    if pair.target is None:
        raise InputError("only a text with its translation can be aligned.", line=pair.line)
    return pair


def _aligned(run: Run, batch: dict[str, Tensor]) -> list[Tensor]:
    encoder: Any = run.encoder
    found = []
    for row, source, target in zip(looks(run.model, batch), batch["source"], batch["outputs"], strict=True):
        rows, columns = (_words(tokens, side) for tokens, side in ((target, encoder.target), (source, encoder.source)))
        found.append(by_words(row, rows, columns))
    return found


def looks(model: Any, batch: dict[str, Tensor]) -> Float[Tensor, "batch target source"]:
    """Weights of each token of known translations over the tokens of their sources, as `alignments` takes them."""
    with watch(model, (), layers=model.looks, keep_calls=True) as lens, torch.no_grad():
        model(batch)
    names = lens.layers if model.is_stepwise else [lens.layers[max(0, len(lens.layers) - 2)]]
    return torch.cat([lens[name].weights() for name in names], 2).float().mean(1)


def _words(tokens: Tensor, side: Any) -> list[list[int]]:
    """The places of each word's pieces. A letter, or a space, may be in pieces itself: words are found in the bytes of all."""
    from regard.tasks.subwords import is_text

    pieces = [side.bytes_of(token) for token in tokens.tolist() if is_text(token)]
    if side.kind == "words":
        return [[place] for place in range(len(pieces))]
    words: list[list[int]] = []
    owners: list[int | None] = []  # of each byte, which word it is in
    is_space = True
    for char in b"".join(pieces).decode(errors="surrogateescape"):  # of a text that is cut short, the last may be half of one
        if is_space and not char.isspace():
            words.append([])
        is_space = char.isspace()
        owners += [None if is_space else len(words) - 1] * len(char.encode(errors="surrogateescape"))
    start = 0
    for place, piece in enumerate(pieces):
        for word in dict.fromkeys(owners[start : start + len(piece)]):
            if word is not None:
                words[word].append(place)
        start += len(piece)
    return words


def by_words(weights: Tensor, rows: list[list[int]], columns: list[list[int]]) -> Tensor:
    """Shares of source words in what target words saw; `rows` and `columns` are the places of each word's pieces."""
    if not rows or not columns:
        return weights.new_zeros(len(rows), len(columns))
    means = torch.stack([weights[places].mean(0) for places in rows])
    shares = torch.stack([means[:, places].sum(1) for places in columns], 1)
    return shares / shares.sum(1, keepdim=True).clamp_min(1e-9)
