"""Temporal alignment of two sets of onsets: the papers' scores and one-to-one scores.

Conventions: onsets are times in seconds, any order, any array-like; every function returns a float. Empty
sets are defined, so that silence never divides by zero: two empty sets agree (1), one empty set does not
(0).

The authors count a generated onset as a hit whenever any reference onset is near, so that one reference
onset can serve many and dense sound scores high; with three generated onsets around one reference onset the
score is 3. The one-to-one scores match every onset at most once. Neither is meaningful without its chance
level: `chance.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

AA_WINDOW_S = 0.1  # T of §II-D


def times(onsets_s: ArrayLike) -> np.ndarray:
    """Ascending float64 [n]; raises where a value is not a time."""
    onsets_s = np.sort(np.asarray(onsets_s, dtype=np.float64).reshape(-1))
    if not np.isfinite(onsets_s).all():
        raise ValueError("onsets hold values that are not finite")
    return onsets_s


def count_hits(reference_s: ArrayLike, estimated_s: ArrayLike, window_s: float) -> int:
    """Estimated onsets with any reference onset strictly within `window_s`: the authors' counting."""
    reference_s, estimated_s = times(reference_s), times(estimated_s)
    if not reference_s.size:
        return 0
    # compared as the authors write it (reference ± window), so that edge cases round alike
    first_above = np.searchsorted(reference_s + window_s, estimated_s, side="right")
    near = np.minimum(first_above, reference_s.size - 1)
    inside = (reference_s[near] - window_s < estimated_s) & (estimated_s < reference_s[near] + window_s)
    return int(inside.sum())


def count_matches(reference_s: ArrayLike, estimated_s: ArrayLike, window_s: float) -> int:
    """Size of the largest one-to-one matching of onsets at most `window_s` apart.

    On a line with one window for all, taking the earliest free partner is optimal; equal to mir_eval's
    bipartite matching (tested) and fast enough for thousands of chance trials.
    """
    first, second = times(reference_s).tolist(), times(estimated_s).tolist()
    matches = i = j = 0
    while i < len(first) and j < len(second):
        if abs(first[i] - second[j]) <= window_s:
            matches, i, j = matches + 1, i + 1, j + 1
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    return matches


def intersection_over_union(hits: int, n_a: int, n_b: int) -> float:
    """hits / (n_a + n_b - hits), 1 for two empty sets."""
    union = n_a + n_b - hits  # 0 only where both sets are empty, because hits <= n_a
    return hits / union if union > 0 else 1.0


def aa_align(reference_s: ArrayLike, generated_s: ArrayLike, window_s: float = AA_WINDOW_S) -> float:
    """AA-Align (eq. 8) as the authors' evaluation code computes it; can exceed 1.

    Use onsets of `detect_onsets(..., detector="librosa")` for their numbers.
    """
    reference_s, generated_s = times(reference_s), times(generated_s)
    hits = count_hits(reference_s, generated_s, window_s)
    return intersection_over_union(hits, len(generated_s), len(reference_s))


def aa_align_one_to_one(reference_s: ArrayLike, generated_s: ArrayLike, window_s: float = AA_WINDOW_S) -> float:
    """AA-Align as the paper words it, an intersection over union in [0, 1]: an onset matches at most once."""
    reference_s, generated_s = times(reference_s), times(generated_s)
    matches = count_matches(reference_s, generated_s, window_s)
    return intersection_over_union(matches, len(generated_s), len(reference_s))


def onset_f1(reference_s: ArrayLike, estimated_s: ArrayLike, window_s: float = 0.05) -> float:
    """F-measure of one-to-one matched onsets, `mir_eval.onset.f_measure` with both-silent defined as 1."""
    reference_s, estimated_s = times(reference_s), times(estimated_s)
    if not len(reference_s) and not len(estimated_s):
        return 1.0
    # 2PR / (P + R) with P = m / n_estimated and R = m / n_reference
    return 2 * count_matches(reference_s, estimated_s, window_s) / (len(reference_s) + len(estimated_s))


def onset_offset(reference_s: ArrayLike, estimated_s: ArrayLike) -> float:
    """Seconds by which most of the estimated onsets are late (negative: early); 0 where nothing is to be compared.

    All differences between an estimated and a reference onset up to 2 s are laid side by side; the answer is
    the median of the densest stretch of 0.1 s, the one nearest to 0 of equally dense ones.
    """
    reference_s, estimated_s = times(reference_s), times(estimated_s)
    differences = np.sort((estimated_s[:, None] - reference_s[None, :]).reshape(-1))
    differences = differences[np.abs(differences) <= 2.0]
    if not differences.size:
        return 0.0
    stops = np.searchsorted(differences, differences + 0.1, side="right")
    counts = stops - np.arange(len(differences))
    medians = [np.median(differences[start : stops[start]]) for start in np.flatnonzero(counts == counts.max())]
    return float(min(medians, key=abs))


def av_align(onsets_s: ArrayLike, flow_peaks_s: ArrayLike, fps: float) -> float:
    """AV-Align as the authors' code computes it: onsets of the sound within one frame of a flow peak.

    flow_peaks_s: of `flow.flow_peaks`; fps: of the video whose flow it is.
    """
    onsets_s, flow_peaks_s = times(onsets_s), times(flow_peaks_s)
    hits = count_hits(flow_peaks_s, onsets_s, 1.0 / fps)
    return intersection_over_union(hits, len(onsets_s), len(flow_peaks_s))


def av_align_one_to_one(onsets_s: ArrayLike, flow_peaks_s: ArrayLike, fps: float) -> float:
    """AV-Align with every flow peak used at most once."""
    onsets_s, flow_peaks_s = times(onsets_s), times(flow_peaks_s)
    matches = count_matches(flow_peaks_s, onsets_s, 1.0 / fps)
    return intersection_over_union(matches, len(onsets_s), len(flow_peaks_s))


def av_align_symmetric(onsets_s: ArrayLike, flow_peaks_s: ArrayLike, fps: float) -> float:
    """AV-Align as Yariv et al. (2024) define it: hits counted from both sides, halved, over the union."""
    onsets_s, flow_peaks_s = times(onsets_s), times(flow_peaks_s)
    window_s = 1.0 / fps
    of_sound = count_hits(flow_peaks_s, onsets_s, window_s)
    of_video = count_hits(onsets_s, flow_peaks_s, window_s)
    union = len(onsets_s) + len(flow_peaks_s) - of_sound
    return (of_sound + of_video) / (2 * union) if union > 0 else 1.0
