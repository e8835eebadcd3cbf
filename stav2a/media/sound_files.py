"""Sound files, and the sound of videos as such: recognise, measure, read as mono waveforms, write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.audio import write_wav
from stav2a.media.limits import InputError, Limits

SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff")
LIMITS = Limits(duration_s=24 * 3600.0, file_mb=1e6)
COUNTED_RATE = 8000  # Hz; for decoding a sound whose header does not give its length
LONGEST_S = 30.0  # read of a reference
SHORTEST_S = 0.02
ACCEPTED = "wav, flac, mp3, ogg, opus, m4a, aac, aiff and the tracks of videos"


def is_sound_file(path: str | Path) -> bool:
    return Path(path).suffix.lower() in SOUND_SUFFIXES


def sound_duration_s(path: str | Path) -> float:
    """Length in seconds of the sound in a sound or video file; `InputError` if it has none."""
    import soundfile

    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.LibsndfileError, RuntimeError):
        return len(read_sound(path, COUNTED_RATE)) / COUNTED_RATE


def read_sound(
    path: str | Path,
    sample_rate: int,
    start_s: float = 0.0,
    length_s: float | None = None,
    limits: Limits = LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Mono float32 [S] of the default track, `length_s` from `start_s` on, by default to the end."""
    with ffmpeg.open_source(path, limits) as source:
        span = ["-ss", f"{start_s:.6f}"] if start_s > 0 else []
        span += [] if length_s is None else ["-t", f"{length_s:.6f}"]
        arguments = ["-loglevel", "error", *span, *source.arguments(limits, ffmpeg.AUDIO_CONTAINERS)]
        arguments += ["-vn", "-af", f"aresample={sample_rate}:{ffmpeg.EQUAL_LEVEL}", "-ac", "1"]
        arguments += ["-f", "f32le", "pipe:1"]
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
            data = run.stdout.readall() or b""
            run.finish()
    if len(data) < 4:
        raise InputError(f"The file holds no sound that can be read; accepted are {ACCEPTED}.")
    return np.nan_to_num(np.frombuffer(data[: len(data) // 4 * 4], np.float32), posinf=0.0, neginf=0.0)


def read_reference(
    path: str | Path, sample_rate: int, limits: Limits, cancelled: Callable[[], bool] | None = None
) -> np.ndarray:
    """The first LONGEST_S of a sound that a user gives: float32 [S]; raises `InputError` if it cannot be used."""
    if not Path(path).is_file():
        raise InputError("The reference sound is no file that can be opened.")
    waveform = read_sound(path, sample_rate, 0.0, LONGEST_S, limits, cancelled)
    if len(waveform) < SHORTEST_S * sample_rate:
        seconds = len(waveform) / sample_rate
        raise InputError(f"The reference sound lasts {seconds:.3f} s; at least {SHORTEST_S:g} s is needed.")
    return waveform


def write_sound(path: str | Path, waveform: np.ndarray, sample_rate: int, out_rate: int | None = None) -> Path:
    """Write [S] or [S, C] as 24-bit FLAC if the suffix is .flac, else as 16-bit WAV, resampled to `out_rate`."""
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
