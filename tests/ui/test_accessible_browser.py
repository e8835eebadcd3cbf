"""axe-core over every tab, on a desktop and a phone, light and dark: no violation of WCAG A, AA or good practice."""

from __future__ import annotations

from importlib.resources import files

import pytest
from browsing import IN_BROWSER, visitor

pytest.importorskip("axe_playwright_python", reason="axe-playwright-python brings axe-core")
pytestmark = IN_BROWSER
FOLDS = (
    "Part of the clip", "Model, sampling and seed", "Timing and picture", "A sound of your own, and recordings",
    "Original audio and loudness", "Files for other programs", "How to read this page",
)  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 720}}


def violations(page) -> list[str]:
    """Each as a line: the rule, what is wrong, the element."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8") + ";0")
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [f"{rule['id']}: {rule['help']}: {node['html'][:160]}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_tab_is_accessible(browser, address, device, scheme):
    with visitor(browser, color_scheme=scheme, **device) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#generate:not([disabled])")
        page.locator("#examples button").first.click()  # a result, without a run of a model
        page.wait_for_function("document.querySelector('#result-video video')?.paused === false")  # heard at once
        page.wait_for_selector(".oe-mark", state="attached")
        for name in FOLDS:
            page.get_by_role("button", name=name).first.click()
        page.wait_for_timeout(500)
        assert not violations(page)
        for tab in ("compare", "explore", "batch"):
            page.locator(f"button[role=tab][data-tab-id={tab}]").first.click()
            page.locator(f"#{tab}-prompt").wait_for(state="visible")
            page.wait_for_timeout(300)
            assert not violations(page), tab
            assert page.evaluate("document.documentElement.scrollWidth") <= device["viewport"]["width"]
