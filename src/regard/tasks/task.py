"""What every task offers. Options and promises only: nothing heavy is imported until a method is called."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from regard.data.files import Files, find_files

if TYPE_CHECKING:
    from torch import Tensor

    from regard.data.findings import Finding
    from regard.models.model import Model
    from regard.viewer.report import Picture

Batch = dict[str, "Tensor"]


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Args:
        max_epochs: passes over the training examples, at most
        patience: passes without a better dev score after which training stops
        batch_size: examples a step
        learning_rate: peak of the schedule: a short warm-up, then a cosine down to zero over max_epochs
        weight_decay: of AdamW
        max_gradient_norm: longer gradients are shortened to this
        average_decay: the weights scored and kept are a running mean, with this share of the old; 0 keeps the last
    """

    max_epochs: int = 12
    patience: int = 6
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    max_gradient_norm: float = 5.0
    average_decay: float = 0.0


class Encoder(Protocol):
    """Examples as numbers; what has to be kept beside a model's weights."""

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of tensors."""

    def length(self, example: Any) -> int:
        """By what examples are sorted into batches."""

    def to_json(self) -> dict[str, Any]:
        """All that the encoder knows, as plain values."""


@dataclass(frozen=True)
class Task(ABC):
    """Data, model, decoding and score. A subclass's fields are its options, with a line of help each."""

    name: ClassVar[str]
    metric: ClassVar[str]
    """Key of the score that training makes larger."""

    training: Training = field(default_factory=Training)

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        """Where the parts of the data are: in a folder, or named singly."""
        return find_files(folder, given)

    @abstractmethod
    def read(self, path: Path) -> tuple[list[Any], list["Finding"]]:
        """The examples in a file, and what is wrong with it."""

    @abstractmethod
    def compare(self, files: Files, parts: dict[str, list[Any]]) -> list["Finding"]:
        """What is wrong between the parts of a data set, or with one as a whole."""

    @abstractmethod
    def describe(self, examples: Sequence[Any]) -> dict[str, Any]:
        """Counts that tell a person whether their file was understood."""

    @abstractmethod
    def fit_encoder(self, examples: Sequence[Any]) -> Encoder:
        """Learn the vocabularies."""

    @abstractmethod
    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        """The encoder again, from its `to_json`."""

    @abstractmethod
    def build(self, encoder: Encoder) -> "Model":
        """A new model for what the encoder knows."""

    @abstractmethod
    def decode(self, encoder: Encoder, example: Any, raw: Any) -> Any:
        """A raw prediction of the model in the user's terms."""

    @abstractmethod
    def score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, Any]:
        """The field's official metric, `metric` among its keys."""

    @abstractmethod
    def read_input(self, lines: list[str]) -> list[Any]:
        """Examples to predict on, from the lines of whatever a person gives."""

    @abstractmethod
    def to_json(self, example: Any, prediction: Any) -> dict[str, Any]:
        """One line of `regard predict`."""

    def faithfulness(self, run: Any, examples: Sequence[Any], most: int) -> dict[str, str]:
        """How far pictures of what `run` predicts can be believed, tested on `most` predictions; lines of a report."""
        return {}

    def worth_showing(self, examples: Sequence[Any]) -> Sequence[Any]:
        """Those that a report of a run should show: the first dozen."""
        return examples[:12]

    @abstractmethod
    def explain(self, encoder: Encoder, model: "Model", examples: Sequence[Any]) -> list["Picture"]:
        """Where the model looks for each example."""
