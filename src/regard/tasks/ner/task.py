"""Named entities: which words name what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from regard.data.entities import parse_entities, read_entities
from regard.data.files import Files
from regard.data.findings import INPUT, Finding, raise_first_error
from regard.data.quality import Fact, Labelled, check_parts
from regard.data.sentence import Sentence
from regard.data.spans import Span, to_bio
from regard.errors import InputError
from regard.metrics.errors import KINDS, split_errors
from regard.metrics.spans import score_spans
from regard.models.options import TaggerOptions
from regard.tasks.excerpt import excerpt
from regard.tasks.tagging import Tagging
from regard.tasks.task import Encoder

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture


@dataclass(frozen=True)
class Ner(Tagging):
    """Named entities: words, letters → BiLSTM → attention → CRF; strict span F1.

    Args:
        training: how it is trained
        words: how words are read
        encoder: a pretrained encoder that reads them too
        model: the tagger
    """

    name: ClassVar[str] = "ner"
    metric: ClassVar[str] = "f1_percent"
    reads_hub: ClassVar[bool] = True

    model: TaggerOptions = field(default_factory=TaggerOptions)

    def usual_epochs(self, num_examples: int) -> int:
        return 5 if self.encoder.path else 12

    def read(self, path: Path) -> tuple[list[Sentence], list[Finding]]:
        return read_entities(path)

    def compare(self, files: "Files", parts: dict[str, list[Sentence]]) -> list[Finding]:
        if files.train and parts["train"] and not any(sentence.spans for sentence in parts["train"]):
            message = "no entity in the training file: every tag is O. A model learns from tags such as B-PER."
            return [Finding("error", files.train, None, message)]
        labelled = {split: self.labelled(sentences) for split, sentences in parts.items()}
        return check_parts(files, labelled, self.encoder.max_pieces)

    def labelled(self, examples: Sequence[Sentence]) -> list[Labelled]:
        return [
            Labelled(one.tokens, tuple(span.type for span in one.spans), one.line, tuple(Fact(*span) for span in one.spans))
            for one in examples
        ]

    def describe(self, examples: Sequence[Sentence]) -> dict[str, Any]:
        entities = Counter(span.type for sentence in examples for span in sentence.spans)
        return {
            "sentences": len(examples),
            "tokens": sum(len(sentence.tokens) for sentence in examples),
            "entities": entities.total(),
            "per_type": dict(sorted(entities.items())),
        }

    def fit_encoder(self, examples: Sequence[Sentence]) -> Encoder:
        from regard.tasks.ner.encoder import EntityEncoder

        return EntityEncoder.fit(examples, self.words, self.encoder)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.ner.encoder import EntityEncoder

        return EntityEncoder.load(kept)

    def unknown(self, encoder: Any, examples: Sequence[Sentence]) -> set[str]:
        return {span.type for sentence in examples for span in sentence.spans}.difference(encoder.types)

    def build(self, encoder: Any) -> "Model":
        import torch

        from regard.data.spans import may_follow
        from regard.models.crf import LinearChainCRF
        from regard.models.tagger import Tagger

        if self.encoder.marked_layers:
            raise InputError("--encoder.marked_layers marks predicates, which srl has and ner has not.")
        tags = encoder.tags
        crf = LinearChainCRF(
            torch.tensor([[may_follow(before, after) for after in tags] for before in tags]),
            torch.tensor([may_follow("", tag) for tag in tags]),
            torch.tensor([may_follow(tag, "") for tag in tags]),
        )
        return Tagger(encoder.reading.build(self.words, self.encoder), self.model, crf, encoder.places)

    def tuned(self, run: Any, train: Sequence[Sentence], dev: Sequence[Sentence]) -> None:
        from regard.tasks.ner.balance import balance

        balance(run, dev, self.model.beta)

    def decode(self, encoder: Any, example: Sentence, raw: Any) -> list[Span]:
        return encoder.spans(raw) if example.tokens else []

    def decode_ranked(self, encoder: Any, example: Sentence, raw: Any) -> dict[str, Any]:
        if not example.tokens:
            return {**self.to_json(example, []), "readings": [{"probability": 1.0, "entities": []}]}
        first, *_ = readings = [encoder.spans(tags) for tags in raw.tags]
        record = self.to_json(example, first)
        for entity, probability in zip(record["entities"], raw.spans, strict=True):
            entity["confidence"] = round(probability, 4)
        ranked = zip(readings, raw.probabilities, strict=True)
        record["readings"] = [
            {"probability": round(probability, 4), "entities": _entities(example, spans)} for spans, probability in ranked
        ]
        return record

    def score(self, examples: Sequence[Sentence], predictions: Sequence[list[Span]]) -> dict[str, Any]:
        gold = [sentence.spans for sentence in examples]
        errors = split_errors(gold, predictions)
        return {
            **score_spans(gold, predictions),
            "errors": {kind: errors[kind] for kind in KINDS},
            "errors_per_type": errors["per_type"],
            "confusion": errors["confusion"],
        }

    def read_input(self, lines: list[str]) -> list[Sentence]:
        sentences, findings = parse_entities(lines, INPUT, labelled=False)
        raise_first_error(findings)
        return sentences

    def to_json(self, example: Sentence, prediction: list[Span]) -> dict[str, Any]:
        return {
            **({} if example.text is None else {"text": example.text}),
            "tokens": list(example.tokens),
            "tags": to_bio(prediction, len(example.tokens)),
            "entities": _entities(example, prediction),
        }

    def worth_showing(self, examples: Sequence[Sentence]) -> Sequence[Sentence]:
        return [example for example in examples if example.spans][:12] or examples[:12]

    def faithfulness(self, run: Any, examples: Sequence[Sentence], most: int) -> dict[str, str]:
        from regard.tasks.ner.faithfulness import faithfulness_of_run

        try:
            return faithfulness_of_run(run, examples, max_examples=most).facts()
        except InputError as reason:  # no entity was found, or there is no attention
            return {"faithfulness": f"not tested: {reason}"}

    def explain(self, encoder: Any, model: "Model", examples: Sequence[Sentence]) -> list["Picture"]:
        from regard.tasks.folder import Run
        from regard.tasks.ner.explain import picture

        run = Run(self, encoder, model)
        return [picture(run, example) for example in examples if example.tokens]

    def worst_errors(
        self, run: Any, examples: Sequence[Sentence], predictions: Sequence[list[Span]], most: int
    ) -> list["Picture"]:
        from regard.tasks.ner.explain import worst_errors

        return worst_errors(run, examples, predictions, most)


def _entities(example: Sentence, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Each with its tokens' numbers, and where the tokens were cut from a text, with its place in it in characters."""
    return [{"type": kind, "start": start, "end": stop, **excerpt(example, start, stop)} for kind, start, stop in spans]
