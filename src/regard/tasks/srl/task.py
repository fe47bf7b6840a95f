"""Semantic roles: who did what to whom, when, where, how."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.quality import Fact, Labelled, check_parts
from regard.data.roles import read_roles
from regard.data.roles.conll2005 import NO_WORD
from regard.data.sentence import Proposition, RoleSentence
from regard.errors import InputError
from regard.metrics.roles import score_predicates, score_roles
from regard.models.options import RoleDecodingOptions, RoleOptions
from regard.tasks.excerpt import excerpt
from regard.tasks.tagging import Tagging
from regard.tasks.task import Encoder, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture


class Roles(NamedTuple):
    """Of one sentence: the words found to be predicates, and the propositions of these and of all that were given."""

    found: list[int]
    propositions: list[Proposition]

    def at(self, predicates: Sequence[int]) -> list[Proposition]:
        """Those of some predicates."""
        wanted = set(predicates)
        return [one for one in self.propositions if one.predicate in wanted]


@dataclass(frozen=True)
class Srl(Tagging):
    """Semantic roles: words → LSTM → attention → a role for each word and predicate; argument F1 as srl-eval has it.

    Args:
        training: how it is trained
        words: how words are read
        encoder: a pretrained encoder that reads them too
        model: the layers
        decoding: what the roles of a predicate are held to
    """

    name: ClassVar[str] = "srl"
    metric: ClassVar[str] = "f1_percent"
    when_predicting: ClassVar[tuple[str, ...]] = ("decoding",)
    when_scoring: ClassVar[tuple[str, ...]] = ("decoding",)

    training: Training = field(default_factory=lambda: Training(batch_size=24, learning_rate=1.5e-3))
    model: RoleOptions = field(default_factory=RoleOptions)
    decoding: RoleDecodingOptions = field(default_factory=RoleDecodingOptions)

    def usual_epochs(self, num_examples: int) -> int:
        return 4 if self.encoder.path else 12

    def read(self, path: Path) -> tuple[list[RoleSentence], list[Finding]]:
        return read_roles(path)

    def compare(self, files: "Files", parts: dict[str, list[RoleSentence]]) -> list[Finding]:
        if files.train and not any(sentence.propositions for sentence in parts["train"]):
            message = "no predicate in the training file. A model learns from predicates and the spans of their arguments."
            return [Finding("error", files.train, None, message)]
        if files.train and all(word == NO_WORD for sentence in parts["train"] for word in sentence.tokens):
            message = "the training file has brackets and no words. A model learns from words, in the columns before."
            return [Finding("error", files.train, None, message)]
        labelled = {split: self.labelled(examples) for split, examples in parts.items()}
        return check_parts(files, labelled, self.encoder.max_pieces)

    def labelled(self, examples: Sequence[RoleSentence]) -> list[Labelled]:
        return [
            Labelled(
                sentence.tokens,
                tuple(argument.type for one in sentence.propositions or () for argument in one.arguments),
                sentence.line,
                tuple(fact for one in sentence.propositions or () for fact in _facts(one)),
            )
            for sentence in examples
        ]

    def describe(self, examples: Sequence[RoleSentence]) -> dict[str, Any]:
        propositions = [one for sentence in examples for one in sentence.propositions or ()]
        arguments = Counter(argument.type for one in propositions for argument in one.arguments)
        return {
            "sentences": len(examples),
            "tokens": sum(len(sentence.tokens) for sentence in examples),
            "predicates": len(propositions),
            "arguments": arguments.total(),
            "per_type": dict(sorted(arguments.items())),
        }

    def fit_encoder(self, examples: Sequence[RoleSentence]) -> Encoder:
        from regard.tasks.srl.encoder import RoleEncoder

        return RoleEncoder.fit(examples, self.words, self.encoder)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.srl.encoder import RoleEncoder

        return RoleEncoder.load(kept)

    def unknown(self, encoder: Any, examples: Sequence[RoleSentence]) -> set[str]:
        propositions = [one for sentence in examples for one in sentence.propositions or ()]
        return {argument.type for one in propositions for argument in one.arguments}.difference(encoder.labels)

    def build(self, encoder: Any) -> "Model":
        from regard.models.role_labeler import DeepRoleLabeler, DocumentRoleLabeler, RoleSizes

        if self.encoder.marked_layers and not (self.encoder.path and self.model.name == "deep"):
            raise InputError("--encoder.marked_layers needs an encoder, --encoder.path, below the deep model.")
        read = encoder.reading.build(self.words, self.encoder)
        kind = {"deep": DeepRoleLabeler, "document": DocumentRoleLabeler}[self.model.name]
        model = kind(read, RoleSizes(len(encoder.labels), max(1, len(encoder.senses)), encoder.core), self.model)
        model.is_core_unique = self.decoding.is_core_unique
        return model

    def decode(self, encoder: Any, example: RoleSentence, raw: Any) -> Roles:
        return Roles(raw.found, encoder.decode(example, raw))

    def score(self, examples: Sequence[RoleSentence], predictions: Sequence[Roles]) -> dict[str, Any]:
        gold = [sentence.propositions or () for sentence in examples]
        given = [one.at(_places(own)) for own, one in zip(gold, predictions, strict=True)]
        found = [one.at(one.found) for one in predictions]
        return {
            **score_roles(gold, given),
            **score_predicates(gold, found),
            "sense_accuracy_percent": score_predicates(gold, given)["sense_accuracy_percent"],
            "end_to_end_f1_percent": score_roles(_with_spurious(gold, found), found)["f1_percent"],
        }

    def read_input(self, lines: list[str]) -> list[RoleSentence]:
        from regard.tasks.srl.inputs import read_lines

        return read_lines(lines)

    def to_json(self, example: RoleSentence, prediction: Roles) -> dict[str, Any]:
        return {
            **({} if example.text is None else {"text": example.text}),
            "tokens": list(example.tokens),
            "predicates": [
                {
                    "predicate": one.predicate,
                    **excerpt(example, one.predicate, one.predicate + 1),
                    "sense": one.sense,
                    "arguments": [
                        {"type": kind, "start": start, "end": stop, **excerpt(example, start, stop)}
                        for kind, start, stop in one.arguments
                    ],
                }
                for one in _asked(example, prediction)
            ],
        }

    def worth_showing(self, examples: Sequence[RoleSentence]) -> Sequence[RoleSentence]:
        return [one for one in examples if any(own.arguments for own in one.propositions or ())][:12] or examples[:12]

    def explain(self, encoder: Any, model: "Model", examples: Sequence[RoleSentence]) -> list["Picture"]:
        from regard.tasks.folder import Run
        from regard.tasks.srl.explain import pictures

        run = Run(self, encoder, model)
        return [
            picture
            for example, prediction in zip(examples, run.predict(examples), strict=True)
            for picture in pictures(run, example, _asked(example, prediction))
        ]

    def worst_errors(
        self, run: Any, examples: Sequence[RoleSentence], predictions: Sequence[Roles], most: int
    ) -> list["Picture"]:
        from regard.tasks.srl.explain import worst_errors

        gold = [_places(example.propositions or ()) for example in examples]
        said = [prediction.at(places) for places, prediction in zip(gold, predictions, strict=True)]
        return worst_errors(run, examples, said, most)


def _asked(example: RoleSentence, prediction: Roles) -> list[Proposition]:
    """Of the predicates that were given; of those that were found where nobody gave any."""
    return prediction.at(prediction.found if example.propositions is None else _places(example.propositions))


def _facts(one: Proposition) -> list[Fact]:
    """Its sense and its arguments."""
    sense = Fact(one.sense or "a predicate", one.predicate, one.predicate + 1, one.predicate)
    return [sense, *(Fact(*argument, one.predicate) for argument in one.arguments)]


def _places(propositions: Iterable[Proposition]) -> list[int]:
    return [one.predicate for one in propositions]


def _with_spurious(gold: Sequence[Iterable[Proposition]], found: Sequence[list[Proposition]]) -> list[list[Proposition]]:
    """Gold with an empty proposition for each predicate that is none: srl-eval would pass over its arguments."""
    return [
        [*own, *(Proposition(place) for place in _places(some) if place not in _places(own))]
        for own, some in zip(gold, found, strict=True)
    ]
