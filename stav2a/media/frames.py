"""Frames of a clip at exactly the model's rate and size, streamed: full-size pictures are never held in memory.

ffmpeg decodes, resamples in time and scales in one pass. For a 10 s clip of 640×360 to 25 fps and 112×112 this takes
0.29 s with the probe. PyAV takes 0.20 s, but inside our process and without a time limit. moviepy takes 0.29 s, but
without limits on protocols, formats, sizes or time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.colour import as_shown, whole_pictures
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits
from stav2a.media.probe import ClipInfo, probe_source
from stav2a.timeline import Timeline

ROUNDING = {"latest": "up", "nearest": "near"}  # how ffmpeg rounds the pictures' times to the new rate
EARLY_US = 1_000  # stored times are rounded: a picture this little after a frame's time still counts for it


@dataclass(frozen=True)
class Clip:
    """`frames` uint8 [T, H, W, 3] RGB; frame k is what a screen shows at `start_s + k / fps`."""

    frames: np.ndarray
    fps: float
    duration_s: float  # of the used part, exact; T is the nearest whole number of frames
    info: ClipInfo
    start_s: float = 0.0


def read_frames(
    path: str | Path,
    fps: float,
    size: int,
    start_s: float = 0.0,
    duration_s: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
    shown: str = "latest",
) -> Clip:
    """Read the clip at `path` from `start_s` for `duration_s` seconds (by default to its end).

    Both sides are scaled to `size`, as in training. Times follow the stored timestamps, so any frame rate, a varying
    one and a late first picture are handled correctly. The rotation in a phone's metadata is applied.

    `shown` chooses the picture for each frame time: `latest` is the last one up to that time, as on a screen and in
    FoleyWorld; `nearest` is the last one up to half a frame later, ffmpeg's own rounding.
    """
    if shown not in ROUNDING:
        raise ValueError(f"shown is {shown!r}; it is one of {', '.join(ROUNDING)}.")
    with ffmpeg.open_source(path, limits) as source:
        info = probe_source(source, limits, cancelled)
        used_s = used_part(info, start_s, duration_s, limits)
        frames = _decode(source, info, fps, size, start_s, used_s, limits, cancelled, shown)
    return Clip(frames, float(fps), used_s, info, float(start_s))


def read_for_model(
    path: str | Path,
    timeline: Timeline,
    start_s: float = 0.0,
    duration_s: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> Clip:
    """`read_frames` with the rate, size and choice of pictures of a model's `timeline`."""
    return read_frames(
        path, timeline.fps, timeline.frame_size, start_s, duration_s, limits, cancelled, shown=timeline.shown
    )


def used_part(info: ClipInfo, start_s: float, duration_s: float | None, limits: Limits = DEFAULT_LIMITS) -> float:
    """Length in seconds of the used part; `InputError` if the choice is outside the clip or the limits."""
    if not 0 <= start_s < info.duration_s:
        raise InputError(f"The start, {start_s:g} s, lies outside the clip of {info.duration_s:.2f} s.")
    rest_s = info.duration_s - start_s
    # a length that is too long by less than the last digit shown means "to the end"
    if duration_s is not None and duration_s > rest_s + 0.05:
        raise InputError(
            f"{duration_s:g} s from {start_s:g} s on reach beyond the clip's end at {info.duration_s:.2f} s."
        )
    used_s = rest_s if duration_s is None else min(duration_s, rest_s)
    limits.check_duration(used_s)
    if info.fps * used_s > limits.frames:
        count = round(info.fps * used_s)
        raise InputError(f"The used part holds {count} pictures; at most {limits.frames} are accepted.")
    return used_s


def _decode(
    source: ffmpeg.InputFile,
    info: ClipInfo,
    fps: float,
    size: int,
    start_s: float,
    used_s: float,
    limits: Limits,
    cancelled: Callable[[], bool] | None,
    shown: str,
) -> np.ndarray:
    count = max(1, round(used_s * fps))
    seek, lead_s = info.seek(start_s)
    until = ["-t", f"{lead_s + used_s + 1:.6f}"]
    filters = ",".join(
        [
            *whole_pictures(info),
            # the first picture is also used for the time before it
            f"settb=AVTB,setpts=PTS-{EARLY_US},fps={fps!r}:start_time={lead_s:.6f}:round={ROUNDING[shown]}",
            "setpts=PTS-STARTPTS",
            f"scale={size}:{size}:flags=area+accurate_rnd",
            *as_shown(info),
            "format=rgb24",
        ]
    )
    arguments = ["-loglevel", "error", *seek, *until, *source.arguments(limits), "-map", "0:V:0"]
    arguments += ["-vf", filters, "-frames:v", str(count), "-f", "rawvideo", "pipe:1", *ffmpeg.ONE_ZERO]
    frames = np.empty((count, size, size, 3), np.uint8)
    view = memoryview(frames.data).cast("B")
    with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
        got = run.read_into(view) // frames[0].nbytes
        run.finish()
    if got == 0:
        raise InputError("The file's pictures cannot be decoded.")
    missing_s = (count - got) / fps
    if missing_s > max(0.5, 0.05 * used_s):
        raise InputError(f"The file is damaged: only {got / fps:.1f} s of {used_s:.1f} s can be decoded.")
    frames[got:] = frames[got - 1]  # the last picture is repeated to the end
    return frames
