"""Dates as people write them in many languages, into ISO 8601: the example that `regard demo` trains."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from regard.data.dates import WrittenDate, read_dates
from regard.data.files import Files
from regard.data.findings import Finding
from regard.models.options import TransducerOptions
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.viewer.report import Picture


@dataclass(frozen=True)
class Dates(Task):
    """Written dates → ISO 8601: recurrent encoder and decoder with additive attention; exact match.

    Args:
        training: how they are trained
        model: the encoder and decoder
    """

    name: ClassVar[str] = "dates"
    metric: ClassVar[str] = "exact_match_percent"
    unit: ClassVar[str] = "letters"

    model: TransducerOptions = field(default_factory=TransducerOptions)
    training: Training = field(
        default_factory=lambda: Training(batch_size=64, learning_rate=4e-3, max_gradient_norm=1.0, precision="float32")
    )

    def usual_epochs(self, num_examples: int) -> int:
        return 3

    def read(self, path: Path) -> tuple[list[WrittenDate], list[Finding]]:
        return read_dates(path)

    def compare(self, files: "Files", parts: dict[str, list[WrittenDate]]) -> list[Finding]:
        known = {date.text for date in parts.get("train", [])}
        return [
            Finding("warning", path, None, f"{num_shared} of its texts stand in the training file too; its score is too good.")
            for split, path in files.items()
            if split != "train" and (num_shared := sum(date.text in known for date in parts[split]))
        ]

    def describe(self, examples: Sequence[WrittenDate]) -> dict[str, Any]:
        return {"dates": len(examples), "locales": len({date.locale for date in examples})}

    def fit_encoder(self, examples: Sequence[WrittenDate]) -> Encoder:
        from regard.tasks.dates.encoder import DateEncoder

        return DateEncoder.fit(examples)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.dates.encoder import DateEncoder

        return DateEncoder(**kept)

    def build(self, encoder: Any) -> "Model":
        from regard.models.transducer import Transducer
        from regard.tasks.dates.encoder import ISO_LENGTH

        return Transducer(len(encoder.letters), encoder.num_targets, ISO_LENGTH, self.model)

    def decode(self, encoder: Any, example: WrittenDate, raw: list[int]) -> str:
        return encoder.spell(raw)

    def score(self, examples: Sequence[WrittenDate], predictions: Sequence[str]) -> dict[str, Any]:
        hits: dict[str, list[bool]] = defaultdict(list)
        for date, prediction in zip(examples, predictions, strict=True):
            hits[date.locale].append(date.iso == prediction)
        total = sum(map(len, hits.values()))
        return {
            "exact_match_percent": 100 * sum(map(sum, hits.values())) / total if total else 0.0,
            "per_locale": {locale: 100 * sum(hit) / len(hit) for locale, hit in sorted(hits.items())},
            "num_dates": total,
        }

    def read_input(self, lines: list[str]) -> list[WrittenDate]:
        texts = ((number, line.split("\t")[0].strip()) for number, line in enumerate(lines, 1))
        return [WrittenDate(text, line=number) for number, text in texts if text]

    def to_json(self, example: WrittenDate, prediction: str) -> dict[str, Any]:
        return {"text": example.text, "iso": prediction}

    def worth_showing(self, examples: Sequence[WrittenDate]) -> Sequence[WrittenDate]:
        return examples_of_each_locale(examples)

    def explain(self, encoder: Any, model: "Model", examples: Sequence[WrittenDate]) -> list["Picture"]:
        import torch

        from regard.lens.watch import watch
        from regard.tasks.folder import predict_one
        from regard.viewer.report import Picture

        pictures = []
        for example in examples:
            iso = predict_one(self, encoder, model, example)
            with watch(model) as lens, torch.no_grad():
                model(encoder.collate([replace(example, iso=iso.replace("?", "0"))]))  # all steps are one call of attention
            right = "" if example.iso is None else " ✓" if example.iso == iso else f" ✗ ({example.iso})"
            title = f"{example.locale}: {example.text}" if example.locale else example.text
            pictures.append(Picture.of(lens, title, list(example.text), queries=list(iso), note=f"→ {iso}{right}"))
        return pictures


def examples_of_each_locale(dates: Sequence[WrittenDate]) -> list[WrittenDate]:
    """The longest text of each locale: a page that shows every language once."""
    longest: dict[str, WrittenDate] = {}
    for date in dates:
        if len(date.text) > len(longest.get(date.locale, WrittenDate("")).text):
            longest[date.locale] = date
    return [longest[locale] for locale in sorted(longest)]
