"""Sound in and out: mono waveforms of clips, WAV files, loudness.

Times are those of the clip: silence is put before a track that starts late, so sample n is heard at
n / sample_rate seconds.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stav2a.media import ffmpeg
from stav2a.media.limiter import PEAK_DBTP, limit, true_peak
from stav2a.media.limits import DEFAULT_LIMITS, InputError, Limits
from stav2a.media.probe import probe_source

MIN_GATED_S = 0.4  # one block of ITU-R BS.1770
LOUDNESS_TOLERANCE = 0.2  # LU
LOUDNESS_ROUNDS = 12
MOST_LIMITING_DB = 20.0  # more limiting turns hits into noise
SILENT_LUFS = -60.0


def read_audio(
    path: str | Path,
    sample_rate: int,
    start_s: float = 0.0,
    duration_s: float | None = None,
    channels: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    cancelled: Callable[[], bool] | None = None,
    track: int | None = None,
) -> np.ndarray | None:
    """The clip's sound, float32 [S] (or [S, channels] for more than one), or None if it has none.

    track: counted from 1; None is the default track (`ClipInfo.track`). Surround sound is mixed down; channels that are
    equal keep their level, and a mono track has it in every channel. With `duration_s`, exactly that many seconds are
    returned, padded with silence if the track is shorter.
    """
    with ffmpeg.open_source(path, limits) as source:
        info = probe_source(source, limits, cancelled)
        if not info.has_audio:
            return None
        stored = info.track(track)
        decoded = 1 if stored.channels == 1 else channels
        length_s = info.duration_s - start_s if duration_s is None else duration_s
        limits.check_duration(length_s)
        samples = round(length_s * sample_rate)
        seek, lead_s = info.seek(start_s)
        filters = f"aresample={sample_rate}:{ffmpeg.EQUAL_LEVEL}:async=1:first_pts=0"
        filters += f",atrim=start_sample={round(lead_s * sample_rate)}"
        arguments = ["-loglevel", "error", *seek, "-t", f"{lead_s + length_s:.6f}", *source.arguments(limits)]
        arguments += ["-map", f"0:{stored.stream}", "-af", filters, "-ac", str(decoded)]
        arguments += ["-f", "f32le", "pipe:1", *ffmpeg.ONE_ZERO]
        waveform = np.zeros((samples, decoded), np.float32)
        view = memoryview(waveform.data).cast("B")
        with ffmpeg.start(arguments, fds=source.fds, timeout_s=limits.timeout_s, cancelled=cancelled) as run:
            got = run.read_into(view)
            run.stdout.close()  # the rest of the track is not read
            run.finish()
    if got == 0:
        return None
    np.nan_to_num(waveform, copy=False, posinf=0.0, neginf=0.0)
    if channels == 1:
        return waveform[:, 0]
    return waveform if decoded == channels else np.repeat(waveform, channels, axis=1)


def write_wav(path: str | Path, waveform: np.ndarray, sample_rate: int) -> Path:
    """Write [S] or [S, C] as 16-bit WAV; a partial file is never left behind."""
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


def fit_loudness(waveform: np.ndarray, sample_rate: int, target_lufs: float | None) -> np.ndarray:
    """[S] or [S, C] at `target_lufs` (BS.1770 integrated), with no true peak above PEAK_DBTP.

    Hits that would clip at that loudness are limited, and the gain is raised until the target is met within
    LOUDNESS_TOLERANCE, or MOST_LIMITING_DB is reached. Sounds below SILENT_LUFS count as silence and stay
    unchanged. `target_lufs=None` only limits the peaks.
    """
    if target_lufs is None:
        return limit(waveform, sample_rate)
    if not -70 <= target_lufs <= 0:
        raise InputError(f"The loudness target is {target_lufs:g} LUFS; it must lie between -70 and 0.")
    own_lufs = loudness_lufs(waveform, sample_rate)
    if own_lufs < SILENT_LUFS:
        return limit(waveform, sample_rate)
    gain_db = target_lufs - own_lufs
    most_db = max(gain_db, PEAK_DBTP + MOST_LIMITING_DB - 20 * math.log10(true_peak(waveform, sample_rate)))
    for _ in range(LOUDNESS_ROUNDS):
        fitted = limit((waveform * 10 ** (gain_db / 20)).astype(np.float32), sample_rate)
        missing_db = target_lufs - loudness_lufs(fitted, sample_rate)
        if abs(missing_db) <= LOUDNESS_TOLERANCE or gain_db >= most_db:
            break
        gain_db = min(gain_db + 1.5 * missing_db, most_db)  # the limiter undoes part of each decibel
    return fitted


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
