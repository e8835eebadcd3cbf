"""What several rooms' tests share: the tiny model, the folder of real material, a rendered clip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # tests side by side, a thread each; set before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared with goldens, sound bank and clips, which is not here")
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline():
    from debug_model import tiny

    pipe = tiny()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def engine():
    """Two tiny models of different weights, for Compare and Explore."""
    from variants_made import TwoModels

    return TwoModels("tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    from page_server import make_clip

    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def made(engine, clip, tmp_path_factory):
    from variants_made import three_guidances

    return three_guidances(engine, clip, tmp_path_factory.mktemp("runs"))
