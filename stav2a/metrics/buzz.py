"""Buzz of a vocoder: a pattern that repeats with every mel frame sounds like a tone."""

from __future__ import annotations

import numpy as np
from scipy.signal import stft

from stav2a.sound.onsets import as_mono

FRAMES = 8  # mel frames under a window: harmonics of their rate lie eight bins apart
LOWEST = 3  # harmonic that counts; below, sounds have tones of their own
SILENT_DB = -80.0  # level of windows that are left out as silent


def frame_buzz_db(waveform: np.ndarray, sample_rate: int, hop_length: int) -> float | None:
    """dB that the harmonics of the mel frames' rate stand above what lies midway between them; None if all is silent.

    waveform: float [S]. The mean over windows of 8 frames and over the harmonics of `sample_rate / hop_length` from the
    third on: about 0 for recordings and noise, 20 and more for a vocoder that repeats one grain a frame.
    """
    size = FRAMES * hop_length
    if len(waveform) < size:
        return None
    _, _, spectrum = stft(as_mono(waveform), sample_rate, nperseg=size, noverlap=size // 2, boundary=None, padded=False)
    power = np.abs(spectrum) ** 2
    power = power[:, power.sum(0) > 10 ** (SILENT_DB / 10)]
    if not power.shape[1]:
        return None
    level = 10 * np.log10(power + 1e-13)
    harmonics = np.arange(LOWEST * FRAMES, len(level) - FRAMES // 2, FRAMES)
    between = (level[harmonics - FRAMES // 2] + level[harmonics + FRAMES // 2]) / 2
    return float((level[harmonics] - between).mean())
