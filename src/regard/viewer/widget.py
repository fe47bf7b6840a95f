"""The page as a notebook widget: Jupyter, VS Code, Colab, marimo. Needs anywidget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from regard.errors import InputError
from regard.viewer.picture import Picture
from regard.viewer.report import source, to_json
from regard.viewer.room import to_text

ENTRY = """
export default { render({ model, el }) { return mount(el, JSON.parse(model.get("data"))); } };
"""


@cache
def _made() -> Any:
    """The class `Viewer`: made on first use, for whoever imports this without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError("The notebook widget needs anywidget: pip install anywidget.") from error

    class Viewer(anywidget.AnyWidget):  # type: ignore[misc]
        """Pictures to look into, inside a notebook. Options are those of `render`."""

        _esm = source("script") + ENTRY
        _css = source("style.css")
        data = traitlets.Unicode("{}").tag(sync=True)

        def __init__(self, pictures: Sequence[Picture], *, title: str = "", **options: Any) -> None:
            super().__init__(data=to_text(to_json(pictures, title=title, **options)))

    return Viewer


def __getattr__(name: str) -> Any:
    if name == "Viewer":
        return _made()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def show(pictures: Sequence[Picture], *, title: str = "", **options: Any) -> Any:
    """A widget, which a notebook shows where it is the last value of a cell."""
    return _made()(pictures, title=title, **options)
