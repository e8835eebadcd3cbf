"""What a person waits for: from the click until the sound plays, and until everything is shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from stav2a.bench.clips import copied, moving_square
from stav2a.bench.measure import peak_memory
from stav2a.generation.engine import Engine
from stav2a.generation.generate import generate
from stav2a.generation.settings import Settings
from stav2a.output import Progress
from stav2a.pipeline import STAV2APipeline
from stav2a.sound.compiled import librosa


@dataclass(frozen=True)
class Wait:
    """Seconds of one run since the click; `stages` add up to `whole_s`."""

    playable_s: float
    whole_s: float
    stages: dict[str, float]


def wait(engine: Engine, clip: Path, settings: Settings, out: Path) -> Wait:
    """Generate for a clip as the page and the command line do, and take the time."""
    clock = time.perf_counter
    last = began = clock()
    stage, stages, playable_s = "read", {}, 0.0
    for item in generate(engine, clip, settings, out):
        now = clock()
        stages[stage] = stages.get(stage, 0.0) + now - last
        last = now
        if isinstance(item, Progress):
            stage = item.stage
        else:
            playable_s = playable_s or now - began
    shutil.rmtree(out)
    return Wait(playable_s, last - began, {name: seconds for name, seconds in stages.items() if name != "load"})


def engine_of(pipe: STAV2APipeline, name: str) -> Engine:
    """An engine that holds an opened pipeline, with the onset detector compiled, as loading a model leaves it."""
    librosa()
    engine = Engine(name, str(pipe.device))
    engine.hold_pipeline(name, pipe)
    return engine


def waits(pipe: STAV2APipeline, settings: Settings, seconds: float, runs: int) -> dict:
    """{"first", "following", "edited": `Wait` as a dict, "peak_memory_mb"} of clips of `seconds`.

    following: another clip of the same length; edited: the clip again with its onsets moved, or with another seed if
    the model has no onsets to move. The median of `runs` by `whole_s`.
    """
    engine = engine_of(pipe, settings.model)
    moved = replace(settings, onsets_s=(seconds / 3, seconds / 2)) if "onsets_s" in pipe.dials else settings
    with tempfile.TemporaryDirectory() as place, peak_memory(str(pipe.device)) as memory:
        folder = Path(place)
        clip, out = moving_square(folder / "clip.mp4", seconds), folder / "out"
        first = wait(engine, clip, settings, out)
        others = [copied(clip, f"other_{k}") for k in range(runs)]
        following = [wait(engine, other, settings, out) for other in others]
        edited = [wait(engine, clip, replace(moved, seed=k + 1), out) for k in range(runs)]
    found = {"first": first, "following": median(following), "edited": median(edited)}
    return {**{name: asdict(value) for name, value in found.items()}, "peak_memory_mb": memory["mb"]}


def median(found: Sequence[Wait]) -> Wait:
    return sorted(found, key=lambda one: one.whole_s)[len(found) // 2]


def command_line(model: str, seconds: float) -> float:
    """Seconds of `python -m stav2a generate` for one clip, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        clip = moving_square(Path(folder) / "clip.mp4", seconds)
        words = ["generate", str(clip), "--out", f"{folder}/out", "--model", model, "--prompt", "a stick hits a table"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "stav2a", *words], check=True, capture_output=True, env=os.environ)
        return time.perf_counter() - began


def slope(points: dict[float, float]) -> tuple[float, float]:
    """(seconds at zero, seconds per unit) of the straight line through the points, by least squares."""
    per_unit, at_zero = np.polyfit(list(points), list(points.values()), 1)
    return float(at_zero), float(per_unit)
