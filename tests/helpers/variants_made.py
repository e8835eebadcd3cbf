"""Two tiny models, and finished variants of a visit, for the tests of Compare and Explore."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from debug_model import tiny

from stav2a.generation.engine import Engine
from stav2a.generation.generate import Rendered, render
from stav2a.generation.settings import Settings
from stav2a.generation.variants import Variant, along
from stav2a.ui.compare import entries
from stav2a.ui.history import History
from stav2a.ui.page import LIMITS

BASE = Settings(prompt="a ball bounces", model="tiny", seed=7, steps=2, guidance_scale=3.0)


class TwoModels(Engine):
    """The tiny model, and another one of other weights."""

    def models(self):
        return {"tiny": None, "other": None}

    def _load(self, name):
        pipeline = tiny(seed=0 if name == "tiny" else 1)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def sounds(engine: Engine, clip: Path, variants: list[Variant]) -> list[np.ndarray]:
    done = [item for item in render(engine, clip, variants) if isinstance(item, Rendered)]
    return [item.waveform for item in sorted(done, key=lambda item: item.index)]


def finish(engine, history, visit, clip, variants, **options) -> dict[str, entries.Entry]:
    folder = list(entries.rendering(engine, history, visit, clip, variants, LIMITS, **options)(lambda: False))[-1]
    return entries.of_folder(folder)


def three_guidances(engine, clip: Path, root: Path) -> tuple[History, str, list[entries.Entry]]:
    """A visit with a fresh set of three guidance scales: (history, visit, entries in order)."""
    history = History(root)
    visit = history.visit(None)
    return history, visit, list(finish(engine, history, visit, clip, along("guidance_scale", BASE, [1, 3, 6])).values())
