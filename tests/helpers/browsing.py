"""Chromium for the tests that drive the page."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WAIT = 180_000  # milliseconds: a bound for slow machines, every wait is for a condition
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        CHROMIUM is None or find_spec("playwright") is None, reason="needs chromium, and playwright to drive it"
    ),
]


def in_browser(test: Callable) -> Callable:
    """Marks one test, where a file has others; elsewhere `pytestmark = IN_BROWSER`."""
    for mark in IN_BROWSER:
        test = mark(test)
    return test


@contextlib.contextmanager
def chromium() -> Iterator:
    """A browser that plays sound without a person's gesture."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=120_000)
        yield started
        started.close()


def is_fault(line) -> bool:
    """Whether a console message is an error, other than those of Gradio's client when a page is left in mid-stream."""
    return line.type == "error" and not any(word in line.text for word in ("AbortError", "Connection errored out"))


@contextlib.contextmanager
def visitor(browser, **options) -> Iterator:
    """A visitor's browser context; what a page throws, or writes to the console as an error, fails the test.

    options: of playwright's `new_context`; the window is 1280 × 900 by default
    """
    faults: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(WAIT)
    context.on("weberror", lambda fault: faults.append(str(fault.error)))
    context.on("console", lambda line: faults.append(line.text) if is_fault(line) else None)
    yield context
    context.close()
    assert not faults, "\n".join(faults)


def patiently(page, condition: str, arg=None, still_s: float = 300.0) -> None:
    """Wait for a condition for as long as anything on the page still changes: a slow machine is no failure."""
    from playwright.sync_api import TimeoutError as TookLong

    seen, since = None, time.monotonic()
    while True:
        try:
            page.wait_for_function(condition, arg=arg, timeout=5000)
            return
        except TookLong:
            now = page.inner_text("body")
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > still_s:
                raise
