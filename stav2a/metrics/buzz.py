"""Buzz of a vocoder: a pattern that repeats with every mel frame, or every few, sounds like a tone."""

from __future__ import annotations

import numpy as np
from scipy.signal import stft

from stav2a.sound.onsets import as_mono

FRAMES = 8  # mel frames under a window: harmonics of their rate lie eight bins apart
LOWEST = 3  # harmonic that counts; below, sounds have tones of their own
SILENT_DB = -80.0  # level of windows that are left out as silent
SPAN_S = 0.5  # window of `frame_repetition`
MOST_FRAMES = 8  # longest repetition that counts


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


def frame_repetition(waveform: np.ndarray, sample_rate: int, hop_length: int) -> float | None:
    """How far a sound repeats itself after whole mel frames, and not half a frame off; None if all is silent.

    waveform: float [S]. The autocorrelation after 1 to 8 frames minus that half a frame later, a mean over these and
    over windows of half a second: about 0 for recordings and noise, 1 for one grain a frame. It also finds a grain that
    returns every second frame or less often, which `frame_buzz_db` does not.
    """
    size = round(SPAN_S * sample_rate)
    lags = hop_length * np.arange(1, MOST_FRAMES + 1)
    sound = as_mono(waveform)
    found = []
    for start in range(0, len(sound) - size + 1, size // 2):
        window = sound[start : start + size].astype(np.float64)
        window = window - window.mean()
        if np.square(window).mean() <= 10 ** (SILENT_DB / 10):
            continue
        power = np.abs(np.fft.rfft(window, 2 * size)) ** 2
        correlation = np.fft.irfft(power)[:size]
        found.append((correlation[lags] - correlation[lags + hop_length // 2]).mean() / correlation[0])
    return float(np.mean(found)) if found else None
