"""Sound in and out: mono waveforms of clips, WAV files, loudness.

Times are the clip's: a track that begins late is preceded by silence, so sample n is heard at
n / sample_rate seconds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits
from stav2a.media.probe import probe_source

PEAK_DBTP = -1.0  # highest true peak written, decibels below full scale
MIN_GATED_S = 0.4  # one block of ITU-R BS.1770


def read_audio(
    path: str | Path,
    sample_rate: int,
    start_s: float = 0.0,
    duration_s: float | None = None,
    channels: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray | None:
    """The clip's sound, float32 [S] (or [S, channels] for more than one), or None where it has none.

    The first track that can be decoded is taken; surround sound is mixed down. With `duration_s`, exactly
    that many seconds come back, silence where the track is shorter.
    """
    with ffmpeg.open_source(path, limits) as source:
        info = probe_source(source, limits, cancelled)
        if not info.has_audio:
            return None
        length_s = info.duration_s - start_s if duration_s is None else duration_s
        limits.check_duration(length_s)
        samples = round(length_s * sample_rate)
        seek = ["-ss", f"{start_s:.6f}"] if start_s > 0 else []
        arguments = ["-loglevel", "error", *seek, "-t", f"{length_s:.6f}", *source.arguments(limits)]
        arguments += ["-map", f"0:{info.audio_stream}", "-af", "aresample=async=1:first_pts=0"]
        arguments += ["-ac", str(channels), "-ar", str(sample_rate), "-f", "f32le", "pipe:1"]
        waveform = np.zeros((samples, channels), np.float32)
        view = memoryview(waveform).cast("B")
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
            got = run.read_into(view)
            run.process.stdout.close()  # what lies beyond the wanted length is not read
            run.finish()
    if got == 0:
        return None
    np.nan_to_num(waveform, copy=False, posinf=0.0, neginf=0.0)
    return waveform[:, 0] if channels == 1 else waveform


def write_wav(path: str | Path, waveform: np.ndarray, sample_rate: int) -> Path:
    """Write [S] or [S, C] as 16-bit WAV; the file appears whole or not at all."""
    import soundfile

    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".wav")
    os.close(handle)
    try:
        soundfile.write(name, np.clip(waveform, -1.0, 1.0), sample_rate, subtype="PCM_16", format="WAV")
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def loudness_lufs(waveform: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness (ITU-R BS.1770) of [S] or [S, C]; -inf for silence. Short sounds are repeated."""
    import pyloudnorm

    if len(waveform) == 0:
        return float("-inf")
    if len(waveform) < MIN_GATED_S * sample_rate + 1:
        repeats = int(np.ceil((MIN_GATED_S * sample_rate + 1) / len(waveform)))
        waveform = np.concatenate([waveform] * repeats)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = pyloudnorm.Meter(sample_rate).integrated_loudness(np.asarray(waveform, np.float64))
    return float(value) if np.isfinite(value) else float("-inf")


def true_peak(waveform: np.ndarray, sample_rate: int) -> float:
    """Highest value between the samples too, by four-fold oversampling (ITU-R BS.1770, annex 2)."""
    import soxr

    if len(waveform) == 0:
        return 0.0
    oversampled = soxr.resample(np.asarray(waveform, np.float32), sample_rate, 4 * sample_rate)
    return float(max(np.abs(oversampled).max(), np.abs(waveform).max()))


def limit_peak(waveform: np.ndarray, sample_rate: int, peak_dbtp: float = PEAK_DBTP) -> np.ndarray:
    """Turned down as a whole where its true peak would clip; otherwise unchanged."""
    ceiling = 10 ** (peak_dbtp / 20)
    peak = true_peak(waveform, sample_rate)
    return waveform if peak <= ceiling else (waveform * (ceiling / peak)).astype(np.float32)


def fit_loudness(waveform: np.ndarray, sample_rate: int, target_lufs: float | None) -> np.ndarray:
    """At `target_lufs`, or less where hits would clip at that loudness; silence stays silence.

    One gain for the whole sound: a compressor would reach louder targets and dull the hits.
    """
    if target_lufs is not None:
        if not -70 <= target_lufs <= 0:
            raise InputError(f"The loudness target is {target_lufs:g} LUFS; it must lie between -70 and 0.")
        loudness = loudness_lufs(waveform, sample_rate)
        if np.isfinite(loudness):
            waveform = (waveform * 10 ** ((target_lufs - loudness) / 20)).astype(np.float32)
    return limit_peak(waveform, sample_rate)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
