"""Translation: one language into another, or any text into any other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.pairs import Languages, Pair, check_pairs, find_pairs, read_pairs, way_of
from regard.data.pairs.languages import base
from regard.errors import InputError
from regard.metrics.translation import bleu, score_translations
from regard.models.options import PairOptions, SamplingOptions, SearchOptions, TranslatorOptions
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture


@dataclass(frozen=True)
class Translation:
    """What a model writes, best first."""

    texts: tuple[str, ...]
    scores: tuple[float, ...] = ()
    is_shortened: bool = False
    """Was only the beginning of the source read?"""


@dataclass(frozen=True)
class Translate(Task):
    """Translation: texts and their translations → recurrent or Transformer encoder-decoder, beam search; sacreBLEU.

    Args:
        training: how it is trained
        languages: which of the languages found is translated into which
        text: how texts are cut
        model: the layers
        search: how a translation is looked for
        sampling: how one is drawn instead, at a temperature above 0
    """

    name: ClassVar[str] = "translate"
    metric: ClassVar[str] = "bleu_percent"
    unit: ClassVar[str] = "tokens"
    when_reading: ClassVar[tuple[str, ...]] = ("languages",)
    is_line_by_line: ClassVar[bool] = True
    when_predicting: ClassVar[tuple[str, ...]] = ("search", "sampling")
    when_scoring: ClassVar[tuple[str, ...]] = ("search", "sampling")
    is_lenient: ClassVar[bool] = True
    formats: ClassVar[tuple[str, ...]] = ("ctranslate2",)
    is_exact: ClassVar[bool] = True

    training: Training = field(
        default_factory=lambda: Training(batch_tokens=6000, learning_rate=2e-3, max_gradient_norm=1.0, patience=10)
    )
    languages: Languages = field(default_factory=Languages)
    text: PairOptions = field(default_factory=PairOptions)
    model: TranslatorOptions = field(default_factory=TranslatorOptions)
    search: SearchOptions = field(default_factory=SearchOptions)
    sampling: SamplingOptions = field(default_factory=lambda: SamplingOptions(temperature=0.0))

    def usual_epochs(self, num_examples: int) -> int:
        return 30

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        return find_pairs(folder, given, self.languages)

    def settled(self, files: Files) -> "Translate":
        path = files.train or files.dev or files.test
        found = way_of(path, self.languages) if path else None
        return replace(self, languages=found or self.languages)

    def read(self, path: Path) -> tuple[list[Pair], list[Finding]]:
        return read_pairs(path, self.languages)

    def compare(self, files: Files, parts: dict[str, list[Pair]]) -> list[Finding]:
        return check_pairs(files, parts)

    def describe(self, examples: Sequence[Pair]) -> dict[str, Any]:
        return {
            "pairs": len(examples),
            "source_words": sum(len(pair.source.split()) for pair in examples),
            "target_words": sum(len((pair.target or "").split()) for pair in examples),
        }

    def fit_encoder(self, examples: Sequence[Pair]) -> Encoder:
        from regard.tasks.translate.encoder import PairEncoder

        return PairEncoder.fit(examples, self.text)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.translate.encoder import PairEncoder

        return PairEncoder.load(kept)

    def build(self, encoder: Any) -> "Model":
        from regard.models.recurrent_translator import RecurrentTranslator
        from regard.models.transformer_translator import TransformerTranslator
        from regard.models.translator import Sizes

        kind = {"transformer": TransformerTranslator, "recurrent": RecurrentTranslator}[self.model.name]
        sizes = Sizes(len(encoder.source), len(encoder.target), encoder.is_joint, encoder.max_tokens)
        model = kind(sizes, self.model, self.search)
        model.sampling = self.sampling
        return model

    def decode(self, encoder: Any, example: Pair, raw: Any) -> Translation:
        if not example.source.strip():  # nothing says nothing
            return Translation((example.prefix,), (0.0,))
        if example.target is None:
            encoder.warn(example)
        begun = encoder.begun(example)[1:]
        texts = tuple(encoder.target.decode([*begun, *hypothesis.tokens]) for hypothesis in raw)
        return Translation(texts, tuple(hypothesis.score for hypothesis in raw), encoder.is_shortened(example))

    def decode_ranked(self, encoder: Any, example: Pair, raw: Any) -> dict[str, Any]:
        found = self.decode(encoder, example, raw)
        readings: list[dict[str, Any]] = [{"translation": text} for text in found.texts]
        if not self.sampling.temperature:
            best: dict[str, float] = {}
            for text, score in zip(found.texts, found.scores, strict=True):
                best.setdefault(text, round(score, 4))  # the same text may be found in other pieces too
            readings = [{"translation": text, "score": score} for text, score in best.items()]
        return {**self.to_json(example, found), "readings": readings}

    def score(self, examples: Sequence[Pair], predictions: Sequence[Translation]) -> dict[str, Any]:
        return score_translations(*self._told(examples, predictions))

    def dev_score(self, examples: Sequence[Pair], predictions: Sequence[Translation]) -> dict[str, Any]:
        return {"bleu_percent": bleu(*self._told(examples, predictions))}

    def _told(self, examples: Sequence[Pair], predictions: Sequence[Translation]) -> tuple[list[str], list[str], str]:
        """Translations, references, and the language of both."""
        texts = [prediction.texts[0] if prediction.texts else "" for prediction in predictions]
        return texts, [pair.target or "" for pair in examples], base(self.languages.target).lower()

    def read_input(self, lines: list[str]) -> list[Pair]:
        from regard.tasks.translate.inputs import read_lines

        return read_lines(lines)

    def to_json(self, example: Pair, prediction: Translation) -> dict[str, Any]:
        shortened = {"is_shortened": True} if prediction.is_shortened else {}
        if example.error:
            return {"source": example.source, "translation": "", "error": example.error}
        return {"source": example.source, "translation": prediction.texts[0] if prediction.texts else "", **shortened}

    def align(self, run: Any, examples: Sequence[Pair], records: Sequence[dict[str, Any]]) -> None:
        from regard.data.pairs.pharaoh import to_pharaoh
        from regard.tasks.translate.alignment import alignments, links

        said = [replace(pair, target=record["translation"]) for pair, record in zip(examples, records, strict=True)]
        for weights, record in zip(alignments(run, said), records, strict=True):
            record["alignment"] = to_pharaoh(links(weights))
            record["alignment_weights"] = [[round(share, 4) for share in row] for row in weights.tolist()]

    def export(self, run: Any, format: str, folder: Path) -> dict[str, Any]:
        from regard.tasks.translate.ctranslate2 import export

        return export(run, folder)

    def worst_errors(
        self, run: Any, examples: Sequence[Pair], predictions: Sequence[Translation], most: int
    ) -> list["Picture"]:
        from regard.metrics.translation import sentence_scores

        texts = [prediction.texts[0] if prediction.texts else "" for prediction in predictions]
        scores = sentence_scores(texts, [pair.target or "" for pair in examples])
        worst = sorted(range(len(examples)), key=scores.__getitem__)[:most]
        return self.explain(run.encoder, run.model, [examples[place] for place in worst])

    def worth_showing(self, examples: Sequence[Pair]) -> Sequence[Pair]:
        return sorted(examples[:200], key=lambda pair: abs(len(pair.source.split()) - 14))[:12]

    def explain(self, encoder: Any, model: "Model", examples: Sequence[Pair]) -> list["Picture"]:
        from regard.tasks.folder import Run
        from regard.tasks.translate.explain import pictures

        return pictures(Run(self, encoder, model), examples)

    def explain_saying(self, run: Any, examples: Sequence[Pair], said: str) -> list["Picture"]:
        from regard.tasks.translate.explain import pictures_saying

        if len(examples) != 1:
            raise InputError(f"--target is what one text is to become, the input has {len(examples)}.")
        return pictures_saying(run, examples[0], said)
