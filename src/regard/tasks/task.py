"""What every task offers. Options and promises only: nothing heavy is imported until a method is called."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from regard.data.files import Files, find_files
from regard.data.hub import folder_from_hub, is_data_set
from regard.data.splitting import evenly
from regard.errors import InputError
from regard.models.options import COUNT, POSITIVE, SHARE, require

if TYPE_CHECKING:
    from torch import Tensor

    from regard.data.findings import Finding
    from regard.data.quality import Labelled
    from regard.models.model import Model
    from regard.tasks.source import Source
    from regard.viewer.report import Picture

Batch = dict[str, "Tensor"]


@dataclass(frozen=True)
class Training:
    """How a model is trained.

    Args:
        max_epochs: passes over the training examples, at most; 0 is as many as the task usually takes
        patience: dev scores without a better one after which training stops
        batch_size: examples whose gradients are taken at once
        batch_tokens: about so many tokens a batch instead: the shorter its examples, the more of them; 0 goes by batch_size
        accumulate: batches whose gradients are added up before a step
        warm_up: steps in which the rate rises to its peak
        learning_rate: peak of the schedule: a warm-up, then a cosine down to zero at the last step or the end of the time; of
            paint 0 is what its model usually takes
        weight_decay: weight decay of AdamW; more keeps weights smaller
        max_gradient_norm: longer gradients are shortened to this
        precision: bfloat16 (mixed with float32) or float32; auto is bfloat16 where the processor has instructions for it
        average_decay: the weights scored and kept are a running mean, with this share of the old; 0 keeps the last
        score_every: passes from one dev score to the next; 0 is as many as the task usually takes
    """

    max_epochs: int = 0
    patience: int = 6
    batch_size: int = 32
    batch_tokens: int = 0
    accumulate: int = 1
    warm_up: int = 100
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    max_gradient_norm: float = 5.0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    average_decay: float = 0.0
    score_every: int = 1

    def __post_init__(self) -> None:
        require(self, max_epochs=COUNT, patience=POSITIVE, batch_size=POSITIVE, accumulate=POSITIVE, average_decay=SHARE)
        require(self, batch_tokens=COUNT, warm_up=POSITIVE, score_every=COUNT)
        require(self, learning_rate=COUNT, weight_decay=COUNT, max_gradient_norm=COUNT)


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
    """Key of the score by which the best model is known."""

    goal: ClassVar[Literal["max", "min"]] = "max"
    """Whether training makes that score large or small."""

    unit: ClassVar[str] = "words"
    """What `Encoder.length` counts."""

    when_reading: ClassVar[tuple[str, ...]] = ()
    """Fields whose options decide how files are read, and so what `regard check` says of them."""

    when_predicting: ClassVar[tuple[str, ...]] = ()
    """Fields whose options may be chosen anew for each prediction, such as how wide a search is."""

    when_scoring: ClassVar[tuple[str, ...]] = ()
    """Fields whose options may be chosen anew for each evaluation."""

    is_lenient: ClassVar[bool] = False
    """Whether a line of an input that is no UTF-8 is mended and told, so that the rest of the file goes on."""

    formats: ClassVar[tuple[str, ...]] = ()
    """In which a run can be exported."""

    is_line_by_line: ClassVar[bool] = False
    """Whether each line of an input is an example by itself, whatever stands before it."""

    piece: ClassVar[int] = 4096
    """Examples that are predicted and given out at once: few where each takes long."""

    reads: ClassVar[Literal["text", "pictures"]] = "text"
    """What it predicts on."""

    at_once: ClassVar[int] = 2048
    """Of a batch to predict on, all its examples by `Encoder.length`, with their padding: large enough to be fast, small
    enough for caches."""

    is_exact: ClassVar[bool] = False
    """Whether it predicts in the precision of its weights, whatever training does. Where a search follows, a rounding that
    differs from batch to batch could change all of an answer."""

    reads_hub: ClassVar[bool] = False
    """Whether it reads data sets of the hub, of which its files are made."""

    training: Training = field(default_factory=Training)

    def usual_epochs(self, num_examples: int) -> int:
        """Passes over the training examples where nobody says how many."""
        return 12

    def files(self, folder: str | None, given: dict[str, str | None]) -> Files:
        """Where the parts of the data are: in a folder, named singly, or in a data set of the hub, which is fetched."""
        if folder is not None and is_data_set(folder):
            if not self.reads_hub:
                message = f"--data must be a folder of files that exists; {self.name} reads no data sets of the hub."
                raise InputError(message, file=folder)
            folder = str(folder_from_hub(folder))
        return find_files(folder, given)

    def scored(self, given: str) -> Path:
        """What `regard evaluate` reads: a file as it is; of a folder or a data set of the hub the test part, else dev."""
        path = Path(given)
        if not (is_data_set(given) or path.is_dir()):
            if not path.is_file():
                raise InputError("there is no such file or folder.", file=path)
            return path
        files = self.files(given, {})
        if files.train == path:  # no folder of parts: all in it is one
            return path
        if files.test is None and files.dev is None:
            raise InputError("the data must hold a test or a dev file.", file=path)
        return files.test or files.dev or path

    def settled(self, files: Files) -> "Task":
        """The task with what its training files tell of options that were left open, for a run to remember."""
        return self

    @abstractmethod
    def read(self, path: Path) -> tuple[list[Any], list["Finding"]]:
        """The examples in a file, and what is wrong with it."""

    @abstractmethod
    def compare(self, files: Files, parts: dict[str, list[Any]]) -> list["Finding"]:
        """What is wrong between the parts of a data set, or with one as a whole."""

    def labelled(self, examples: Sequence[Any]) -> list["Labelled"]:
        """The examples as the checks of labelled text see them; none where the task is of another kind."""
        return []

    @abstractmethod
    def describe(self, examples: Sequence[Any]) -> dict[str, Any]:
        """Counts that tell a person whether their file was understood."""

    def kind_of(self, example: Any) -> str:
        """A tenth of each kind is held out where there is no dev part; all are of one unless a task knows more."""
        return ""

    @abstractmethod
    def fit_encoder(self, examples: Sequence[Any]) -> Encoder:
        """Learn the vocabularies."""

    @abstractmethod
    def load_encoder(self, kept: dict[str, Any]) -> Encoder:
        """The encoder again, from its `to_json`."""

    def cut(self, encoder: Encoder, examples: Sequence[Any], *, is_training: bool) -> Sequence[Any]:
        """What the model reads at once: the examples as they were read, unless they are one long text."""
        return examples

    def unknown(self, encoder: Encoder, examples: Sequence[Any]) -> set[str]:
        """Labels of the examples that the encoder does not know, and so no model for it; none of a task without labels."""
        return set()

    @abstractmethod
    def build(self, encoder: Encoder) -> "Model":
        """A new model for what the encoder knows."""

    def load_pretrained(self, model: "Model") -> None:  # noqa: B027
        """Give a new model what was learnt elsewhere, where the options name such a thing."""

    @property
    def steps_to_score(self) -> int:
        """Steps from one dev score to the next, in whole passes, where nobody says how many passes."""
        return 1

    def choosing(self, examples: Sequence[Any]) -> Sequence[Any]:
        """Of dev, the examples by which the best weights are chosen: all, unless scoring takes long."""
        return examples

    def remark(self, score: dict[str, Any]) -> str:
        """What a person should be told of a dev score while training goes on; nothing where all is well."""
        return ""

    @property
    def steps_to_samples(self) -> int:
        """Steps from one sheet of samples to the next; 0 where there are none."""
        return 0

    def samples(self, run: Any) -> bytes:
        """A sheet of what the model makes by now, a PNG; of tasks that make something to be seen."""
        raise NotImplementedError

    def tuned(self, run: Any, train: Sequence[Any], dev: Sequence[Any]) -> None:  # noqa: B027
        """Choose what can be chosen once the weights are known; the run's encoder or its model remembers it."""

    @abstractmethod
    def decode(self, encoder: Encoder, example: Any, raw: Any) -> Any:
        """A raw prediction of the model in the user's terms."""

    def decode_ranked(self, encoder: Encoder, example: Any, raw: Any) -> dict[str, Any]:
        """One line of `regard predict --n-best`, from what `Model.rank` says of an example."""
        raise NotImplementedError

    @abstractmethod
    def score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, Any]:
        """The field's official metric, `metric` among its keys."""

    def dev_score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, Any]:
        """What a pass is chosen by: `score`, or what of it is needed where the rest takes long."""
        return self.score(examples, predictions)

    def opened(self, encoder: Encoder, source: str) -> "AbstractContextManager[Source]":
        """Examples to predict on, from whatever a person gives: a file, or standard input where `source` is "-"."""
        from regard.tasks.source import TextSource

        return TextSource.open(self, source)

    def read_input(self, lines: list[str]) -> list[Any]:
        """Examples to predict on, from lines of text; of tasks that read text."""
        raise NotImplementedError

    def stream(self, run: Any, example: Any) -> Iterator[str]:
        """What a run writes of an example, piece by piece as it comes; raises InputError where that is not how it works."""
        raise InputError(f"--stream is for a task that writes text as it goes, such as generate; {self.name} answers at once.")

    @abstractmethod
    def to_json(self, example: Any, prediction: Any) -> dict[str, Any]:
        """One line of `regard predict`."""

    def align(self, run: Any, examples: Sequence[Any], records: Sequence[dict[str, Any]]) -> None:
        """Write into each record which words of the input those of the answer come from. InputError where there are none."""
        raise InputError(f"--align is for tasks that write a text from a text; {self.name} does not.")

    def draw(self, example: Any, record: dict[str, Any], folder: Path) -> None:
        """Write a picture of a prediction into a folder. InputError where there is none."""
        raise InputError(f"--draw is for tasks that find things in pictures; {self.name} does not.")

    def export(self, run: Any, format: str, folder: Path) -> dict[str, Any]:
        """Write the run to a new folder in a form that other programs take, one of `formats`; what else is to be told of it."""
        raise NotImplementedError

    def faithfulness(self, run: Any, examples: Sequence[Any], most: int) -> dict[str, str]:
        """How far pictures of what `run` predicts can be believed, tested on `most` predictions; lines of a report."""
        return {}

    def figures(self, run: Any, examples: Sequence[Any], result: dict[str, Any]) -> Iterator[tuple[str, str | bytes]]:
        """Pictures of a score, or of what was made, that a run folder should hold: name of the file, content."""
        yield from ()

    def worth_showing(self, examples: Sequence[Any]) -> Sequence[Any]:
        """Those that a report of a run should show: a dozen, from all along."""
        return evenly(examples, 12)

    @abstractmethod
    def explain(self, encoder: Encoder, model: "Model", examples: Sequence[Any]) -> list["Picture"]:
        """Where the model looks for each example, and what it decided on."""

    def explain_saying(self, run: Any, examples: Sequence[Any], said: str) -> list["Picture"]:
        """Where a run looks when it is to say a text, and not its own. InputError unless it writes a text from a text."""
        raise InputError(f"--target is for models that translate; {self.name} does not.")

    def worst_errors(self, run: Any, examples: Sequence[Any], predictions: Sequence[Any], most: int) -> list["Picture"]:
        """Pictures of what `run` predicted wrongly and most surely, worst first, each with a note of what is right."""
        return []
