"""Read a clip for a run: frames at the model's rate, and its original sound if it is needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from stav2a.denoise.request import Request
from stav2a.generation.describe import Caption, caption_of, noted
from stav2a.generation.scenes import timed_captions
from stav2a.generation.settings import OFF, TRACKS, Settings, check_dials, check_onsets
from stav2a.media import Clip, InputError, Limits, read_audio, read_for_model
from stav2a.media.limits import DEFAULT_LIMITS, never
from stav2a.media.sound_files import read_reference
from stav2a.media.still import LENGTH_S as STILL_S
from stav2a.media.still import is_picture, still_clip
from stav2a.output import Stopwatch
from stav2a.recordings.reference import reference_voice

if TYPE_CHECKING:
    from stav2a.pipeline import STAV2APipeline


@dataclass(frozen=True)
class ClipInput:
    """The input of a run. `path` and `clip` are None for a sound without a clip.

    original: the clip's original sound, float32 [S], if it exists and is needed
    reference: the reference sound, float32 [S], if one is given
    settings: with the caption that is used; `caption` has its source
    """

    path: Path | None
    settings: Settings
    clip: Clip | None
    caption: Caption
    original: np.ndarray | None = None
    reference: np.ndarray | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)
    picture: Path | None = None
    scratch: TemporaryDirectory | None = None

    @property
    def duration_s(self) -> float:
        if self.clip is not None:
            return self.clip.duration_s
        assert self.settings.length_s is not None, "a sound without a clip has a length"
        return self.settings.length_s

    @property
    def name(self) -> Path:
        """The clip, picture or caption that output files are named after."""
        return self.picture or self.path or Path(self.settings.prompt.replace("/", " ")[:60])

    def request(self) -> Request:
        if self.clip is None:
            return Request(None, self.settings, reference=self.reference, duration_s=self.duration_s)
        return Request(self.clip.frames, self.settings, reference=self.reference)

    def captioned(self, settings: Settings) -> Settings:
        """Other settings for the same clip, with the caption of the describer if they have none."""
        if settings.prompt.strip() or settings.describe == OFF:
            return settings
        return replace(settings, prompt=self.caption.text)


def read(
    path: str | Path | None,
    settings: Settings,
    pipeline: STAV2APipeline,
    cancelled: Callable[[], bool] = never,
    limits: Limits = DEFAULT_LIMITS,
) -> ClipInput:
    """Read the used part of a clip, and caption it if the settings say so.

    A picture becomes a still clip of `length_s` seconds (STILL_S by default). None means a sound without a clip. Raises
    `InputError` for a clip or settings that the model cannot use.
    """
    check_dials(settings, pipeline.dials)
    if timed_captions(settings.prompt) is not None:
        raise InputError("Captions by time are for clips on the command line.")
    if path is None:
        return _without_clip(settings, pipeline, cancelled, limits)
    picture, scratch = None, None
    if is_picture(path):
        picture, scratch = Path(path), TemporaryDirectory(prefix="stav2a-")
        path = still_clip(picture, Path(scratch.name) / "still.mp4", settings.length_s or STILL_S, limits, cancelled)
        settings = replace(settings, start_s=0.0, length_s=None)
    elif TRACKS in settings.exports and (settings.start_s or settings.length_s is not None):
        raise InputError("All tracks are kept of a whole clip only: leave out the start and the length.")
    describing = settings if pipeline.conditioner.uses_caption else replace(settings, describe=OFF)
    watch = Stopwatch()
    with watch.stage("read"), ThreadPoolExecutor(1) as beside:
        captioning = beside.submit(caption_of, path, describing, limits, cancelled)
        clip = read_for_model(path, pipeline.timeline, settings.start_s, settings.length_s, limits, cancelled)
        if settings.onsets_s is not None:
            check_onsets(settings.onsets_s, clip.duration_s)
        reference = _reference(settings, pipeline, cancelled, limits)
        original = None
        if settings.original_audio != "replace":
            rate, part = pipeline.timeline.sample_rate, (settings.start_s, clip.duration_s)
            original = read_audio(path, rate, *part, limits=limits, cancelled=cancelled, track=settings.audio_track)
        caption = noted(captioning.result(), pipeline.tokenizer)
    settings = replace(settings, prompt=caption.text)
    return ClipInput(Path(path), settings, clip, caption, original, reference, watch, picture, scratch)


def _without_clip(
    settings: Settings, pipeline: STAV2APipeline, cancelled: Callable[[], bool], limits: Limits
) -> ClipInput:
    """Input for a sound without a clip, `length_s` seconds long (STILL_S by default)."""
    if not settings.prompt.strip():
        raise InputError("Without a clip a caption is needed: say what should be heard.")
    if settings.original_audio == "mix":
        raise InputError("Without a clip there is no original audio to be mixed in.")
    if not pipeline.conditioner.uses_caption:
        raise InputError(f"The model {settings.model} hears no caption, so it needs a clip.")
    length_s = STILL_S if settings.length_s is None else settings.length_s
    limits.check_duration(length_s)
    if settings.onsets_s is not None:
        check_onsets(settings.onsets_s, length_s)
    settings = replace(settings, start_s=0.0, length_s=length_s, original_audio="replace")
    watch = Stopwatch()
    with watch.stage("read"):
        reference = _reference(settings, pipeline, cancelled, limits)
    caption = noted(Caption(settings.prompt, "given"), pipeline.tokenizer)
    return ClipInput(None, settings, None, caption, None, reference, watch)


def _reference(
    settings: Settings, pipeline: STAV2APipeline, cancelled: Callable[[], bool], limits: Limits
) -> np.ndarray | None:
    if settings.reference is None:
        return None
    rate = pipeline.timeline.sample_rate
    reference = read_reference(settings.reference, rate, limits, cancelled)
    reference_voice(reference, rate)  # refuses silence before the device is taken
    return reference
