"""Language generation: what follows a text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from regard.data.corpus import Block, Window, check_corpora, find_corpora, read_corpus
from regard.data.files import Files
from regard.data.findings import Finding
from regard.errors import InputError
from regard.metrics.language import score_language
from regard.models.options import LanguageOptions, ScoringOptions, TextOptions, WritingOptions
from regard.tasks.generate.prompt import Prompt, read_prompts
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture


@dataclass(frozen=True)
class Generate(Task):
    """Language generation: running text → a Transformer, or recurrent layers with one head of attention; nats a token.

    Args:
        training: how it is trained
        text: how text is cut
        model: the layers
        sampling: how a text is written
        scoring: how a text is scored
    """

    name: ClassVar[str] = "generate"
    metric: ClassVar[str] = "loss_nats"
    goal: ClassVar[Literal["max", "min"]] = "min"
    unit: ClassVar[str] = "tokens"
    when_reading: ClassVar[tuple[str, ...]] = ("text",)
    when_predicting: ClassVar[tuple[str, ...]] = ("sampling",)
    when_scoring: ClassVar[tuple[str, ...]] = ("scoring",)
    is_lenient: ClassVar[bool] = True
    is_line_by_line: ClassVar[bool] = True
    piece: ClassVar[int] = 1

    training: Training = field(
        default_factory=lambda: Training(batch_size=16, learning_rate=2e-3, weight_decay=0.1, max_gradient_norm=1.0)
    )
    text: TextOptions = field(default_factory=TextOptions)
    model: LanguageOptions = field(default_factory=LanguageOptions)
    sampling: WritingOptions = field(default_factory=WritingOptions)
    scoring: ScoringOptions = field(default_factory=ScoringOptions)

    def __post_init__(self) -> None:
        if self.scoring.stride > self.text.context:
            message = f"stride must be at most the context of {self.text.context} tokens, got {self.scoring.stride}."
            raise InputError(message)

    def usual_epochs(self, num_examples: int) -> int:
        return 10

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        return find_corpora(folder, given)

    def read(self, path: Path) -> tuple[list[Block], list[Finding]]:
        return read_corpus(path)

    def compare(self, files: Files, parts: dict[str, list[Block]]) -> list[Finding]:
        kind = self.text.tokens
        return check_corpora(files, parts, is_words=kind == "words", is_characters=kind == "characters")

    def describe(self, examples: Sequence[Block]) -> dict[str, Any]:
        return {
            "documents": sum(block.num_documents for block in examples) or min(1, len(examples)),
            "lines": sum(block.num_lines for block in examples),
            "characters": sum(block.num_characters for block in examples),
            "bytes": sum(block.num_bytes for block in examples),
        }

    def fit_encoder(self, examples: Sequence[Block]) -> Encoder:
        from regard.tasks.generate.encoder import TextEncoder

        return TextEncoder.fit(examples, self.text, self.scoring.stride, is_endless=self.model.is_endless)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.generate.encoder import TextEncoder

        return TextEncoder.load(kept, self.text, self.scoring.stride, is_endless=self.model.is_endless)

    def cut(self, encoder: Any, examples: Sequence[Block], *, is_training: bool) -> Sequence[Window]:
        return encoder.cut(examples, is_training=is_training)

    def build(self, encoder: Any) -> "Model":
        from regard.models.recurrent_language import RecurrentLanguage
        from regard.models.transformer_language import TransformerLanguage

        kind = {"transformer": TransformerLanguage, "recurrent": RecurrentLanguage}[self.model.name]
        return kind(encoder.language(self.sampling), self.model, self.sampling)

    def decode(self, encoder: Any, example: Window | Prompt, raw: Any) -> float | str:
        return raw if isinstance(example, Window) else encoder.written(raw, example.text, self.sampling.stop)

    def score(self, examples: Sequence[Window], predictions: Sequence[float]) -> dict[str, Any]:
        text, num_tokens = examples[0].text, sum(window.stop - window.start for window in examples)
        share = num_tokens / max(1, text.num_tokens)
        return score_language(sum(predictions), num_tokens, share * text.num_characters, share * text.num_bytes)

    def stream(self, run: Any, example: Prompt) -> Iterator[str]:
        from regard.tasks.generate.streaming import stream

        return stream(run, example)

    def read_input(self, lines: list[str]) -> list[Prompt]:
        return read_prompts(lines)

    def to_json(self, example: Prompt, prediction: str) -> dict[str, Any]:
        if example.error:
            return {"prompt": "", "text": "", "error": example.error}
        return {"prompt": example.text, "text": prediction}

    def worth_showing(self, examples: Sequence[Window]) -> Sequence[Window]:
        return examples[:4]

    def worst_errors(self, run: Any, examples: Sequence[Window], predictions: Sequence[float], most: int) -> list["Picture"]:
        losses = [loss / (one.stop - one.start) for one, loss in zip(examples, predictions, strict=True)]
        worst = sorted(range(len(examples)), key=lambda place: -losses[place])[:most]
        return self.explain(run.encoder, run.model, [examples[place] for place in worst])

    def explain(self, encoder: Any, model: "Model", examples: Sequence[Any]) -> list["Picture"]:
        from regard.tasks.folder import Run
        from regard.tasks.generate.explain import pictures

        return pictures(Run(self, encoder, model), examples)
