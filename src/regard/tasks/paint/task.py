"""Painting: pictures like those of a folder."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.hub import folder_from_hub, is_data_set
from regard.data.pictures import Picture, describe_pictures, find_pictures, names_pictures, read_any_pictures
from regard.data.pictures.stores import ARCHIVES
from regard.data.splitting import evenly
from regard.models.options import COUNT, FeatureOptions, PainterOptions, PaintViewOptions, require
from regard.tasks.paint.checks import check_paintings
from regard.tasks.pictures.scored import scored_part
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.tasks.paint.painting import Painting
    from regard.tasks.paint.request import Request
    from regard.tasks.source import Source
    from regard.viewer.report import Picture as Page

USUAL_STEPS = 10_000
RATES = {"gan": 3e-4, "vae": 2e-3}
"""Learning rates where nobody names one."""
LEAST_DIVERSITY = 50.0
"""In per cent of the real pictures'; below it what is painted is told to be all alike."""


@dataclass(frozen=True)
class Paint(Task):
    """Image generation: pictures → a gan or a vae with attention → pictures like them; FID, KID.

    Args:
        training: how it is trained
        views: how pictures are brought to one size
        model: what paints
        features: what likeness to real pictures is measured by
        sample_steps: steps from one sheet of samples in the run folder to the next; 0 is none
    """

    name: ClassVar[str] = "paint"
    goal: ClassVar[Literal["max", "min"]] = "min"
    unit: ClassVar[str] = "pictures"
    reads: ClassVar[Literal["text", "pictures"]] = "pictures"
    reads_hub: ClassVar[bool] = True
    at_once: ClassVar[int] = 64
    when_reading: ClassVar[tuple[str, ...]] = ("model",)
    when_scoring: ClassVar[tuple[str, ...]] = ("features",)
    is_line_by_line: ClassVar[bool] = True

    training: Training = field(
        default_factory=lambda: Training(
            batch_size=64,
            learning_rate=0.0,
            weight_decay=0.0,
            max_gradient_norm=5.0,
            average_decay=0.999,
            patience=1000,
            score_every=0,
        )
    )
    views: PaintViewOptions = field(default_factory=PaintViewOptions)
    model: PainterOptions = field(default_factory=PainterOptions)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    sample_steps: int = 500

    def __post_init__(self) -> None:
        require(self, sample_steps=COUNT)
        if not self.training.learning_rate:
            object.__setattr__(self, "training", replace(self.training, learning_rate=RATES[self.model.name]))

    @property
    def metric(self) -> str:  # type: ignore[override]
        """Of features of the network that was chosen; only that of the Inception network is called FID."""
        return f"{self.features.prefix}fid"

    def usual_epochs(self, num_examples: int) -> int:
        return max(1, round(USUAL_STEPS / max(1, math.ceil(num_examples / self.training.batch_size))))

    @property
    def steps_to_score(self) -> int:
        return 250

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        if folder is not None and is_data_set(folder):
            folder = str(folder_from_hub(folder))
        return find_pictures(folder, given, is_labelled=False)

    def scored(self, given: str) -> Path:
        return scored_part(self.files, given, ARCHIVES)

    def read(self, path: Path) -> tuple[list[Picture], list[Finding]]:
        return read_any_pictures(path)

    def compare(self, files: Files, parts: dict[str, list[Picture]]) -> list[Finding]:
        return check_paintings(files, parts, self.model.classes)

    def describe(self, examples: Sequence[Picture]) -> dict[str, Any]:
        return describe_pictures(examples)

    def kind_of(self, example: Picture) -> str:
        return example.label or ""

    def fit_encoder(self, examples: Sequence[Picture]) -> Encoder:
        from regard.tasks.paint.encoder import PaintEncoder

        return PaintEncoder.fit(examples, self.model, self.views)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.paint.encoder import PaintEncoder

        return PaintEncoder.load(kept, is_mirrored=self.views.mirror)

    def cut(self, encoder: Any, examples: Sequence[Picture], *, is_training: bool) -> "Sequence[Request]":
        from regard.tasks.paint.request import Request

        views = encoder.viewer.views(examples, is_training=False)
        return [
            Request(
                None if is_training else number,
                view.picture.label if encoder.classes else None,
                view=view,
                viewer=encoder.viewer,
                is_training=is_training,
                line=number + 1,
            )
            for number, view in enumerate(views)
        ]

    def unknown(self, encoder: Any, examples: Sequence[Picture]) -> set[str]:
        return {picture.label or "" for picture in examples}.difference(encoder.classes) if encoder.classes else set()

    def build(self, encoder: Any) -> "Model":
        from regard.models.painting import build_painter

        return build_painter(self.model, encoder.sizes)

    def choosing(self, examples: "Sequence[Request]") -> "Sequence[Request]":
        from regard.tasks.paint.scores import prepared

        prepared(self.features)  # what is missing should not be found out after an hour
        return evenly(examples, self.features.num_dev)

    def tuned(self, run: Any, train: "Sequence[Request]", dev: "Sequence[Request]") -> None:
        from regard.tasks.paint.settling import settle

        settle(run, train)

    def decode(self, encoder: Any, example: "Request", raw: Any) -> "Painting":
        from regard.tasks.paint.painting import Painting

        return Painting.of(raw, encoder.label_of(example), encoder.error_of(example))

    def score(self, examples: "Sequence[Request]", predictions: "Sequence[Painting]") -> dict[str, Any]:
        from regard.tasks.paint.scores import scores

        return scores(self.features, examples, predictions)

    def remark(self, score: dict[str, Any]) -> str:
        found = score.get("diversity_percent", 100.0)
        if found >= LEAST_DIVERSITY:
            return ""
        gan = "a smaller --training.learning_rate, --model.gan.penalty 10 or --model.gan.objective relativistic"
        advice = gan if self.model.name == "gan" else "a smaller --model.vae.beta or --model.vae.free_bits 0.1"
        return (
            f"warning: what is painted is all alike: its pictures differ {found:.0f} % as much as real ones of their class do. "
            f"If that stays so, the model has collapsed: try {advice}."
        )

    @property
    def steps_to_samples(self) -> int:
        return self.sample_steps

    def samples(self, run: Any) -> bytes:
        from regard.tasks.paint.sheets import samples

        return samples(run)

    def opened(self, encoder: Any, source: str) -> "AbstractContextManager[Source]":
        from regard.tasks.paint.request import Count, Given

        if source.isdecimal() and not Path(source).exists():
            return Count.open(int(source))
        if names_pictures(source):
            return Given.open(encoder.viewer, source, encoder.classes)
        return super().opened(encoder, source)

    def read_input(self, lines: list[str]) -> "list[Request]":
        from regard.tasks.paint.request import read_requests

        return read_requests(lines)

    def to_json(self, example: "Request", prediction: "Painting") -> dict[str, Any]:
        return prediction.to_json(example)

    def draw(self, example: "Request", record: dict[str, Any], folder: Path) -> None:
        from regard.tasks.paint.painting import drawn

        drawn(example, record, folder)

    def figures(self, run: Any, examples: "Sequence[Request]", result: dict[str, Any]) -> Iterator[tuple[str, str | bytes]]:
        from regard.tasks.paint.sheets import all_sheets

        yield from all_sheets(run, examples)

    def explain(self, encoder: Any, model: "Model", examples: "Sequence[Request]") -> "list[Page]":
        from regard.tasks.folder import Run
        from regard.tasks.paint.explain import pages

        return pages(Run(self, encoder, model), examples)
