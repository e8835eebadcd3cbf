"""A clip with new sound. The video stream is copied if browsers play it; the length stays that of the video."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr

from stav2a.media import ffmpeg
from stav2a.media.audio import read_audio
from stav2a.media.colour import as_shown, tags, whole_pictures
from stav2a.media.frames import used_part
from stav2a.media.limiter import PEAK_DBTP, limit
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits
from stav2a.media.probe import ClipInfo, probe_source

AUDIO_RATE = 48_000
SLOW_FPS = 10.0
COPIED_CODECS = {"h264", "vp9", "av1"}  # what browsers play from an mp4
COPIED_FORMATS = {"yuv420p", "yuvj420p"}
COPIED_CONTAINERS = ("mov", "matroska")  # others may lack the timestamps that a copy needs


def mux(
    video: str | Path,
    waveform: np.ndarray,
    sample_rate: int,
    out: str | Path,
    mode: str = "replace",
    original_gain_db: float = 0.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
    track: int | None = None,
) -> Path:
    """Write `out` (mp4): the video stream of `video` with `waveform`, float [S] at `sample_rate`.

    `mode="mix"` keeps the original sound under the new one, with a gain of `original_gain_db`: the default track, or
    the given `track`, counted from 1. The sound is cut or padded with silence to the length of the video. Its level is
    lowered only where it would clip.
    """
    if mode not in ("replace", "mix"):
        raise InputError(f'The original sound can be kept as "mix" or "replace", not as "{mode}".')
    out = Path(out)
    with ffmpeg.open_source(video, limits) as source:
        info = probe_source(source, limits, cancelled)
        used_s = used_part(info, start_s, duration_s, limits)
        sound = _at_length(waveform, sample_rate, used_s)
        if mode == "mix":
            sound = mix(sound, video, original_gain_db, start_s, used_s, limits, cancelled, track)
        sound = limit(sound, AUDIO_RATE)
        whole = start_s == 0 and used_s >= info.duration_s - 1e-6
        temporary = out.with_name(f".{uuid.uuid4().hex}.mp4")
        try:
            copied = whole and can_copy(info)
            job = (source, info, sound, temporary, start_s, used_s, limits, cancelled)
            if not (copied and _write(*job, copy=True)) and not _write(*job, copy=False):
                raise InputError("The clip's pictures cannot be written as mp4.")
            os.replace(temporary, out)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    return out


def keep_tracks(
    video: str | Path,
    muxed: str | Path,
    out: str | Path,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write `out` (mkv): the sound of `muxed` first, then all streams of `video` unchanged.

    HDR video, multichannel sound, further tracks, subtitles, chapters and attachments are copied.
    """
    out = Path(out)
    with ffmpeg.open_source(video, limits) as source, ffmpeg.open_source(muxed, limits) as sound:
        parts = ["-map", "0:V:0", "-map", "1:a:0", "-map", "0:a?", "-map", "0:s?", "-map", "0:t?"]
        first = ["-disposition:a", "0", "-disposition:a:0", "default", "-metadata:s:a:0", "title=STA-V2A"]
        inputs = [*source.arguments(limits), *sound.arguments(limits)]
        for subtitles in ("copy", "srt"):  # Matroska takes most formats unchanged, but not that of mp4
            coding = ["-c", "copy", "-c:s", subtitles, "-map_metadata", "0", "-map_chapters", "0", *first]
            arguments = ["-loglevel", "error", *inputs, *parts, *coding]
            arguments += ["-f", "matroska", "-y", f"file:{out.absolute()}"]
            if _run(arguments, source.fds + sound.fds, None, out, limits, cancelled):
                return out
    raise InputError("The clip's tracks cannot be written as mkv.")


def can_copy(info: ClipInfo) -> bool:
    """Whether browsers play this stream unchanged in an mp4."""
    return (
        info.codec in COPIED_CODECS
        and info.pixel_format in COPIED_FORMATS
        and info.container.startswith(COPIED_CONTAINERS)
        and not info.interlaced
    )


def mix(
    sound: np.ndarray,
    video: str | Path,
    original_gain_db: float,
    start_s: float,
    duration_s: float,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
    track: int | None = None,
) -> np.ndarray:
    """[S] or [S, 2] at 48 kHz: `sound` over the original sound of `video`, or alone if the video has none."""
    if not -60 <= original_gain_db <= 20:
        raise InputError(f"The gain of the original sound is {original_gain_db:g} dB; it must lie between -60 and 20.")
    original = read_audio(video, AUDIO_RATE, start_s, duration_s, 2, limits, cancelled, track)
    if original is None:
        return sound
    original = original[: len(sound)] * 10 ** (original_gain_db / 20)
    mixed = np.repeat(sound[:, None], 2, axis=1)
    mixed[: len(original)] += original
    return mixed


def _at_length(waveform: np.ndarray, sample_rate: int, duration_s: float) -> np.ndarray:
    """[S] at 48 kHz, exactly `duration_s` long."""
    sound = soxr.resample(np.asarray(waveform, np.float32), sample_rate, AUDIO_RATE)
    length = round(duration_s * AUDIO_RATE)
    return np.pad(sound[:length], (0, max(0, length - len(sound))))


