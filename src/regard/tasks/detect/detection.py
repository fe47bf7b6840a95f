"""What was found in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Detection:
    """A class, how sure it is, and where; in pixels of the picture as it was."""

    label: str
    confidence: float
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    class_number: int = 0
    """Of the class, among those of the run."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        corners = {name: round(getattr(self, name), 1) for name in ("xmin", "ymin", "xmax", "ymax")}
        return {"label": self.label, "class_number": self.class_number, "confidence": round(self.confidence, 4), **corners}


@dataclass(frozen=True)
class Detections:
    """All that a model found, the surest first; told is what reaches the threshold."""

    all: tuple[Detection, ...]
    threshold: float

    @property
    def told(self) -> tuple[Detection, ...]:
        """The sure ones."""
        return tuple(one for one in self.all if one.confidence >= self.threshold)
