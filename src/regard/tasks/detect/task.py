"""Object detection: what is in a picture, and where."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from regard.data.boxes import Scene, check_scenes, describe_scenes, find_scenes, read_scenes
from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.pictures.stores import ARCHIVES
from regard.metrics.boxes import best_threshold, score_boxes
from regard.models.options import DetectorOptions, FindingOptions, SceneAugmentOptions, SceneOptions
from regard.tasks.pictures.scored import scored_part
from regard.tasks.task import Encoder, Task, Training

if TYPE_CHECKING:
    from regard.models.model import Model
    from regard.tasks.detect.detection import Detections
    from regard.tasks.detect.scenes import SceneView
    from regard.tasks.source import Source
    from regard.viewer.report import Picture as Page


@dataclass(frozen=True)
class Detect(Task):
    """Object detection: pictures with boxes → a pretrained network, attention, queries that find one thing each; COCO's mAP.

    Args:
        training: how it is trained
        views: how pictures are brought to one size
        augment: how training pictures are changed
        model: the layers
        finding: what of what is found is told
    """

    name: ClassVar[str] = "detect"
    metric: ClassVar[str] = "map_percent"
    unit: ClassVar[str] = "pictures"
    reads: ClassVar[Literal["text", "pictures"]] = "pictures"
    at_once: ClassVar[int] = 8
    formats: ClassVar[tuple[str, ...]] = ("onnx", "torch")
    when_predicting: ClassVar[tuple[str, ...]] = ("finding",)
    when_scoring: ClassVar[tuple[str, ...]] = ("finding",)

    training: Training = field(
        default_factory=lambda: Training(  # in half precision, the pretrained networks are slower on a CPU
            batch_size=8,
            learning_rate=5e-4,
            weight_decay=0.01,
            max_gradient_norm=10.0,
            average_decay=0.99,
            patience=20,
            precision="float32",
        )
    )
    views: SceneOptions = field(default_factory=SceneOptions)
    augment: SceneAugmentOptions = field(default_factory=SceneAugmentOptions)
    model: DetectorOptions = field(default_factory=DetectorOptions)
    finding: FindingOptions = field(default_factory=FindingOptions)

    def usual_epochs(self, num_examples: int) -> int:
        return 60

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        return find_scenes(folder, given)

    def scored(self, given: str) -> Path:
        return scored_part(self.files, given, ARCHIVES)

    def read(self, path: Path) -> tuple[list[Scene], list[Finding]]:
        return read_scenes(path)

    def compare(self, files: Files, parts: dict[str, list[Scene]]) -> list[Finding]:
        return check_scenes(files, parts)

    def describe(self, examples: Sequence[Scene]) -> dict[str, Any]:
        return describe_scenes(examples)

    def fit_encoder(self, examples: Sequence[Scene]) -> Encoder:
        from regard.models.detection import normalisation
        from regard.tasks.detect.encoder import SceneEncoder

        return SceneEncoder.fit(examples, self.views, normalisation(self.model), self.augment)

    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        from regard.tasks.detect.encoder import SceneEncoder

        return SceneEncoder.load(kept, self.augment)

    def cut(self, encoder: Any, examples: Sequence[Scene], *, is_training: bool) -> "Sequence[SceneView]":
        return encoder.viewer.views(examples, is_training=is_training)

    def unknown(self, encoder: Any, examples: Sequence[Scene]) -> set[str]:
        return {box.label for scene in examples for box in scene.boxes}.difference(encoder.names)

    def build(self, encoder: Any) -> "Model":
        from regard.models.detection import DetectorSizes, build_detector

        return build_detector(self.model, DetectorSizes(len(encoder.names)))

    def load_pretrained(self, model: Any) -> None:
        model.load_pretrained()

    def tuned(self, run: Any, train: "Sequence[SceneView]", dev: "Sequence[SceneView]") -> None:
        found = [one.all for one in run.predict(dev)]
        run.encoder.threshold = best_threshold([view.boxes for view in dev], found).confidence

    def decode(self, encoder: Any, example: "SceneView", raw: Any) -> "Detections":
        return encoder.detections(example, raw, self._threshold(encoder))

    def score(self, examples: "Sequence[SceneView]", predictions: "Sequence[Detections]") -> dict[str, Any]:
        names = sorted({box.label for view in examples for box in view.boxes})
        found = score_boxes([view.boxes for view in examples], [one.all for one in predictions], names)
        return {**found, "threshold": predictions[0].threshold, "num_pictures": len(examples)}

    def opened(self, encoder: Any, source: str) -> "AbstractContextManager[Source]":
        from regard.tasks.pictures.source import PictureSource

        return PictureSource.open(encoder.viewer, source)

    def to_json(self, example: "SceneView", prediction: "Detections") -> dict[str, Any]:
        if example.error:
            return {"picture": example.picture.name, "boxes": [], "error": example.error}
        size = {"width": example.scene.width, "height": example.scene.height}
        return {"picture": example.picture.name, **size, "boxes": [one.to_json() for one in prediction.told]}

    def draw(self, example: "SceneView", record: dict[str, Any], folder: Path) -> None:
        from regard.tasks.detect.drawing import draw

        draw(example, record["boxes"], folder)

    def export(self, run: Any, format: str, folder: Path) -> dict[str, Any]:
        from regard.tasks.detect.exported import export_run

        return export_run(run, self._threshold(run.encoder), format, folder)

    def _threshold(self, encoder: Any) -> float:
        return self.finding.threshold or encoder.threshold

    def explain(self, encoder: Any, model: "Model", examples: "Sequence[SceneView]") -> "list[Page]":
        from regard.tasks.detect.explain import pages
        from regard.tasks.folder import Run

        return pages(Run(self, encoder, model), examples)

    def worst_errors(
        self, run: Any, examples: "Sequence[SceneView]", predictions: "Sequence[Detections]", most: int
    ) -> "list[Page]":
        from regard.tasks.detect.explain import worst_errors

        return worst_errors(run, examples, predictions, most)
