"""A browser for the pages."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="package")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright: pip install -e .[dev]")
    if CHROMIUM is None:
        pytest.skip("the browser test needs Chromium: apt install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page from a file, with no network; what goes wrong in it fails the test."""
    opened, faults = [], []

    def open_page(page, **options):
        path = tmp_path / f"{len(opened)}.html"
        path.write_text(page, encoding="utf8")
        tab = browser.new_page(**({"viewport": {"width": 1300, "height": 900}} | options), offline=True)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("request", lambda request: faults.append(request.url) if request.url[:5] not in ("file:", "data:") else None)
        opened.append(tab)
        tab.goto(path.as_uri())
        tab.wait_for_selector('[data-ready="true"]')
        return tab

    yield open_page
    for tab in opened:
        tab.close()
    assert not faults
