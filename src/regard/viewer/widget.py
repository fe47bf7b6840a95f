"""The page as a notebook widget: Jupyter, VS Code, Colab, marimo. Needs anywidget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from regard.errors import InputError
from regard.viewer.picture import Picture
from regard.viewer.report import source, to_json
from regard.viewer.room import to_text

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise InputError("The notebook widget needs anywidget: pip install anywidget.") from error

ENTRY = """
export default { render({ model, el }) { return mount(el, JSON.parse(model.get("data"))); } };
"""


class Viewer(anywidget.AnyWidget):
    """Pictures to look into, inside a notebook. Options are those of `render`."""

    _esm = source("script") + ENTRY
    _css = source("style.css")
    data = traitlets.Unicode("{}").tag(sync=True)

    def __init__(self, pictures: Sequence[Picture], *, title: str = "", **options: Any) -> None:
        super().__init__(data=to_text(to_json(pictures, title=title, **options)))


def show(pictures: Sequence[Picture], *, title: str = "", **options: Any) -> Viewer:
    """A widget, which a notebook shows where it is the last value of a cell."""
    return Viewer(pictures, title=title, **options)
