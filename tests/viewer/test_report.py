"""The page is one file, opens without a network, and shows tokens as text."""

import json
import re
import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.viewer.report import Picture, render

TOKENS = ["<script>", "</script>", "&amp;", "\"'", "é😀", " "]


class Layer(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


@pytest.fixture
def picture():
    torch.manual_seed(0)
    model = nn.Sequential(Layer(), Layer())
    with regard.watch(model) as lens:
        model(torch.randn(1, 3, len(TOKENS), 4))
    return lens, Picture.of(lens, "<b>title</b>", TOKENS, note="<i>", labels=["B-<X>", *["O"] * 5])


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_tokens_reach_the_page_as_data_and_never_as_markup(picture):
    page = render([picture[1]], title="</title><script>alert(1)</script>")
    assert data_of(page)["pictures"][0]["keys"] == TOKENS
    body = page.split('id="data">')[1]
    assert body.count("</script>") == 2  # the end of the data and of our own script
    assert "alert(1)" not in page.split('id="data">')[0]
    assert "innerHTML" not in page


def test_the_page_asks_for_nothing_from_outside(picture):
    page = render([picture[1]], title="x")
    assert not re.search(r"""(src|href)\s*=|@import|url\(|fetch\(|https?://""", page)
    assert "default-src 'none'" in page


def test_the_map_is_the_weights_to_five_digits(picture):
    import base64

    lens, one = picture
    head = data_of(render([one], title="x"))["pictures"][0]["layers"][1]["heads"][2]
    cells = torch.frombuffer(bytearray(base64.b64decode(head["map"])), dtype=torch.uint16).float() / 65535
    torch.testing.assert_close(cells.view(6, 6), lens["1"].statistics.block_map[0, 2], rtol=0, atol=1e-5)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright: pip install -e .[dev]")
    if CHROMIUM is None:
        pytest.skip("the browser test needs Chromium: apt install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser, picture, tmp_path):
    path = tmp_path / "report.html"
    other = Picture.of(picture[0], "second", list("abcdef"), note="second note")
    path.write_text(render([picture[1], other], title="a report", facts={"f1": "71 %"}), encoding="utf8")
    opened = browser.new_page(viewport={"width": 1300, "height": 900}, offline=True)
    faults = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: faults.append(request.url) if not request.url.startswith("file:") else None)
    opened.goto(path.as_uri())
    yield opened
    assert not faults
    opened.close()


def test_all_heads_are_shown_and_a_click_opens_one(page):
    heads = page.locator("#heads button")
    assert heads.count() == 6
    assert page.locator("#head-name").inner_text() == "0 · head 0"
    heads.nth(4).click()
    assert page.locator("#head-name").inner_text() == "1 · head 1"
    assert page.locator("#heads button").nth(4).get_attribute("aria-pressed") == "true"


def test_hover_reads_a_cell_and_click_keeps_a_row(page):
    box = page.locator("#map canvas").bounding_box()
    cell = box["width"] / 6
    page.mouse.move(box["x"] + 2.5 * cell, box["y"] + 1.5 * cell)
    assert page.locator("#readout").inner_text().startswith("“</script>” (1")
    assert "→ “&amp;” 0." in page.locator("#readout").inner_text()
    page.mouse.click(box["x"] + 2.5 * cell, box["y"] + 1.5 * cell)
    page.mouse.move(2, 2)
    assert page.locator("#readout").inner_text().startswith("“</script>” (1")
    assert page.locator("#row div").count() == 6
    widths = [float(text) for text in page.locator("#row em").all_inner_texts()]
    assert widths == sorted(widths, reverse=True)
    assert sum(widths) == pytest.approx(1, abs=0.01)


def test_keys_move_and_examples_change(page):
    page.locator("#map").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("“</script>” (1")
    page.keyboard.press("Escape")
    assert page.locator("#readout").inner_text() == "Point at the map."
    assert page.locator("#note").inner_text() == "<i>"
    page.keyboard.press(".")
    assert page.locator("#note").inner_text() == "second note"
    assert page.locator(".query").first.inner_text() == "a"


def test_tokens_labels_and_title_are_only_text(page):
    assert page.locator(".key").first.inner_text() == "<script>"
    assert page.locator(".query i").all_inner_texts() == ["B-<X>"]
    assert page.locator("#pictures option").first.inner_text() == "<b>title</b>"
    assert page.evaluate("document.scripts.length") == 2
