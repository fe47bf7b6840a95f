"""What a classifier says of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from regard.tasks.pictures.views import View

TOLD = 5


@dataclass(frozen=True)
class Verdict:
    """How probable each class is; zeros where the picture could not be read."""

    names: Sequence[str]
    probabilities: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], raw: Tensor, *, is_blank: bool) -> Verdict:
        """From what the model says."""
        values = raw.detach().cpu().numpy()
        return cls(names, values * 0 if is_blank else values)

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """The most probable classes, best first."""
        best = (-self.probabilities).argsort(kind="stable")[:TOLD]
        return [(self.names[place], float(self.probabilities[place])) for place in best]

    def to_json(self, view: View) -> dict[str, Any]:
        """One line of `regard predict`."""
        if view.error:
            return {"picture": view.picture.name, "label": None, "error": view.error}
        ranked = [{"label": name, "probability": round(share, 4)} for name, share in self.ranked]
        return {"picture": view.picture.name, **ranked[0], "ranked": ranked}