def _write(
    source: ffmpeg.InputFile,
    info: ClipInfo,
    sound: np.ndarray,
    out: Path,
    start_s: float,
    used_s: float,
    limits: Limits,
    cancelled: Callable[[], bool] | None,
    *,
    copy: bool,
) -> bool:
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    seek, lead_s = info.seek(0.0 if copy else start_s)
    part = [] if copy else [*seek, "-t", f"{lead_s + used_s:.6f}"]
    arguments = ["-loglevel", "error", *part, *source.arguments(limits)]
    arguments += ["-f", "f32le", "-ar", str(AUDIO_RATE), "-ac", str(channels), "-i", "pipe:0"]
    arguments += ["-map", "0:V:0", "-map", "1:a:0", *_as_mp4(info, lead_s, copy, channels, out)]
    data = np.ascontiguousarray(sound, np.float32).tobytes()
    return _run(arguments, source.fds, data, out, limits, cancelled)


def mux_file(
    video: str | Path,
    sound: Path,
    out: Path,
    original_gain_db: float | None,
    start_s: float,
    used_s: float,
    limits: Limits,
    cancelled: Callable[[], bool] | None = None,
    track: int | None = None,
) -> Path:
    """`mux` for sounds too long for memory: `sound` is a file, mixed with the original sound if a gain is given."""
    with ffmpeg.open_source(video, limits) as source, ffmpeg.open_source(sound, limits) as new:
        info = probe_source(source, limits, cancelled)
        mixed = original_gain_db is not None and info.has_audio
        copy = start_s == 0 and used_s >= info.duration_s - 1e-6 and can_copy(info)
        seek, lead_s = info.seek(0.0 if copy else start_s)
        part = [*seek, "-t", f"{lead_s + used_s:.6f}"]
        arguments = ["-loglevel", "error", *part, *source.arguments(limits)]
        arguments += new.arguments(limits, ffmpeg.AUDIO_CONTAINERS)
        arguments += ["-map", "0:V:0"]
        if mixed:
            both = "pan=stereo|c0=c0|c1=c0"  # ffmpeg would lower a mono track by 3 dB
            stored = info.track(track)
            channels = both if stored.channels == 1 else "aformat=channel_layouts=stereo"
            own = f"[0:{stored.stream}]aresample={AUDIO_RATE}:{ffmpeg.EQUAL_LEVEL}:async=1:first_pts=0"
            own += f",atrim=start={lead_s:.6f},asetpts=PTS-STARTPTS,volume={original_gain_db}dB,{channels}[own]"
            ceiling = 10 ** (PEAK_DBTP / 20)
            new_sound = f"[1:a]aresample={AUDIO_RATE},{both}[new]"
            joined = f"[own][new]amix=inputs=2:normalize=0:duration=longest,alimiter=limit={ceiling:.4f}:level=0[sound]"
            arguments += ["-filter_complex", f"{own};{new_sound};{joined}", "-map", "[sound]"]
        else:
            arguments += ["-map", "1:a:0", "-ar", str(AUDIO_RATE)]
        arguments += _as_mp4(info, lead_s, copy, 2 if mixed else 1, out)
        if not _run(arguments, source.fds + new.fds, None, out, limits, cancelled):
            raise InputError("The clip's pictures cannot be written as mp4.")
    return out


def _as_mp4(info: ClipInfo, lead_s: float, copy: bool, channels: int, out: Path) -> list[str]:
    coding = ["-c:v", "copy"] if copy else _encoder(info, lead_s)
    # at this rate the fast search is nearer to the sound than ffmpeg's usual one, and takes a fifth of the time
    coding += [
        "-c:a",
        "aac",
        "-aac_coder",
        "fast",
        "-b:a",
        f"{96 * channels + 64}k",
        "-map_metadata",
        "0",
        "-map_chapters",
        "-1",
    ]
    return [*coding, "-movflags", "+faststart", "-f", "mp4", "-y", f"file:{out.absolute()}", *ffmpeg.ONE_ZERO]


def _run(
    arguments: list[str],
    fds: tuple[int, ...],
    feed: bytes | None,
    out: Path,
    limits: Limits,
    cancelled: Callable[[], bool] | None,
) -> bool:
    """Whether ffmpeg has written `out`; raises if the disk is full."""
    with ffmpeg.start(arguments, fds=fds, feed=feed, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
        run.stdout.close()
        return run.written(out)


def _encoder(info: ClipInfo, lead_s: float) -> list[str]:
    """Filters and options for H.264 that every browser plays; `lead_s` in the file becomes time zero."""
    if info.fps < SLOW_FPS:  # the first picture may have been on screen for long: repeat pictures
        timing = [f"fps=25:start_time={lead_s:.6f}", "setpts=PTS-STARTPTS"]
    else:
        timing = [f"trim=start={lead_s:.6f}", f"setpts=if(eq(N\\,0)\\,0\\,PTS-{lead_s:.6f}/TB)"]
    # 4:2:0 needs even sides; a fine time base keeps varying frame rates
    even = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
    filters = ",".join([*whole_pictures(info), *timing, even, *as_shown(info), "format=yuv420p"])
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-threads", "4", *tags(info)]
    return ["-vf", filters, *codec, "-enc_time_base:v", "1:90000", "-fps_mode:v", "vfr"]
