"""The two jobs of the page, as iterators of progress whose last item is the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stav2a.media.limits import InputError, Limits
from stav2a.media.probe import probe
from stav2a.ui.history import History, Run, record

if TYPE_CHECKING:
    from stav2a.engine import Engine
    from stav2a.settings import Settings


WINDOW_STEP_S = 7.68  # windows of 10.24 s overlap by a quarter
MOST_GPU_S = 300


@dataclass(frozen=True)
class Stage:
    """Progress of work that has no steps of its own."""

    stage: str
    step: int = 0
    total: int = 1


@dataclass(frozen=True)
class Found:
    """Onsets predicted from the picture alone."""

    duration_s: float
    start_s: float
    step_s: float
    curve: list[float]
    onsets_s: list[float]


def generation(
    engine: Engine, history: History, visit: str, clip: Path, settings: Settings, limits: Limits
) -> Callable[[Callable[[], bool]], Iterator]:
    """Generate into a new folder of the visit; the folder goes when the run fails or is cancelled."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Stage | Run]:
        folder = history.new_folder(visit)
        run = None
        try:
            for item in on_device(engine, clip, settings, folder, cancelled, limits):
                if hasattr(item, "stage"):
                    yield item
                else:
                    yield Stage("record")
                    run = record(item, folder, clip.name)
                    yield run
        finally:
            if run is None:
                history.drop(folder)

    return work


def prediction(engine: Engine, clip: Path, settings: Settings, limits: Limits):
    """Predict onsets without generating."""

    def work(cancelled: Callable[[], bool]) -> Iterator[Stage | Found]:
        from stav2a.media.frames import read_frames

        yield Stage("read")
        pipeline = engine.pipeline(settings.model)
        timeline = pipeline.timeline
        frames = read_frames(
            clip, timeline.fps, timeline.frame_size, settings.start_s or 0.0, settings.length_s, limits=limits
        )
        yield Stage("wait")
        with engine.lock:
            yield Stage("onsets")
            found = pipeline.predict_onsets(frames.frames)
        yield Found(
            duration_s=float(frames.duration_s),
            start_s=float(settings.start_s or 0.0),
            step_s=float(found.step_s),
            curve=[round(float(p), 4) for p in found.curve],
            onsets_s=[round(float(t), 4) for t in found.onsets_s],
        )

    return work


def gpu_seconds(engine: Engine, clip: Path, settings: Settings, *_) -> int:
    """How long a shared GPU is asked for: steps × takes × windows of the clip, with room for loading."""
    length_s = settings.length_s
    if length_s is None:
        try:
            length_s = probe(clip).duration_s - settings.start_s
        except InputError:
            length_s = 0.0  # the run itself will say why the clip cannot be used
    windows = max(1.0, length_s / WINDOW_STEP_S)
    steps = settings.steps or engine.defaults(settings.model)["steps"]
    return int(min(20 + 0.06 * steps * settings.takes * windows + 3 * windows * settings.takes, MOST_GPU_S))


def gpu_seconds_of_variants(engine: Engine, clip: Path, variants: list, *_) -> int:
    return min(sum(gpu_seconds(engine, clip, variant.settings) for variant in variants), MOST_GPU_S)


def _on_gpu(seconds):
    """`spaces.GPU` on a Space with a shared GPU; elsewhere the function itself."""

    def wrap(function):
        try:
            import spaces
        except ImportError:
            return function
        return spaces.GPU(duration=seconds)(function)

    return wrap


@_on_gpu(gpu_seconds)
def on_device(engine, clip, settings, folder, cancelled, limits) -> Iterator:
    from stav2a.generate import generate

    yield from generate(engine, clip, settings, folder, cancelled, limits)


@_on_gpu(gpu_seconds_of_variants)
def render_on_device(engine, clip, variants, cancelled, limits) -> Iterator:
    from stav2a.variants import render

    yield from render(engine, clip, variants, cancelled, limits)
