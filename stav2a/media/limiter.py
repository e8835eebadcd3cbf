"""A true-peak limiter: it lowers hits for a moment, and the rest of the sound keeps its level.

The gain in decibels is the largest curve that keeps every peak below the limit and whose slope is bounded: it falls
before a peak (look-ahead) and recovers slowly after it. Peaks between the samples count too (ITU-R BS.1770, annex 2).
"""

from __future__ import annotations

import numpy as np

PEAK_DBTP = -1.0  # highest true peak written, decibels below full scale
OVERSAMPLING = 4
FALL_DB_PER_S = 6000.0  # 12 dB within 2 ms before the peak
RECOVER_DB_PER_S = 200.0  # 10 dB within 50 ms after it


def true_peak(waveform: np.ndarray, sample_rate: int) -> float:
    """Highest magnitude of [S] or [S, C], including peaks between the samples."""
    return float(peaks(waveform, sample_rate).max(initial=0.0))


def peaks(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Peak magnitude around each sample, of the loudest channel: [S] or [S, C] -> float64 [S]."""
    import soxr

    waveform = np.asarray(waveform, np.float32)
    count = len(waveform)
    if count == 0:
        return np.zeros(0)
    between = soxr.resample(waveform, sample_rate, OVERSAMPLING * sample_rate)[: OVERSAMPLING * count]
    short = OVERSAMPLING * count - len(between)
    between = np.pad(between, [(0, short), *[(0, 0)] * (between.ndim - 1)]) if short else between
    nearby = np.abs(between[::OVERSAMPLING])
    for phase in range(1, OVERSAMPLING):  # a maximum over so short an axis is slow
        np.maximum(nearby, np.abs(between[phase::OVERSAMPLING]), out=nearby)
    here = np.abs(waveform)
    if waveform.ndim > 1:
        nearby, here = nearby.max(axis=1), here.max(axis=1)
    found = np.maximum(nearby, here)
    found[1:] = np.maximum(found[1:], nearby[:-1])  # a peak between two samples belongs to both
    return found.astype(np.float64)


def limit(waveform: np.ndarray, sample_rate: int, peak_dbtp: float = PEAK_DBTP) -> np.ndarray:
    """[S] or [S, C] with no true peak above `peak_dbtp`: one gain for all channels; unchanged if no peak is higher."""
    ceiling = 10 ** (peak_dbtp / 20)
    level = peaks(waveform, sample_rate)
    if not (level > ceiling).any():
        return waveform
    needed_db = np.minimum(0.0, -20 * np.log10(np.maximum(level, 1e-9) / ceiling))
    gain = 10 ** (bounded(needed_db, FALL_DB_PER_S / sample_rate, RECOVER_DB_PER_S / sample_rate) / 20)
    limited = waveform * (gain if waveform.ndim == 1 else gain[:, None])
    left_over = true_peak(limited, sample_rate)  # a changing gain can slightly raise a peak between two samples
    return (limited * min(1.0, ceiling / left_over)).astype(np.float32)


def bounded(values: np.ndarray, fall: float, rise: float) -> np.ndarray:
    """The largest curve below `values` that falls by at most `fall` and rises by at most `rise` per sample.

    float [S] -> float [S]: at t, the minimum over s of values[s] + rise (t - s) for s <= t and values[s] + fall (s - t)
    for s >= t.
    """
    place = np.arange(len(values))
    after = np.minimum.accumulate(values - rise * place) + rise * place
    before = np.minimum.accumulate((values + fall * place)[::-1])[::-1] - fall * place
    return np.minimum(after, before)
