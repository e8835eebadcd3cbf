"""All scores of one pair of sounds, with their chance trials: pure functions of waveforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from stav2a.metrics import alignment, envelope
from stav2a.metrics.chance import DEFAULT_GRID_S, rolled_scores, shifted_scores
from stav2a.sound.onsets import detect_onsets, onset_frame_s, onset_strength, strength_onsets

LOWER_IS_BETTER = frozenset({"w_dis", "dtw_dis", "offset_abs_s"})
LENGTH_TOLERANCE_S = 0.5
FRAME_S = onset_frame_s()
MOST_OFFSET_S = 2.0  # that offsets are looked for within, either way: the range of Synchformer
OFFSET_TOLERANCE_S = 0.2  # its tolerance


def offset_s(reference: np.ndarray, generated: np.ndarray) -> float:
    """Lag of the generated curve in seconds, positive where the sound is late."""
    return envelope.best_lag(reference, generated, FRAME_S, MOST_OFFSET_S)[1]


@dataclass(frozen=True)
class PairMetric:
    """`score(reference, generated)` of a series of the pair; grid_s: seconds between the times that it can hold.

    series: "published" (onsets as the authors detect them, in seconds), "attacks" (sharper ones), "strength" (the
    onset detection function), "motion" (the video's flow peaks against the sound's published onsets).
    """

    series: str
    score: Callable[..., float]
    grid_s: float = FRAME_S


METRICS = {
    "aa_align": PairMetric("published", alignment.aa_align),
    "aa_align_one_to_one": PairMetric("published", alignment.aa_align_one_to_one),
    "onset_f1_50ms": PairMetric("attacks", partial(alignment.onset_f1, window_s=0.05), DEFAULT_GRID_S),
    "onset_f1_100ms": PairMetric("attacks", partial(alignment.onset_f1, window_s=0.1), DEFAULT_GRID_S),
    "envelope_correlation": PairMetric("strength", envelope.envelope_correlation),
    "w_dis": PairMetric("strength", partial(envelope.w_dis, frame_s=FRAME_S)),
    "dtw_dis": PairMetric("strength", envelope.dtw_dis),
    "offset_abs_s": PairMetric("strength", lambda a, b: abs(offset_s(a, b))),
    "offset_within_200ms": PairMetric("strength", lambda a, b: float(abs(offset_s(a, b)) <= OFFSET_TOLERANCE_S)),
    # the video is the reference: its peaks stay where they are, the sound is shifted
    "av_align": PairMetric("motion", lambda peaks, onsets, fps: alignment.av_align(onsets, peaks, fps)),
    "av_align_one_to_one": PairMetric(
        "motion", lambda peaks, onsets, fps: alignment.av_align_one_to_one(onsets, peaks, fps)
    ),
    "av_align_symmetric": PairMetric(
        "motion", lambda peaks, onsets, fps: alignment.av_align_symmetric(onsets, peaks, fps)
    ),
}


@dataclass
class ClipScores:
    """scores: over the whole common length, as published; inside, trials: without the edges, for the gain.

    series: what the scores compare, `<name>_reference` and `<name>_generated`, for comparing with other clips.
    """

    duration_s: float
    scores: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    trials: dict[str, list[float]] = field(default_factory=dict)
    series: dict[str, np.ndarray] = field(default_factory=dict)
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
    wave_r, wave_g, duration_s, remarks = cut_to_common_length(reference, generated)
    result = ClipScores(duration_s, remarks=remarks)
    series = result.series = {"duration_s": np.array(duration_s)}
    for side, wave, rate in (("reference", wave_r, reference[1]), ("generated", wave_g, generated[1])):
        strength = series[f"strength_{side}"] = onset_strength(wave, rate)
        series[f"published_{side}"] = strength_onsets(strength)
        series[f"attacks_{side}"] = detect_onsets(wave, rate, "attack")
        result.scores[f"onsets_{side}"] = float(len(series[f"attacks_{side}"]))
    if flow is not None:
        series |= {"motion_reference": flow[0], "motion_generated": series["published_generated"]}
        series["fps"] = np.array(flow[1])
        result.scores["av_align_reference"] = alignment.av_align(series["published_reference"], *flow)

    for name, metric in METRICS.items():
        if f"{metric.series}_reference" not in series:
            continue
        ours, theirs = series[f"{metric.series}_reference"], series[f"{metric.series}_generated"]
        score = partial(metric.score, fps=flow[1]) if metric.series == "motion" and flow else metric.score
        if metric.series == "strength":
            own_and_trials = rolled_scores(ours, theirs, FRAME_S, score, trials=trials, seed=seed)
        else:
            own_and_trials = shifted_scores(
                ours, theirs, duration_s, score, trials=trials, grid_s=metric.grid_s, seed=seed
            )
        result.add(name, score(ours, theirs), own_and_trials)
    # signed, to see whether a system is late as a rule: no chance level, more is not better
    result.scores["offset_s"] = offset_s(series["strength_reference"], series["strength_generated"])
    result.scores["onset_offset_s"] = alignment.onset_offset(series["attacks_reference"], series["attacks_generated"])
    return result
