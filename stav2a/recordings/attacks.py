"""When the events of a recording begin, as this project's onset detector hears them."""

from __future__ import annotations

import numpy as np

from stav2a.sound.onsets import HEARD_AFTER_S, detect_onsets

LEAD_S = 0.5  # silence around the recording, so that its beginning and end are like any other moment
SHIFTS_S = (0.0, 0.006, 0.012, 0.018)  # within a frame of the detector (23 ms): their median is finer than a frame
SAME_S = 0.03
CLOSEST_S = 0.1  # attacks nearer than this are one event
SOFTEST_DB = 20.0  # events this far below the loudest one are left out


def attacks(waveform: np.ndarray, sample_rate: int) -> tuple[float, ...]:
    """Attacks of float [S] in seconds, ascending: a sound placed so that one lies at t is heard at t + HEARD_AFTER_S.

    Only what the detector finds at most of the shifts counts.
    """
    lead = np.zeros(round(LEAD_S * sample_rate), np.float32)
    found = []
    for shift in SHIFTS_S:
        padded = np.concatenate([lead, np.zeros(round(shift * sample_rate), np.float32), waveform, lead])
        times = detect_onsets(padded, sample_rate) - LEAD_S - shift - HEARD_AFTER_S
        found += [(float(time), k) for k, time in enumerate(times)]
    found.sort()
    clusters: list[list[float]] = []
    for time, _ in found:
        if clusters and time - clusters[-1][0] <= SAME_S:
            clusters[-1].append(time)
        else:
            clusters.append([time])
    middles = [float(np.median(cluster)) for cluster in clusters if len(cluster) > len(SHIFTS_S) // 2]
    inside = [max(time, 0.0) for time in middles if time < len(waveform) / sample_rate]
    return tuple(_audible(waveform, sample_rate, inside))


def _audible(waveform: np.ndarray, sample_rate: int, times: list[float]) -> list[float]:
    """Without events that are soft, or that follow another one at once."""
    if not times:
        return []
    ends = [*times[1:], len(waveform) / sample_rate]
    spans = [(round(a * sample_rate), round(b * sample_rate)) for a, b in zip(times, ends, strict=True)]
    levels = [float(np.abs(waveform[a:b]).max(initial=0.0)) for a, b in spans]
    loudest = max(levels)
    kept: list[float] = []
    for time, level in zip(times, levels, strict=True):
        if level >= loudest * 10 ** (-SOFTEST_DB / 20) and (not kept or time - kept[-1] >= CLOSEST_S):
            kept.append(time)
    return kept
