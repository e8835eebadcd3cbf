"""Visitors at once: each gets the own result, broken files are refused in a sentence, nothing stays behind."""

from __future__ import annotations

import pytest
from clips import make
from crowd import crowd

from stav2a.generation.engine import Engine


@pytest.mark.slow
def test_a_small_crowd(tmp_path):
    clip = make(tmp_path / "clip.mp4", duration_s=0.6)
    found = crowd(Engine("tiny"), clip, requests=6, visitors=3, at_once=4)
    assert set(found.answers) == {"made", "refused in a sentence"}
    assert found.answers["made"] >= 5 and found.foreign == 0 and not found.left
    assert any(line.startswith("| made |") for line in found.lines())
