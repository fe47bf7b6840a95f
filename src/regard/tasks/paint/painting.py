"""What was painted, or said of a picture."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.models.painting import Painted
from regard.tasks.folder import unused, write
from regard.tasks.paint.request import Request
from regard.tasks.pictures.png import Bytes, png_of


@dataclass(frozen=True, eq=False)
class Painting:
    """A picture in bytes, and what the model says."""

    label: str | None
    picture: Bytes | None
    """Painted anew."""
    copy: Bytes | None
    """Of a vae: its own version of the picture given."""
    bits_per_dimension: float | None
    realness: float | None
    error: str = ""
    """Why there is none."""

    @classmethod
    def of(cls, raw: Painted, label: str | None, error: str) -> Painting:
        """From what a model says."""
        return cls(label, in_bytes(raw.picture), in_bytes(raw.copy), raw.bits_per_dimension, raw.realness, error)

    def to_json(self, request: Request) -> dict[str, Any]:
        """One line of `regard predict`; pictures are PNG files in base64."""
        if self.error:
            return {"line": request.line, "error": self.error}
        known: dict[str, Any] = {"class": self.label} if self.label is not None else {}
        if request.view is not None:
            said = {"bits_per_dimension": self.bits_per_dimension, "realness": self.realness}
            known = {"picture": request.name, **known, **{name: value for name, value in said.items() if value is not None}}
            return known | ({} if self.copy is None else {"png": in_base64(self.copy)})
        way = {} if request.to is None else {"to": request.to, "share": round(request.share, 6)}
        return {"seed": request.number, **way, **known, "png": in_base64(self.picture)}


def in_bytes(pixels: Float[Tensor, "channels height width"] | None) -> Bytes | None:
    """From numbers between −1 and 1."""
    return None if pixels is None else ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def in_base64(values: Bytes | None) -> str:
    """A PNG file as text."""
    return "" if values is None else base64.b64encode(png_of(values)).decode()


def drawn(request: Request, record: dict[str, Any], folder: Path) -> None:
    """The picture of a record as a file in a folder; nothing where it has none."""
    if not record.get("png"):
        return
    stem = f"seed-{record['seed']}" if "seed" in record else Path(PurePosixPath(request.name.replace(":", "-")).name).stem
    for key in ("to", "share", "class"):
        if key in record:
            stem += f"-{str(record[key]).replace('/', '-')}"
    write(unused(folder, stem, ".png"), base64.b64decode(record["png"]))
