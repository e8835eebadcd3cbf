"""A clip as the model and the measures take it: pictures at the model's rate, and its own sound where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.generation.describe import Caption, caption_of
from stav2a.generation.settings import OFF, Settings, check_onsets, check_system
from stav2a.media import Clip, Limits, read_audio, read_for_model
from stav2a.media.limits import DEFAULT_LIMITS, never
from stav2a.output import Stopwatch
from stav2a.request import Request

if TYPE_CHECKING:
    from stav2a.pipeline import STAV2APipeline


@dataclass(frozen=True)
class ClipInput:
    """What was read of a clip. original: its own sound, float32 [S], where it is asked for and there.

    `settings` hold the caption that is used, `caption` says where it comes from.
    """

    path: Path
    settings: Settings
    clip: Clip
    caption: Caption
    original: np.ndarray | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)

    def request(self) -> Request:
        return Request(self.clip.frames, self.settings)

    def captioned(self, settings: Settings) -> Settings:
        """Other settings for the same clip, with the caption that was found for it where they have none."""
        if settings.prompt.strip() or settings.describe == OFF:
            return settings
        return replace(settings, prompt=self.caption.text)


def read(
    path: str | Path,
    settings: Settings,
    pipeline: STAV2APipeline,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> ClipInput:
    """Read the used part of a clip, and caption it where that is asked for.

    `InputError` for a clip or settings that the model cannot follow.
    """
    check_system(settings, pipeline.system)
    told = settings if pipeline.conditioner.hears_caption else replace(settings, describe=OFF)
    watch = Stopwatch()
    with watch.stage("read"), ThreadPoolExecutor(1) as beside:
        captioning = beside.submit(caption_of, path, told, limits, cancelled)
        clip = read_for_model(path, pipeline.timeline, settings.start_s, settings.length_s, limits, cancelled)
        if settings.onsets_s is not None:
            check_onsets(settings.onsets_s, clip.duration_s)
        original = None
        if settings.original_audio != "replace":
            rate, part = pipeline.timeline.sample_rate, (settings.start_s, clip.duration_s)
            original = read_audio(path, rate, *part, limits=limits, cancelled=cancelled)
        caption = captioning.result()
    return ClipInput(Path(path), replace(settings, prompt=caption.text), clip, caption, original, watch)
