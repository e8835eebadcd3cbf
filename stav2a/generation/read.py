"""Read a clip for a run: frames at the model's rate, and its original sound if it is needed.

What an earlier run of the same part of the same file has read is taken from the engine's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from stav2a.denoise.request import Request
from stav2a.generation.describe import Caption, caption_of, noted
from stav2a.generation.scenes import timed_captions
from stav2a.generation.settings import OFF, TRACKS, Settings, check_dials, check_onsets
from stav2a.media import Clip, InputError, Limits, probe, read_audio, read_for_model
from stav2a.media.ffmpeg import identity
from stav2a.media.frames import used_part
from stav2a.media.limits import DEFAULT_LIMITS, never
from stav2a.media.memory import Memory
from stav2a.media.sound_files import read_reference
from stav2a.media.still import LENGTH_S as STILL_S
from stav2a.media.still import is_picture, still_clip
from stav2a.output import Stopwatch
from stav2a.recordings.reference import reference_voice

if TYPE_CHECKING:
    from stav2a.output import STAV2AOutput, VideoFeatures
    from stav2a.pipeline import STAV2APipeline

Value = TypeVar("Value")


@dataclass(frozen=True)
class ClipInput:
    """The input of a run. `path` and `clip` are None for a sound without a clip.

    original: the clip's original sound, float32 [S], if it exists and is needed
    reference: the reference sound, float32 [S], if one is given
    settings: with the caption that is used; `caption` has its source
    memory, key: where what is computed of the clip is kept, and what it depends on: file, part and model
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
    memory: Memory = field(default_factory=Memory)
    key: Hashable = None

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
        return Request(self.frames_or_features, self.settings, reference=self.reference)

    @property
    def frames_or_features(self) -> np.ndarray | VideoFeatures:
        """The features of the clip if they are kept, else its frames."""
        assert self.clip is not None
        return self.memory.get(("features", self.key), self.clip.frames)

    def learn(self, output: STAV2AOutput) -> None:
        """Keep the features that a run has computed."""
        if self.clip is not None and output.video is not None:
            self.memory.keep(("features", self.key), output.video)

    def once(self, what: Hashable, make: Callable[[], Value]) -> Value:
        """`make()`, or what an earlier run of this clip has made of it."""
        return self.memory.once((what, self.key), make)

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
    memory: Memory | None = None,
) -> ClipInput:
    """Read the used part of a clip, and caption it if the settings say so; `memory` keeps it for the next run.

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
    part, timeline, track = (settings.start_s, settings.length_s), pipeline.timeline, settings.audio_track
    key = (identity(path, limits), *part, settings.model)

    memory = Memory() if memory is None else memory

    def once(what: Hashable, make: Callable[[], Value]) -> Value:
        def checked() -> Value:
            made = make()
            if identity(path, limits) != key[0]:
                raise InputError("The clip was changed while it was read; try again.")
            return made

        return memory.once((what, key), checked)

    def original() -> np.ndarray | None:
        if settings.original_audio == "replace":
            return None
        used_s = used_part(probe(path, limits, cancelled), *part, limits)
        return read_audio(path, timeline.sample_rate, part[0], used_s, 1, limits, cancelled, track)

    def captioned() -> Caption:
        if describing.prompt.strip():
            return caption_of(path, describing, limits, cancelled)
        return once(("caption", describing.describe), lambda: caption_of(path, describing, limits, cancelled))

    watch = Stopwatch()
    with watch.stage("read"), ThreadPoolExecutor(2) as beside:
        captioning = beside.submit(captioned)
        listening = beside.submit(once, ("original", settings.original_audio == "replace", track), original)
        clip = once("frames", lambda: read_for_model(path, timeline, *part, limits, cancelled))
        if settings.onsets_s is not None:
            check_onsets(settings.onsets_s, clip.duration_s)
        reference = _reference(settings, pipeline, cancelled, limits)
        caption = noted(captioning.result(), pipeline.tokenizer)
        audio = listening.result()
    settings = replace(settings, prompt=caption.text)
    return ClipInput(Path(path), settings, clip, caption, audio, reference, watch, picture, scratch, memory, key)


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
