"""Attack times of onsets, and the noise floor between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stav2a.sound.onsets import HEARD_AFTER_S, SILENCE_DB, as_mono

STEP_S = 0.001  # of the level that attacks are read from, RMS of 4 ms
WIDTH_S = 0.004
BEFORE_S, AFTER_S = 0.06, 0.06  # around an attack: where its beginning and its peak are looked for
STRETCH_S = 0.1  # of the level that the noise floor is read from
QUIET_STRETCHES = 5  # with fewer, a clip has no noise floor


def attack_times_s(waveform: np.ndarray, sample_rate: int, onsets_s: Sequence[float]) -> np.ndarray:
    """Seconds that the amplitude of each onset takes from 10 % to 90 % of its rise, float64 [onsets that rise].

    waveform: float [S]; `onsets_s`: as heard (`onsets.py`), the rise lies around `HEARD_AFTER_S` before. The rise goes
    from the quietest moment of the 60 ms before the peak to the peak. A tone's own period keeps the RMS of 4 ms from
    resolving rises below about 3 ms.
    """
    level = amplitude(as_mono(waveform), sample_rate)
    before, after = round(BEFORE_S / STEP_S), round(AFTER_S / STEP_S)
    found = []
    for onset in onsets_s:
        at = round((onset - HEARD_AFTER_S) / STEP_S)
        first, stop = max(at - before // 2, 0), min(at + after, len(level))
        if stop - first < 2:
            continue
        peak = first + int(level[first:stop].argmax())
        foot = max(peak - before, 0)
        rise = level[foot : peak + 1]
        low, high = rise.min(), rise.max()
        if high - low < 0.5 * high or high <= 0:
            continue  # less than 6 dB: nothing begins here
        shares = (rise - low) / (high - low)
        begun = np.flatnonzero(shares <= 0.1)[-1]
        done = begun + int(np.argmax(shares[begun:] >= 0.9))
        found.append((done - begun) * STEP_S)
    return np.asarray(found, dtype=np.float64)


def amplitude(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS over `WIDTH_S` around every `STEP_S`, float64 [1 + duration / STEP_S]."""
    squares = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    centres = np.arange(0, len(waveform) + 1, STEP_S * sample_rate)
    half = WIDTH_S * sample_rate / 2
    left = np.clip(np.round(centres - half), 0, len(waveform)).astype(int)
    right = np.clip(np.round(centres + half), 0, len(waveform)).astype(int)
    return np.sqrt((squares[right] - squares[left]) / np.maximum(right - left, 1))


def noise_floor_db(waveform: np.ndarray, reference: np.ndarray, sample_rate: int) -> float | None:
    """Median level, dB full scale, of the 100 ms stretches in which `reference` is silent (below -60 dBFS).

    None where fewer than five of them are. A sound in the wrong place does not move a median as hiss or hum does.
    """
    step = round(STRETCH_S * sample_rate)
    count = min(len(waveform), len(reference)) // step
    own, other = (levels_db(as_mono(w)[: count * step].reshape(count, step)) for w in (waveform, reference))
    quiet = other < SILENCE_DB
    return float(np.median(own[quiet])) if quiet.sum() >= QUIET_STRETCHES else None


def levels_db(stretches: np.ndarray) -> np.ndarray:
    """RMS level of each row in dB full scale, at least -120: [n, S] -> [n]."""
    return 10 * np.log10(np.mean(stretches.astype(np.float64) ** 2, axis=1) + 1e-12)
