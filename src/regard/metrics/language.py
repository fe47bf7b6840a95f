"""How well a text was predicted."""

from __future__ import annotations

import math


def score_language(nats: float, num_tokens: int, num_characters: float, num_bytes: float) -> dict[str, float]:
    """From the loss of a whole text: nats and perplexity a token, bits a character and a byte of the text itself."""
    loss, bits = nats / max(1, num_tokens), nats / math.log(2)
    return {
        "loss_nats": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_character": bits / max(1, num_characters),
        "bits_per_byte": bits / max(1, num_bytes),
        "num_tokens": num_tokens,
    }
