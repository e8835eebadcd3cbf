"""Whole runs of the tiny model."""

from __future__ import annotations

from pathlib import Path

from stav2a.generation.engine import Engine
from stav2a.generation.generate import generate
from stav2a.generation.result import Result
from stav2a.generation.settings import Settings


def engine_with(pipeline) -> Engine:
    """An engine on the CPU that holds the pipeline as "tiny"."""
    engine = Engine("tiny", "cpu")
    engine.hold_pipeline("tiny", pipeline)
    return engine


def outcome(engine: Engine, clip: Path | None, settings: Settings, out: Path) -> Result:
    """The complete result of a run."""
    *_, result = generate(engine, clip, settings, out)
    return result
