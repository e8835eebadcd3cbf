"""The page where the browser refuses it its storage: within another site, or in a private window."""

from __future__ import annotations

import shutil

import pytest
from page_server import served

from stav2a.generation.engine import Engine

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

BLOCKED = """
for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, {
    get() { throw new DOMException("Access is denied for this document.", "SecurityError"); }, configurable: true,
  });
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with served(tmp_path_factory.mktemp("runs"), Engine("tiny")) as (url, _), playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_context().new_page()
        tab.add_init_script(BLOCKED)
        tab.goto(url)
        yield tab
        browser.close()


def test_the_page_opens_and_knows_the_visitor_for_this_tab(page):
    page.wait_for_selector("#generate:not([disabled])", timeout=60_000)
    assert page.evaluate("localStorage.getItem('stav2a-visit')"), "the visit is kept as long as the tab lasts"
