"""Image classification: what a picture shows."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.hub import folder_from_hub, is_data_set
from regard.data.pictures import Picture, check_pictures, describe_pictures, find_pictures, read_pictures
from regard.errors import InputError
from regard.metrics.classes import score_classes
from regard.models.options import AugmentOptions, ClassifierOptions, ViewOptions
from regard.tasks.pictures.scored import scored_part
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.tasks.classify.verdict import Verdict
    from regard.tasks.pictures.views import View
    from regard.tasks.source import Source
    from regard.viewer.report import Picture as Page


@dataclass(frozen=True)
class Classify(Task):
    """Image classification: pictures in folders → a network with gates or attention → their classes; top-1 accuracy.

    Args:
        training: how it is trained
        views: how pictures are brought to one size
        augment: how training pictures are changed
        model: the layers
        is_balanced: an error in a rare class counts more, so that all classes weigh the same
    """

    name: ClassVar[str] = "classify"
    metric: ClassVar[str] = "top1_percent"
    unit: ClassVar[str] = "pictures"
    reads: ClassVar[Literal["text", "pictures"]] = "pictures"
    reads_hub: ClassVar[bool] = True
    at_once: ClassVar[int] = 64
    formats: ClassVar[tuple[str, ...]] = ("onnx", "torch")

    training: Training = field(
        default_factory=lambda: Training(
            batch_size=64, learning_rate=3e-3, weight_decay=0.05, max_gradient_norm=1.0, average_decay=0.99, patience=12
        )
    )
    views: ViewOptions = field(default_factory=ViewOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    model: ClassifierOptions = field(default_factory=ClassifierOptions)
    is_balanced: bool = False

    def usual_epochs(self, num_examples: int) -> int:
        return 20

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        if folder is not None and is_data_set(folder):
            folder = str(folder_from_hub(folder))
        return find_pictures(folder, given)

    def scored(self, given: str) -> Path:
        return scored_part(self.files, given)

    def read(self, path: Path) -> tuple[list[Picture], list[Finding]]:
        return read_pictures(path)

    def compare(self, files: Files, parts: dict[str, list[Picture]]) -> list[Finding]:
        return check_pictures(files, parts)

    def describe(self, examples: Sequence[Picture]) -> dict[str, Any]:
        return describe_pictures(examples)

    def kind_of(self, example: Picture) -> str:
        return example.label or ""

    def fit_encoder(self, examples: Sequence[Picture]) -> Encoder:
        from regard.models.pictures import normalisation
        from regard.tasks.classify.encoder import PictureEncoder

        return PictureEncoder.fit(examples, self.views, normalisation(self.model), self.augment)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.classify.encoder import PictureEncoder

        return PictureEncoder.load(kept, self.augment)

    def cut(self, encoder: Any, examples: Sequence[Picture], *, is_training: bool) -> "Sequence[View]":
        return encoder.viewer.views(examples, is_training=is_training)

    def unknown(self, encoder: Any, examples: Sequence[Picture]) -> set[str]:
        return {picture.label or "" for picture in examples}.difference(encoder.names)

    def build(self, encoder: Any) -> "Model":
        from regard.models.pictures import build_classifier

        return build_classifier(self.model, encoder.sizes(is_balanced=self.is_balanced))

    def load_pretrained(self, model: Any) -> None:
        if self.model.name == "pretrained":
            model.load_pretrained()

    def decode(self, encoder: Any, example: "View", raw: Any) -> "Verdict":
        from regard.tasks.classify.verdict import Verdict

        return Verdict.of(encoder.names, raw, is_blank=bool(example.error))

    def score(self, examples: "Sequence[View]", predictions: "Sequence[Verdict]") -> dict[str, Any]:
        import numpy as np

        names = predictions[0].names
        for view in examples:
            if view.picture.label not in names:
                message = f"the class must be one that the run knows ({', '.join(names)}), got {view.picture.label}."
                raise InputError(message, file=view.picture.name, line=view.picture.line)
        truth = [names.index(view.picture.label or "") for view in examples]
        return score_classes(truth, np.stack([one.probabilities for one in predictions]), names)

    def opened(self, encoder: Any, source: str) -> "AbstractContextManager[Source]":
        from regard.tasks.pictures.source import PictureSource

        return PictureSource.open(encoder.viewer, source)

    def to_json(self, example: "View", prediction: "Verdict") -> dict[str, Any]:
        return prediction.to_json(example)

    def export(self, run: Any, format: str, folder: Path) -> dict[str, Any]:
        from torch import nn

        from regard.tasks.pictures.onnx import Program, export, facts_of

        viewer = run.encoder.viewer
        shape = viewer.channels, viewer.size, viewer.size
        facts = {"task": self.name, "classes": run.encoder.names, **facts_of(viewer)}
        model = nn.Sequential(run.model, nn.Softmax(1))
        return export(Program.of(model, run.encoder.normalisation, shape, ("probabilities",), **facts), format, folder)

    def faithfulness(self, run: Any, examples: "Sequence[View]", most: int) -> dict[str, str]:
        from regard.tasks.classify.explain import tested

        found = tested(run, examples[:most])
        return found.facts() if found else {}

    def explain(self, encoder: Any, model: "Model", examples: "Sequence[View]") -> "list[Page]":
        from regard.tasks.classify.explain import pages
        from regard.tasks.folder import Run

        return pages(Run(self, encoder, model), examples)

    def worst_errors(self, run: Any, examples: "Sequence[View]", predictions: "Sequence[Verdict]", most: int) -> "list[Page]":
        from regard.tasks.classify.explain import worst_errors

        return worst_errors(run, examples, predictions, most)

    def figures(self, run: Any, examples: "Sequence[View]", result: dict[str, Any]) -> Iterator[tuple[str, str | bytes]]:
        from regard.viewer.confusion import confusion

        yield "confusion.svg", confusion(**result["confusion"])
