"""Text classifiers of transformers, made ready for `faithfulness`."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import InputError
from regard.lens.attributions import of_attention, of_gradients
from regard.lens.faithfulness import Example
from regard.lens.watch import watch

REMOVALS = "token", "attention_mask"


def example_of(model: Any, tokenizer: Any, text: str, *, removal: str = "token", max_length: int | None = None) -> Example:
    """The prediction of an AutoModelForSequenceClassification for a text, with attributions from attention and gradients.

    A token is taken away by the tokenizer's mask token, or without one its unknown or padding token; with
    removal="attention_mask" nobody may look at it. Special tokens stay. The prediction is made at the first token where that is
    special, else (in a decoder) at the last.
    """
    if removal not in REMOVALS:
        raise InputError(f"removal must be one of {', '.join(REMOVALS)}, got {removal!r}.")
    given = tokenizer(text, return_tensors="pt", truncation=max_length is not None, max_length=max_length)
    given = {name: x.to(model.device) for name, x in given.items()}
    ids = given["input_ids"][0].tolist()
    is_special = torch.tensor(tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)).bool()
    subject = _Subject(model, given, _blank(tokenizer) if removal == "token" else None)
    place = 0 if is_special[0] else len(ids) - 1
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), watch(model, ["mass_received"], keep_calls=True) as lens:
            subject.choose(model(**given).logits)
        attributions = of_attention(lens, [place])
        kept = torch.ones(1, len(ids), dtype=torch.bool)
        attributions |= of_gradients(model.get_input_embeddings(), lambda: subject(kept))
    finally:
        model.train(was_training)
    return Example(subject, attributions, ~is_special)


def _blank(tokenizer: Any) -> int:
    """What stands in for a token that is taken away."""
    known = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    found = next((number for number in known if number is not None), None)
    if found is None:
        raise InputError("The tokenizer has no mask, unknown or padding token: take tokens away by removal='attention_mask'.")
    return int(found)


class _Subject:
    """Probability of the class that was predicted, given which tokens are kept."""

    def __init__(self, model: Any, given: dict[str, Tensor], blank: int | None) -> None:
        self.model, self.given, self.blank = model, given, blank
        self.chosen = 0
        self.sign = 1

    def choose(self, logits: Tensor) -> None:
        """Remember what is predicted; of a single yes-or-no logit, which side of it."""
        self.chosen = int(logits[0].argmax())
        self.sign = 1 if logits.shape[-1] > 1 or logits[0, 0] > 0 else -1

    def __call__(self, kept: Tensor) -> Tensor:
        was_training = self.model.training
        self.model.eval()
        try:
            return self._probability(self.model(**self._without(kept.to(self.model.device))).logits.float())
        finally:
            self.model.train(was_training)

    def _without(self, kept: Tensor) -> dict[str, Tensor]:
        given = {name: x.expand(len(kept), *x.shape[1:]) for name, x in self.given.items()}
        if self.blank is None:
            mask = given.get("attention_mask", torch.ones_like(given["input_ids"]))
            return {**given, "attention_mask": mask * kept}
        return {**given, "input_ids": given["input_ids"].where(kept, self.blank)}

    def _probability(self, logits: Tensor) -> Tensor:
        return probabilities(self.model.config, self.sign * logits)[:, self.chosen]


def probabilities(config: Any, logits: Float[Tensor, "*places classes"]) -> Float[Tensor, "*places classes"]:
    """Of each class: one of them holds, or each by itself where several may, and where there is one only."""
    is_each = logits.shape[-1] == 1 or config.problem_type == "multi_label_classification"
    return logits.sigmoid() if is_each else logits.softmax(-1)
