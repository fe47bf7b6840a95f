"""Named entities: which words name what."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from regard.data.conll import looks_like_conll, parse_conll, read_conll
from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.sentence import Sentence
from regard.data.spans import Span, spans_of, to_bio
from regard.errors import InputError
from regard.metrics.spans import score_spans
from regard.models.options import TaggerOptions
from regard.tasks.task import Encoder, Task

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture

_WORD = re.compile(r"\w+(?:[-'’.]\w+)*|[@#]\w+|\S")


@dataclass(frozen=True)
class Ner(Task):
    """Named entities: words, letters → BiLSTM → attention → CRF; strict span F1.

    Args:
        training: how it is trained
        model: the tagger
    """

    name: ClassVar[str] = "ner"
    metric: ClassVar[str] = "f1_percent"

    model: TaggerOptions = field(default_factory=TaggerOptions)

    def read(self, path: Path) -> tuple[list[Sentence], list[Finding]]:
        return read_conll(path)

    def compare(self, files: "Files", parts: dict[str, list[Sentence]]) -> list[Finding]:
        found = []
        known = _types(parts.get("train", []))
        if files.train and parts["train"] and not known:
            message = "no entity in the training file: every tag is O. A model learns from tags such as B-PER."
            found.append(Finding("error", files.train, None, message))
        for split, path in files.items():
            for kind, sentence in sorted(_types(parts[split]).items()):
                if split != "train" and known and kind not in known:
                    message = f"type {kind} is not in the training file, so it can never be found."
                    found.append(Finding("warning", path, sentence.line, message))
        return found

    def describe(self, examples: Sequence[Sentence]) -> dict[str, Any]:
        entities = Counter(span.type for sentence in examples for span in sentence.spans)
        return {
            "sentences": len(examples),
            "tokens": sum(len(sentence.tokens) for sentence in examples),
            "entities": entities.total(),
            "per_type": dict(sorted(entities.items())),
        }

    def fit_encoder(self, examples: Sequence[Sentence]) -> Encoder:
        from regard.tasks.ner.encoder import SentenceEncoder

        return SentenceEncoder.fit(examples)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.ner.encoder import SentenceEncoder

        return SentenceEncoder(**kept)

    def build(self, encoder: Any) -> "Model":
        import torch

        from regard.data.spans import may_follow
        from regard.models.crf import LinearChainCRF
        from regard.models.tagger import Sizes, Tagger

        tags = encoder.tags
        crf = LinearChainCRF(
            torch.tensor([[may_follow(before, after) for after in tags] for before in tags]),
            torch.tensor([may_follow("", tag) for tag in tags]),
            torch.tensor([may_follow(tag, "") for tag in tags]),
        )
        affixes = tuple(len(affix) for affix in encoder.affixes)
        return Tagger(Sizes(len(encoder.words), len(encoder.letters), affixes, encoder.first_rare), self.model, crf)

    def decode(self, encoder: Any, example: Sentence, raw: list[int]) -> list[Span]:
        return spans_of([encoder.tags[number] for number in raw])

    def score(self, examples: Sequence[Sentence], predictions: Sequence[list[Span]]) -> dict[str, Any]:
        return score_spans([sentence.spans for sentence in examples], predictions)

    def read_input(self, lines: list[str]) -> list[Sentence]:
        if looks_like_conll(lines):
            return [Sentence(sentence.tokens) for sentence in parse_conll(lines, Path("input"))[0]]
        return [sentence for number, line in enumerate(lines, 1) if (sentence := _from_line(line, number)).tokens]

    def to_json(self, example: Sentence, prediction: list[Span]) -> dict[str, Any]:
        return {
            "tokens": list(example.tokens),
            "tags": to_bio(prediction, len(example.tokens)),
            "entities": [
                {"type": kind, "start": start, "end": stop, "text": " ".join(example.tokens[start:stop])}
                for kind, start, stop in prediction
            ],
        }

    def faithfulness(self, run: Any, examples: Sequence[Sentence], most: int) -> dict[str, str]:
        from regard.tasks.ner.faithfulness import faithfulness_of_run

        try:
            return faithfulness_of_run(run, examples, max_examples=most).facts()
        except InputError as reason:  # no entity was found
            return {"faithfulness": f"not tested: {reason}"}

    def explain(self, encoder: Any, model: "Model", examples: Sequence[Sentence]) -> list["Picture"]:
        from regard.lens.watch import watch
        from regard.tasks.folder import predict_one
        from regard.viewer.report import Picture

        pictures = []
        for example in examples:
            with watch(model) as lens:
                spans = predict_one(self, encoder, model, example)
            tags = to_bio(spans, len(example.tokens))
            found = ", ".join(f"{' '.join(example.tokens[start:stop])} → {kind}" for kind, start, stop in spans)
            pictures.append(Picture.of(lens, " ".join(example.tokens), example.tokens, note=found or "no entity", labels=tags))
        return pictures


def _types(sentences: Sequence[Sentence]) -> dict[str, Sentence]:
    """Each type, with the first sentence that has it."""
    first: dict[str, Sentence] = {}
    for sentence in sentences:
        for span in sentence.spans:
            first.setdefault(span.type, sentence)
    return first


def _from_line(line: str, number: int) -> Sentence:
    """A line of JSON with "tokens" or "text", or plain text, cut into words."""
    if line.lstrip().startswith("{"):
        try:
            given = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"line {number} starts like JSON but is not: {error}.") from None
        if isinstance(given.get("tokens"), list) and all(isinstance(token, str) for token in given["tokens"]):
            return Sentence(tuple(given["tokens"]), line=number)
        if not isinstance(given.get("text"), str):
            raise InputError(f'line {number} must have "tokens", a list of words, or "text".')
        line = given["text"]
    return Sentence(tuple(_WORD.findall(line)), line=number)
