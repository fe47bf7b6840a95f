"""One contestant of tagging_speed.py, in a process of its own, so that its memory is its own.

    python benchmarks/tagging_peer.py spacy-train SENTENCES.json MODEL EPOCHS
    python benchmarks/tagging_peer.py spacy|regard SENTENCES.json MODEL

spaCy is trained with the configuration that `spacy init config --pipeline ner --optimize efficiency` writes. A predictor reads
its model, predicts once, then once for each line of standard input, and writes a line of JSON each time: words, seconds, peak
memory. It is given sentences as lists of words and gives back lists of (type, start, stop).
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Sentences = list[list[str]]
Entities = list[list[tuple[str, int, int]]]


def train_spacy(data: dict[str, Any], folder: str, epochs: int) -> dict[str, Any]:
    """Words a second while the weights are updated."""
    import spacy
    from spacy.cli.init_config import init_config
    from spacy.schemas import ConfigSchemaTraining
    from spacy.training import Example
    from spacy.util import load_model_from_config, registry

    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency")
    nlp = load_model_from_config(config, auto_fill=True)
    training = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
    examples = [
        _example(nlp, Example, words, entities) for words, entities in zip(data["words"], data["entities"], strict=True)
    ]
    nlp.initialize(lambda: examples)
    order, start = random.Random(0), time.perf_counter()
    passes = (example for _ in range(epochs) for example in order.sample(examples, len(examples)))
    for batch in training["batcher"](passes):
        nlp.update(batch, drop=training["dropout"], sgd=training["optimizer"])
    seconds = time.perf_counter() - start
    nlp.to_disk(folder)
    words = epochs * sum(map(len, data["words"]))
    return {"words": words, "seconds": seconds, "peak_memory_mb": _peak_memory_mb(), "version": spacy.__version__}


def _example(nlp: Any, kind: Any, words: list[str], entities: list[list[Any]]) -> Any:
    from spacy.tokens import Doc
    from spacy.tokens import Span as Entity

    doc, gold = Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words)
    gold.set_ents([Entity(gold, start, stop, label=label) for label, start, stop in entities])
    return kind(doc, gold)


def spacy_predictor(folder: str) -> Callable[[Sentences], Entities]:
    """spaCy's own way to many texts: nlp.pipe."""
    import spacy
    from spacy.tokens import Doc

    nlp = spacy.load(folder)

    def predict(sentences: Sentences) -> Entities:
        docs = nlp.pipe(Doc(nlp.vocab, words=words) for words in sentences)
        return [[(entity.label_, entity.start, entity.end) for entity in doc.ents] for doc in docs]

    return predict


def regard_predictor(folder: str) -> Callable[[Sentences], Entities]:
    """A run folder."""
    from regard.data.sentence import Sentence
    from regard.tasks.folder import load_run

    run = load_run(folder)
    return lambda sentences: run.predict([Sentence(tuple(words)) for words in sentences])


def serve(predict: Callable[[Sentences], Entities], sentences: Sentences) -> None:
    """The entities of the sentences, then how long it takes to find them again at each line that comes."""
    print(json.dumps(predict(sentences)), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        predict(sentences)
        seconds = time.perf_counter() - start
        told = {"words": sum(map(len, sentences)), "seconds": seconds, "peak_memory_mb": _peak_memory_mb()}
        print(json.dumps(told), flush=True)


def _peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Train or serve."""
    kind, path, model, *number = sys.argv[1:]
    data = json.loads(Path(path).read_text(encoding="utf8"))
    if kind == "spacy-train":
        print(json.dumps(train_spacy(data, model, int(number[0]))))
    else:
        predictor = {"spacy": spacy_predictor, "regard": regard_predictor}[kind]
        serve(predictor(model), data["words"])


if __name__ == "__main__":
    main()
