"""The debug model as a pipeline, with weights by seed."""

from __future__ import annotations

from stav2a.models.tiny import tiny_components
from stav2a.pipeline import STAV2APipeline


def tiny(seed: int = 0) -> STAV2APipeline:
    return STAV2APipeline(**tiny_components(seed))
