"""Losses of a text in the units that people compare."""

import math

import pytest

from regard.metrics.language import score_language


def test_a_hand_sum():
    found = score_language(nats=8 * math.log(2), num_tokens=4, num_characters=2, num_bytes=3)
    assert found == pytest.approx(
        {
            "loss_nats": 2 * math.log(2),
            "perplexity": 4.0,
            "bits_per_character": 4.0,
            "bits_per_byte": 8 / 3,
            "num_tokens": 4,
        }
    )


def test_a_model_that_knows_nothing_has_a_number_too():
    assert math.isfinite(score_language(1e9, 10, 10, 10)["perplexity"])
    assert score_language(0.0, 0, 0, 0)["loss_nats"] == 0
