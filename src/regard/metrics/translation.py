"""Scores of translations, by sacreBLEU; Post 2018, arXiv:1804.08771."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TOKENIZERS = dict.fromkeys(("zh", "zho", "cmn", "yue"), "zh") | dict.fromkeys(
    ("ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya"), "char"
)
"""sacreBLEU's own, for languages without spaces between words; of all others it is 13a."""


def sentence_scores(translations: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF2 of each by itself, in per cent: BLEU says little of a single sentence."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [float(chrf.sentence_score(one, [other]).score) for one, other in zip(translations, references, strict=True)]


def bleu(translations: Sequence[str], references: Sequence[str], language: str = "") -> float:
    """BLEU alone, as `score_translations` has it: TER takes far longer, the longer the more errors there are."""
    from sacrebleu.metrics import BLEU

    if not translations:
        return 0.0
    return float(BLEU(tokenize=TOKENIZERS.get(language, "13a")).corpus_score(list(translations), [list(references)]).score)


def score_translations(translations: Sequence[str], references: Sequence[str], language: str = "") -> dict[str, Any]:
    """BLEU, chrF2 and TER of the whole, in per cent, with the signature that others can repeat BLEU by.

    `language` is the code of what was translated into, without region or script; it says how BLEU cuts a text.
    TER counts edits: lower is better, and it may pass 100. Without a translation all are 0.
    """
    from sacrebleu.metrics import BLEU, CHRF, TER

    tokenizer = TOKENIZERS.get(language, "13a")
    cased, lowercase = BLEU(tokenize=tokenizer), BLEU(tokenize=tokenizer, lowercase=True)
    given = list(translations), [list(references)]
    if not translations:
        return {"bleu_percent": 0.0, "bleu_lowercase_percent": 0.0, "chrf_percent": 0.0, "ter_percent": 0.0, "signature": ""}
    return {
        "bleu_percent": float(cased.corpus_score(*given).score),
        "bleu_lowercase_percent": float(lowercase.corpus_score(*given).score),
        "chrf_percent": float(CHRF().corpus_score(*given).score),
        "ter_percent": float(TER().corpus_score(*given).score),
        "signature": str(cased.get_signature()),
    }
