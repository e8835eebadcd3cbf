"""The page where the browser refuses it its storage: within another site, or in a private window."""

from __future__ import annotations

from browsing import IN_BROWSER

pytestmark = IN_BROWSER

BLOCKED = """
for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, {
    get() { throw new DOMException("Access is denied for this document.", "SecurityError"); }, configurable: true,
  });
"""


def test_the_page_opens_and_knows_the_visitor_for_this_tab(browser, address):
    page = browser.new_context().new_page()
    page.add_init_script(BLOCKED)
    page.goto(address)
    page.wait_for_selector("#generate:not([disabled])", timeout=60_000)
    assert page.evaluate("localStorage.getItem('stav2a-visit')"), "the visit is kept as long as the tab lasts"
