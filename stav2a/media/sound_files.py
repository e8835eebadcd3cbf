"""Sound files: recognise them, measure their length, and read parts of them as mono waveforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limits import InputError, Limits

SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff")
LIMITS = Limits(duration_s=24 * 3600.0, file_mb=1e6)
COUNTED_RATE = 8000  # Hz; for decoding a sound whose header does not give its length


def is_sound_file(path: str | Path) -> bool:
    return Path(path).suffix.lower() in SOUND_SUFFIXES


def sound_duration_s(path: str | Path) -> float:
    """Length in seconds of the sound in a sound or video file; `InputError` if it has none."""
    import soundfile

    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.LibsndfileError, RuntimeError):
        return len(read_sound_file(path, COUNTED_RATE)) / COUNTED_RATE


def read_sound_file(
    path: str | Path, sample_rate: int, start_s: float = 0.0, length_s: float | None = None
) -> np.ndarray:
    """Mono float32 [S] at `sample_rate`, `length_s` from `start_s` on, by default to the end. Raises `InputError`."""
    with ffmpeg.open_source(path, LIMITS) as source:
        span = ["-ss", f"{start_s:.6f}"] if start_s > 0 else []
        span += [] if length_s is None else ["-t", f"{length_s:.6f}"]
        arguments = ["-loglevel", "error", *span, *source.arguments(LIMITS, ffmpeg.AUDIO_CONTAINERS)]
        arguments += ["-map", "0:a:0", "-ac", "1", "-ar", str(sample_rate), "-f", "f32le", "pipe:1"]
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=LIMITS.timeout_s) as run:
            data = run.stdout.readall() or b""
            run.finish()
    if len(data) < 4:
        raise InputError("The file holds no sound that can be read.")
    return np.nan_to_num(np.frombuffer(data[: len(data) // 4 * 4], np.float32), posinf=0.0, neginf=0.0)
