"""Sounds given by users, as a sound file or the track of a video: read as mono at a given rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits

LONGEST_S = 30.0
SHORTEST_S = 0.02
ACCEPTED = "wav, flac, mp3, ogg, opus, m4a, aac, aiff and the tracks of videos"


def read_sound(
    path: str | Path,
    sample_rate: int,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """The first LONGEST_S of the file's first track: float32 [S]; raises `InputError` if it cannot be read."""
    if not Path(path).is_file():
        raise InputError("The reference sound is no file that can be opened.")
    with ffmpeg.open_source(path, limits) as source:
        arguments = ["-loglevel", "error", "-t", f"{LONGEST_S:g}", *source.arguments(limits, ffmpeg.AUDIO_CONTAINERS)]
        arguments += ["-map", "0:a:0", "-vn", "-ac", "1", "-ar", str(sample_rate), "-f", "f32le", "pipe:1"]
        waveform = np.zeros(round(LONGEST_S * sample_rate), np.float32)
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
            got = run.read_into(memoryview(waveform.data).cast("B")) // 4
            run.finish()
    if got == 0:
        raise InputError(f"The reference sound cannot be read; accepted are {ACCEPTED}.")
    if got < SHORTEST_S * sample_rate:
        raise InputError(f"The reference sound lasts {got / sample_rate:.3f} s; at least {SHORTEST_S:g} s is needed.")
    return np.nan_to_num(waveform[:got], posinf=0.0, neginf=0.0)


def write_sound(path: str | Path, waveform: np.ndarray, sample_rate: int, out_rate: int | None = None) -> Path:
    """Write [S] or [S, C] as 24-bit FLAC if the suffix is .flac, else as 16-bit WAV, resampled to `out_rate`."""
    from stav2a.media.audio import write_wav

    path = Path(path)
    if out_rate is not None and out_rate != sample_rate:
        import soxr

        waveform, sample_rate = soxr.resample(np.asarray(waveform, np.float32), sample_rate, out_rate), out_rate
    if path.suffix.lower() != ".flac":
        return write_wav(path, waveform, sample_rate)
    import soundfile

    partial = path.with_name(f".{path.name}.partial")
    try:
        soundfile.write(partial, np.clip(waveform, -1.0, 1.0), sample_rate, format="FLAC", subtype="PCM_24")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
