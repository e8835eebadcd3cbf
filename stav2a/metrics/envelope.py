"""Alignment of whole curves of onset strength: correlation, best lag, and TiVA's two distances.

Curves: float [frames] on one time axis, `onsets.onset_strength`; where two differ in length, both are cut
to the shorter one. Constant curves (silence) are defined: two of them agree, one of them is as far as can
be.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import correlate, correlation_lags

from stav2a.sound.compiled import librosa

EDGE_S = 0.2


def without_edges(curve: np.ndarray, frame_s: float, edge_s: float = EDGE_S) -> np.ndarray:
    """The curve without its first and last `edge_s` seconds: every clip begins with an onset."""
    edge = round(edge_s / frame_s)
    return curve[edge : len(curve) - edge] if len(curve) > 2 * edge + 1 else curve


def envelope_correlation(reference: np.ndarray, generated: np.ndarray) -> float:
    """Pearson correlation of two curves, in [-1, 1]."""
    reference, generated = _pair(reference, generated)
    a, b = reference - reference.mean(), generated - generated.mean()
    flat_a, flat_b = _is_flat(reference), _is_flat(generated)
    if flat_a or flat_b:
        return 1.0 if flat_a and flat_b else 0.0
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def best_lag(
    reference: np.ndarray, generated: np.ndarray, frame_s: float, max_lag_s: float = 0.5
) -> tuple[float, float]:
    """(correlation, lag in seconds) where the generated curve fits best; a positive lag is late sound.

    Every lag is scored over the overlap, normalised by the whole curves, so that short overlaps cannot win.
    """
    reference, generated = _pair(reference, generated)
    if _is_flat(reference) or _is_flat(generated):
        return envelope_correlation(reference, generated), 0.0
    a, b = reference - reference.mean(), generated - generated.mean()
    scores = correlate(b, a) / np.sqrt((a @ a) * (b @ b))
    lags = correlation_lags(len(b), len(a))
    allowed = np.abs(lags) * frame_s <= max_lag_s + 1e-9
    best = np.argmax(np.where(allowed, scores, -np.inf))
    return float(np.clip(scores[best], -1.0, 1.0)), float(lags[best] * frame_s)


def w_dis(reference: np.ndarray, generated: np.ndarray, frame_s: float) -> float:
    """TiVA's W-dis: Wasserstein-1 distance in seconds between two curves taken as distributions over time.

    TiVA publishes neither code nor normalisation; here each curve has mass 1, so the unit is seconds of
    transport. A silent curve against a sounding one costs the whole length.
    """
    reference, generated = _pair(np.maximum(reference, 0), np.maximum(generated, 0))
    mass_a, mass_b = reference.sum(), generated.sum()
    if mass_a <= 0 or mass_b <= 0:
        return 0.0 if mass_a <= 0 and mass_b <= 0 else len(reference) * frame_s
    # on a line the transport cost is the area between the cumulative distributions
    between = np.cumsum(reference / mass_a - generated / mass_b)
    return float(np.abs(between[:-1]).sum() * frame_s)


def dtw_dis(reference: np.ndarray, generated: np.ndarray) -> float:
    """TiVA's DTW-dis: Euclidean distance of two curves, each with maximum 1, after dynamic time warping."""
    reference, generated = (_unit_peak(curve) for curve in _pair(reference, generated))
    cost = (reference[:, None] - generated[None, :]) ** 2
    return float(np.sqrt(librosa().sequence.dtw(C=cost, backtrack=False)[-1, -1]))


def _pair(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = min(len(reference), len(generated))
    if length < 1:
        raise ValueError("a curve without values has no alignment")
    return np.asarray(reference[:length], np.float64), np.asarray(generated[:length], np.float64)


def _is_flat(curve: np.ndarray) -> bool:
    return float(np.ptp(curve)) <= 1e-12


def _unit_peak(curve: np.ndarray) -> np.ndarray:
    peak = np.abs(curve).max()
    return curve / peak if peak > 0 else curve
