"""What several rooms' tests share: the tiny model, the folder of real material, a rendered clip."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared with goldens, sound bank and clips, which is not here")
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline():
    from stav2a.pipeline import tiny

    pipe = tiny()
    pipe.set_progress_bar_config(disable=True)
    return pipe
