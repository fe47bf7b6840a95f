"""Models of pictures for other programs, as ONNX or as a program of torch.export: bytes of pixels go in, answers come out."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from regard.errors import InputError
from regard.models.pictures import Normalisation
from regard.tasks.exported import new_folder
from regard.tasks.folder import write
from regard.tasks.pictures.views import Viewer

PIXELS = "pixels"
"""Name of the input."""
PREPROCESS = "preprocess.json"
UPRIGHT = "Turn it as its EXIF data says, keep the upper 8 of 16 bits, and put it on white where it is transparent."
"""The first step from a picture to pixels."""
TOLERANCE = 1e-4
"""Of what is written and what it was written from, in float32."""
BATCHES = 1, 5
"""Of the pictures that both are asked about."""


class FromBytes(nn.Module):
    """A model of normalised pixels, from bytes on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.model = model
        mean, deviation = (torch.tensor(one).view(-1, 1, 1) for one in normalisation)
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, pixels: UInt8[Tensor, "batch channels height width"], *others: Tensor) -> Any:
        return self.model((pixels.float() / 255 - self.mean) / self.deviation, *others)


def largest_difference(wanted: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """Of any number in any output; NaN where there is one."""
    return float(torch.stack([(one - other).abs().max() for one, other in zip(wanted, found, strict=True)]).max())


@dataclass(frozen=True)
class Program:
    """What is exported: a model of bytes for any number of pictures of one shape."""

    model: nn.Module
    shape: tuple[int, int, int]
    """Channels, height, width."""
    outputs: tuple[str, ...]
    facts: dict[str, Any]
    """All that a user has to know, as plain values: how pictures become pixels, what outputs stand for."""
    others: Mapping[str, Tensor] = field(default_factory=dict)
    """Further inputs, in their order: some rows to try, each of which belongs to a picture."""
    difference: Callable[[Sequence[Tensor], Sequence[Tensor]], float] = largest_difference
    """Of outputs that are wanted and outputs that came."""

    @classmethod
    def of(
        cls, model: nn.Module, normalisation: Normalisation, shape: tuple[int, int, int], outputs: tuple[str, ...], **facts: Any
    ) -> Program:
        """Of a model of normalised pixels. Its attention is computed as it is defined, in operations that every runtime has."""
        made = FromBytes(deepcopy(model).cpu().float(), normalisation).eval()
        for module in made.modules():
            if hasattr(module, "backend"):
                module.backend = "reference"  # type: ignore[assignment]
        return cls(made, shape, outputs, facts)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Their names."""
        return (PIXELS, *self.others)

    def pictures(self, count: int) -> tuple[Tensor, ...]:
        """Noise, and rows of the other inputs in turn."""
        dice = torch.Generator().manual_seed(count)
        pixels = torch.randint(256, (count, *self.shape), dtype=torch.uint8, generator=dice)
        return (pixels, *(rows[torch.arange(count) % len(rows)] for rows in self.others.values()))


Answer = Callable[..., list[Tensor]]
"""What outputs a model has for inputs."""


def export(program: Program, format: str, folder: Path) -> dict[str, Any]:
    """Write it to a new folder, beside preprocess.json, and compare it with the model.

    Raises InputError where the model has no such form.
    """
    with new_folder(folder) as part:
        with _quiet(), torch.no_grad():
            answer = FORMATS[format](program, part)
        difference = _difference(program, answer)
        if not difference <= TOLERANCE:
            message = f"what is exported must say what the run says to {TOLERANCE}, its answers differ by {difference:.2g}."
            raise InputError(f"{message} A part of this model has no such form.")
        write(part / PREPROCESS, json.dumps(program.facts, ensure_ascii=False, indent=1))
    return {"largest_difference": difference}


def facts_of(viewer: Viewer) -> dict[str, Any]:
    """How a picture becomes pixels, to be done again elsewhere."""
    side = math.ceil(viewer.size / viewer.seen)
    colours = "grey" if viewer.channels == 1 else "red, green, blue"
    square = f"{viewer.size} x {viewer.size}"
    steps = [
        UPRIGHT,
        f"Unless it is {square}: resize it to a shorter side of {side}, bilinear, antialiased; cut {square} from its middle.",
        f"{PIXELS}: uint8 (batch, {viewer.channels}, {viewer.size}, {viewer.size}), {colours}. The model normalises them.",
    ]
    return {"size": viewer.size, "channels": viewer.channels, "seen": viewer.seen, "shorter_side": side, "steps": steps}


def _write_onnx(program: Program, folder: Path) -> Answer:
    """model.onnx, with the facts as its metadata: of each the JSON, of text the text."""
    onnxruntime, clear = _libraries()
    with _told_what_has_no_form():
        made = torch.onnx.export(
            _traced(program),
            input_names=list(program.inputs),
            output_names=list(program.outputs),
            dynamic_shapes=_any_number(program),
            verbose=False,
        )
    assert made is not None  # None is for the exporter that went before
    clear(made.model)  # of paths of this machine
    for name, value in program.facts.items():
        made.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    made.save(folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda *given: [torch.from_numpy(one) for one in session.run(None, _named(program, given))]


def _named(program: Program, given: Sequence[Tensor]) -> dict[str, Any]:
    return {name: one.numpy() for name, one in zip(program.inputs, given, strict=True)}


def _libraries() -> tuple[Any, Callable[[Any], Any]]:
    """onnxruntime, and what clears the notes that PyTorch leaves in a model."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  PyTorch writes ONNX by it
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ModuleNotFoundError as error:
        raise InputError(f"this needs onnx, onnxscript and onnxruntime: pip install 'regard[export]' ({error.name}).") from None
    return onnxruntime, ClearMetadataAndDocStringPass()


def _write_torch(program: Program, folder: Path) -> Answer:
    """model.pt2, of tensors and JSON: nothing in it is code of Python or a pickle."""
    with _told_what_has_no_form():
        made = _traced(program)
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    made.example_inputs = None  # type: ignore[assignment]  # would be a pickle
    torch.export.save(made, folder / "model.pt2")
    return _answer_of(torch.export.load(folder / "model.pt2").module())


FORMATS: dict[str, Callable[[Program, Path], Answer]] = {"onnx": _write_onnx, "torch": _write_torch}


def _traced(program: Program) -> torch.export.ExportedProgram:
    # not left to the exporter of ONNX, which would go on with a fixed number of pictures where any number has no form
    return torch.export.export(program.model, program.pictures(2), dynamic_shapes=_any_number(program), strict=False)


def _any_number(program: Program) -> dict[str, Any]:
    """Of pictures; by the names of the arguments of FromBytes."""
    rows = {0: torch.export.Dim("batch")}
    return {"pixels": rows, "others": (rows,) * len(program.others)} if program.others else {"pixels": rows}


def _answer_of(model: nn.Module) -> Answer:
    def answer(*given: Tensor) -> list[Tensor]:
        with torch.no_grad():
            found = model(*given)
        return [found] if isinstance(found, Tensor) else list(found)

    return answer


def _difference(program: Program, answer: Answer) -> float:
    """The largest of all batches; NaN where there is one."""
    asked = _answer_of(program.model)
    batches = [program.pictures(count) for count in BATCHES]
    return float(torch.tensor([program.difference(asked(*given), answer(*given)) for given in batches]).max())


@contextmanager
def _told_what_has_no_form() -> Iterator[None]:
    try:
        yield
    except RuntimeError as fault:  # UserError, OnnxExporterError and what guards raise
        reason = str(fault).split("\n")[0]
        message = "a part of this model has no form for any number of pictures; attention of another mechanism or position may"
        raise InputError(f"{message}. {reason}") from fault


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of libraries that nobody asked for and print graphs of what failed."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
