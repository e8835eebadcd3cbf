"""Where an onset curve is cut: the threshold whose onsets gain most over chance.

F1 alone rewards firing everywhere where labels are dense: on real clips the threshold of the best F1 can pick 44
onsets a clip and know nothing. The gain over the same onsets shifted in time does not (`metrics/chance.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stav2a.condition.onset import pick_onsets
from stav2a.metrics.alignment import count_matches
from stav2a.metrics.chance import shifted_scores

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
WINDOW_S = 0.05
TRIALS = 20
GRID_S = 0.008


@dataclass(frozen=True)
class Judged:
    """gain: mean over clips of F1 at ±50 ms minus its chance; f1: of all clips' onsets together."""

    threshold: float
    gain: float
    f1: float


def best_threshold(curves: Sequence[np.ndarray], onsets_s: Sequence[Sequence[float]], step_s: float) -> Judged:
    """The threshold of the largest gain; of equal ones the highest, which picks the fewest onsets.

    curves: float [T] each, `step_s` seconds a value; onsets_s: the true onsets of each curve's clip.
    """
    judged = [at_threshold(curves, onsets_s, step_s, threshold) for threshold in THRESHOLDS]
    return max(judged, key=lambda found: (found.gain, found.threshold))


def at_threshold(
    curves: Sequence[np.ndarray], onsets_s: Sequence[Sequence[float]], step_s: float, threshold: float
) -> Judged:
    gains, hits, counted = [], 0, 0
    for curve, true in zip(curves, onsets_s, strict=True):
        found = pick_onsets(curve, step_s, threshold)
        own, trials = shifted_scores(true, found, len(curve) * step_s, trials=TRIALS, grid_s=GRID_S)
        gains.append(own - trials.mean())
        hits += count_matches(true, found, WINDOW_S)
        counted += len(true) + len(found)
    return Judged(threshold, float(np.mean(gains)) if gains else 0.0, 2 * hits / max(counted, 1))
