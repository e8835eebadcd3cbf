"""Onsets of a clip, predicted from its frames."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.result import rounded
from stav2a.generation.settings import Settings
from stav2a.media import Limits, probe, read_for_model
from stav2a.media.limits import DEFAULT_LIMITS, never
from stav2a.output import Progress, Stopwatch

if TYPE_CHECKING:
    from stav2a.generation.engine import Engine
    from stav2a.output import OnsetPrediction
    from stav2a.pipeline import STAV2APipeline


@dataclass(frozen=True)
class Found:
    """Onset times in seconds from `start_s`, the curve they are picked from, and the time it took."""

    duration_s: float
    start_s: float
    latent_frame_s: float
    curve: list[float]
    onsets_s: list[float]
    seconds: float


def find_onsets(
    engine: Engine,
    clip_path: str | Path,
    settings: Settings,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Progress | Found]:
    """Predict onsets without generating; the last item is what was found. Fails and stops as `generate` does."""
    settings = settings.validated()
    if not engine.has(settings.model):
        probe(clip_path, cancelled=cancelled)  # an unusable file is refused before a model is loaded for it
    yield Progress("load")
    pipeline = engine.pipeline(settings.model)
    yield Progress("read")
    watch = Stopwatch()
    with watch.stage("read"):
        part = (settings.start_s, settings.length_s)
        clip = read_for_model(clip_path, pipeline.timeline, *part, limits, cancelled)
    with engine.hold(_predicted(pipeline, clip.frames, watch), cancelled) as items:
        for item in items:
            if isinstance(item, Progress):
                yield item
            else:
                found: OnsetPrediction = item
    yield Found(
        duration_s=float(clip.duration_s),
        start_s=float(settings.start_s),
        latent_frame_s=float(found.latent_frame_s),
        curve=rounded(found.curve),
        onsets_s=rounded(found.onsets_s),
        seconds=sum(watch.seconds.values()),
    )


def _predicted(
    pipeline: STAV2APipeline, frames: np.ndarray, watch: Stopwatch
) -> Generator[Progress | OnsetPrediction, None, None]:
    yield Progress("onsets")
    with watch.stage("onsets"):
        found = pipeline.predict_onsets(frames)
    yield found
