"""What the browser tests share: chromium, and a page over the tiny model."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def browser():
    from browsing import chromium

    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(address, folder of results, what the tabs share) of a page that is being served."""
    from page_server import served

    from stav2a.generation.engine import Engine

    root = tmp_path_factory.mktemp("runs")
    with served(root, Engine("tiny")) as (url, demo):
        yield url, root, demo.stav2a


@pytest.fixture(scope="module")
def address(site) -> str:
    return site[0]
