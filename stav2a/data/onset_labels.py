"""Pseudo-labels of the onset pretext task (eq. 1): which latent steps an onset of the sound falls into."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stav2a.metrics.onsets import Detector, detect_onsets
from stav2a.timeline import Timeline


def labels_from_onsets(onsets_s: ArrayLike, length: int, step_s: float) -> np.ndarray:
    """Onset times in seconds -> `onset_labels` int64 [length], 1 in the steps that hold an onset.

    Step i covers [i * step_s, (i + 1) * step_s); onsets outside are left out.
    """
    labels = np.zeros(length, np.int64)
    # the small addend keeps times that are whole steps from falling into the step before by rounding
    steps = np.floor(np.asarray(onsets_s, dtype=np.float64) / step_s + 1e-6).astype(np.int64)
    labels[steps[(steps >= 0) & (steps < length)]] = 1
    return labels


def onsets_from_labels(labels: ArrayLike, step_s: float) -> np.ndarray:
    """Middles in seconds of the steps labelled 1: the times of `labels_from_onsets`, to ± step_s / 2."""
    return (np.flatnonzero(np.asarray(labels)) + 0.5) * step_s


def onset_labels(
    waveform: np.ndarray, timeline: Timeline, length: int | None = None, detector: Detector = "librosa"
) -> np.ndarray:
    """`onset_labels` (y_a in eq. 1) of a sound: float [S] at the timeline's rate -> int64 [T].

    length: steps wanted, by default one window's `latent_frames`. The authors published no labelling code;
    `"librosa"` is the algorithm that their AA-Align and the paper's references use.
    """
    onsets_s = detect_onsets(waveform, timeline.sample_rate, detector)
    return labels_from_onsets(onsets_s, length or timeline.latent_frames, timeline.step_s)
