"""The notebook widget is the same page."""

import base64
import json

import pytest

pytest.importorskip("anywidget", reason="the widget needs anywidget: pip install anywidget")

from regard.viewer.report import Picture, to_json
from regard.viewer.widget import Viewer, show
from tests.viewer.pages import TOKENS, watched


@pytest.fixture(scope="module")
def pictures():
    return [Picture.of(watched(6), "a text", TOKENS)]


def test_the_widget_carries_the_data_of_the_page(pictures):
    assert json.loads(Viewer(pictures, title="x").data) == to_json(pictures, title="x")
    assert isinstance(show(pictures), Viewer)


def test_a_notebook_shows_the_same_heads(browser, pictures):
    """A notebook imports the module, and gives it a model with `get` and an element."""
    widget, faults = Viewer(pictures, title="in a notebook"), []
    page = browser.new_page(viewport={"width": 1200, "height": 900}, offline=True)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content("<div id='cell'></div><p id='outside'>text</p>")
    page.add_style_tag(content=str(widget._css))
    module = base64.b64encode(str(widget._esm).encode()).decode()
    page.evaluate(
        """async ([module, data]) => {
          const { default: widget } = await import(`data:text/javascript;base64,${module}`);
          const model = { get: (name) => (name === "data" ? data : null) };
          window.leave = widget.render({ model, el: document.getElementById("cell") });
        }""",
        [module, widget.data],
    )
    page.wait_for_selector('#cell[data-ready="true"]')
    assert page.locator("#cell .head").count() == 6
    assert page.locator("#cell .token").first.inner_text() == "<script>"
    page.locator("#cell .head").nth(5).click()
    page.wait_for_selector('#cell[data-ready="true"]')
    assert page.locator("#cell h2").first.inner_text().startswith("1 · head 2")
    assert page.evaluate("getComputedStyle(document.getElementById('outside')).fontSize") == "16px"
    page.evaluate("window.leave()")
    assert not faults
    page.close()
