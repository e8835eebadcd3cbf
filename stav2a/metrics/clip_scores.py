"""All scores of one pair of sounds, with their chance trials: pure functions of waveforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from stav2a.metrics import alignment, envelope
from stav2a.metrics.chance import DEFAULT_GRID_S, rolled_scores, shifted_scores
from stav2a.metrics.onsets import detect_onsets, onset_frame_s, onset_strength, strength_onsets

LOWER_IS_BETTER = frozenset({"w_dis", "dtw_dis", "offset_abs_s"})
LENGTH_TOLERANCE_S = 0.5


@dataclass
class ClipScores:
    """scores: over the whole common length, as published; inside, trials: without the edges, for the gain."""

    duration_s: float
    scores: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    trials: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, score: float, own_and_trials: tuple[float, np.ndarray]) -> None:
        own, trials = own_and_trials
        self.scores[name] = float(score)
        self.inside[name] = float(own)
        self.trials[name] = [float(trial) for trial in trials]


def cut_to_common_length(
    reference: tuple[np.ndarray, int], generated: tuple[np.ndarray, int]
) -> tuple[np.ndarray, np.ndarray, float, list[str]]:
    """(reference [S], generated [S'], common length in seconds, remarks) of (waveform, sample rate) pairs."""
    lengths_s = [len(waveform) / rate for waveform, rate in (reference, generated)]
    duration_s = min(lengths_s)
    remarks = []
    if max(lengths_s) - duration_s > LENGTH_TOLERANCE_S:
        remarks.append(f"lengths differ: reference {lengths_s[0]:.2f} s, generated {lengths_s[1]:.2f} s")
    cut = [waveform[: round(duration_s * rate)] for waveform, rate in (reference, generated)]
    return cut[0], cut[1], duration_s, remarks


def score_sounds(
    reference: tuple[np.ndarray, int],
    generated: tuple[np.ndarray, int],
    trials: int = 20,
    seed: int = 0,
    flow: tuple[np.ndarray, float] | None = None,
) -> ClipScores:
    """Alignment scores of two sounds, each (mono waveform [S], sample rate); flow: (flow peaks in s, fps)."""
    rate_r, rate_g = reference[1], generated[1]
    wave_r, wave_g, duration_s, remarks = cut_to_common_length(reference, generated)
    result = ClipScores(duration_s, remarks=remarks)

    strength_r, strength_g = onset_strength(wave_r, rate_r), onset_strength(wave_g, rate_g)
    published_r, published_g = strength_onsets(strength_r), strength_onsets(strength_g)
    attacks_r, attacks_g = detect_onsets(wave_r, rate_r), detect_onsets(wave_g, rate_g)
    result.scores["onsets_reference"] = float(len(attacks_r))
    result.scores["onsets_generated"] = float(len(attacks_g))

    frame_s = onset_frame_s()

    def onset_metric(name, score, onsets_r, onsets_g, grid_s=frame_s):
        shifted = shifted_scores(onsets_r, onsets_g, duration_s, score, trials=trials, grid_s=grid_s, seed=seed)
        result.add(name, score(onsets_r, onsets_g), shifted)

    onset_metric("aa_align", alignment.aa_align, published_r, published_g)
    onset_metric("aa_align_one_to_one", alignment.aa_align_one_to_one, published_r, published_g)
    for window_s in (0.05, 0.1):
        score = partial(alignment.onset_f1, window_s=window_s)
        onset_metric(f"onset_f1_{round(1000 * window_s)}ms", score, attacks_r, attacks_g, DEFAULT_GRID_S)

    def curve_metric(name, score):
        rolled = rolled_scores(strength_r, strength_g, frame_s, score, trials=trials, seed=seed)
        result.add(name, score(strength_r, strength_g), rolled)

    curve_metric("envelope_correlation", envelope.envelope_correlation)
    curve_metric("w_dis", partial(envelope.w_dis, frame_s=frame_s))
    curve_metric("dtw_dis", envelope.dtw_dis)
    curve_metric("offset_abs_s", lambda a, b: abs(envelope.best_lag(a, b, frame_s)[1]))

    if flow is not None:
        peaks_s, fps = flow
        result.scores["av_align_reference"] = alignment.av_align(published_r, peaks_s, fps)
        for name in ("av_align", "av_align_one_to_one", "av_align_symmetric"):
            function = getattr(alignment, name)

            def score(peaks_s, onsets_s, function=function, fps=fps):
                return function(onsets_s, peaks_s, fps)

            onset_metric(name, score, peaks_s, published_g)
    return result
