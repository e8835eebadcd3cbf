"""Sounds made ready for listening side by side: equally loud, equally long in file, and the degraded anchors.

Waveforms are float [S], mono. What a trial presents has one sample rate, one length and one format, so that
neither a file's size nor its header identifies a system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TARGET_LUFS = -23.0  # EBU R 128
PEAK_DBTP = -1.0
LOW_PASS_HZ = 3500.0  # BS.1534's low anchor
SHIFT_S = 1.3  # of the time-shifted anchor: far outside any window in which sound and picture seem to belong
SEAM_S = 0.01


@dataclass(frozen=True)
class Levelled:
    """Sounds at one loudness. `gains_db[i]` was added to sound i, which had `loudness_lufs[i]`."""

    waveforms: list[np.ndarray]
    gains_db: list[float]
    loudness_lufs: list[float]
    target_lufs: float


def match_levels(waveforms: Sequence[np.ndarray], sample_rate: int, target_lufs: float = TARGET_LUFS) -> Levelled:
    """All sounds at `target_lufs`, or at the highest loudness below it at which none of them clips.

    One gain a sound, no compression. Silence has no loudness and stays as it is.
    """
    from stav2a.media.audio import loudness_lufs, true_peak

    loudness = [loudness_lufs(each, sample_rate) for each in waveforms]
    for each, lufs in zip(waveforms, loudness, strict=True):
        if np.isfinite(lufs):
            peak_db = 20 * np.log10(max(true_peak(each, sample_rate), 1e-9))
            target_lufs = min(target_lufs, lufs + PEAK_DBTP - peak_db)
    gains_db = [target_lufs - lufs if np.isfinite(lufs) else 0.0 for lufs in loudness]
    levelled = [
        (np.asarray(each) * 10 ** (gain / 20)).astype(np.float32)
        for each, gain in zip(waveforms, gains_db, strict=True)
    ]
    return Levelled(levelled, gains_db, loudness, target_lufs)


def low_pass(waveform: np.ndarray, sample_rate: int, cutoff_hz: float = LOW_PASS_HZ) -> np.ndarray:
    """The low anchor of ITU-R BS.1534: flat to 3.5 kHz, 25 dB down at 4 kHz, 50 dB at 4.5 kHz, no delay."""
    from scipy.signal import fftconvolve, firwin, kaiserord

    stop_hz = cutoff_hz * 8 / 7  # 4 kHz
    if stop_hz >= sample_rate / 2:
        return np.asarray(waveform, dtype=np.float32)
    taps, beta = kaiserord(60.0, (stop_hz - cutoff_hz) / (sample_rate / 2))
    kernel = firwin(taps | 1, (cutoff_hz + stop_hz) / 2, window=("kaiser", beta), fs=sample_rate)
    return fftconvolve(waveform, kernel, mode="same").astype(np.float32)


def shift(waveform: np.ndarray, sample_rate: int, shift_s: float = SHIFT_S) -> np.ndarray:
    """The sound later by `shift_s`, its end coming first: same content, out of time with the picture."""
    samples = len(waveform)
    if samples == 0:
        return np.asarray(waveform, dtype=np.float32)
    offset = round(min(shift_s, samples / sample_rate / 2) * sample_rate)
    shifted = np.roll(np.asarray(waveform, dtype=np.float32), offset)
    # Where end meets beginning there is a jump: fade out and in around it.
    fade = min(round(SEAM_S * sample_rate), offset, samples - offset)
    ramp = np.linspace(1, 0, fade, dtype=np.float32)
    shifted[offset - fade : offset] *= ramp
    shifted[offset : offset + fade] *= ramp[::-1]
    return shifted


def fit(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Cut, or filled with silence at the end."""
    waveform = np.asarray(waveform, dtype=np.float32)[:samples]
    return np.pad(waveform, (0, samples - len(waveform)))


def write_stimulus(path: Path, waveform: np.ndarray, sample_rate: int) -> Path:
    """16-bit WAV with triangular dither: two files of one sound differ in bytes, never audibly.

    Without it a listener's page could tell by equal files which sounds of two trials are the same.
    """
    from stav2a.media.audio import write_wav

    rng = np.random.default_rng()
    noise = (rng.random(len(waveform)) - rng.random(len(waveform))) / 2**15
    return write_wav(path, (waveform + noise).astype(np.float32), sample_rate)
