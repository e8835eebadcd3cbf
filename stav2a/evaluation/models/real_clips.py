"""The onset curve on real clips with their real sound, by kind of event, beside shuffled videos and optical flow.

Real clips have no exact event times: the onsets detected in their own sound stand for them. Many of these cannot be
seen, weak ones most of all, so every figure is given against all onsets of a clip and against the stronger half.
Gains are over circular shifts in time (`metrics/chance.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stav2a.evaluation.folders.pairs import VIDEO_SUFFIXES
from stav2a.evaluation.models.foley_figures import as_row
from stav2a.evaluation.models.kinds import Label, labels_of
from stav2a.media.audio import read_audio
from stav2a.media.frames import read_for_model
from stav2a.metrics.alignment import onset_f1
from stav2a.metrics.chance import bootstrap_ci, pooled_gain, rolled_scores, shifted_scores
from stav2a.metrics.envelope import envelope_correlation
from stav2a.sound.onsets import detect_onsets, onset_frame_s, onset_strength, stronger_half

FLOW = "optical flow"
SHUFFLED = "shuffled videos"
STRIKES = "strikes"
GRID_S = 0.008  # of the times that a predictor answers
F1_FIGURES = {  # figure: (window in seconds, whether the stronger half of the onsets is the reference)
    "onset F1 ±50 ms": (0.05, False),
    "onset F1 ±100 ms": (0.1, False),
    "onset F1 ±50 ms, stronger half": (0.05, True),
    "onset F1 ±100 ms, stronger half": (0.1, True),
}
ENVELOPE = "envelope correlation"

Scored = tuple[float, np.ndarray]  # a clip's score, and those of its shifted trials [trials]


@dataclass(frozen=True)
class Seen:
    """A prediction for a video: a curve at the frames of librosa's onset strength, and its onsets."""

    curve: np.ndarray  # float [frames]
    onsets_s: list[float]


@dataclass(frozen=True)
class RealClip:
    """The onsets of a clip's original sound, and the predictions for its video."""

    name: str
    label: Label | None
    length_s: float
    strength: np.ndarray  # float [frames], `onset_frame_s()` apart
    onsets_s: np.ndarray
    seen: dict[str, Seen]


def real_clips(pipe, folder: str | Path) -> dict[str, dict]:
    """{figure: gain, with CI over clips and p} of one model, called "model", on every clip of a folder."""
    return table(list(read_clips({"model": pipe}, folder)))


def read_clips(pipes: dict[str, object], folder: str | Path, split: str | None = None) -> Iterator[RealClip]:
    """The clips of a folder that have sound, in the order of their names, as each of `pipes` sees them.

    split: only the clips of this split, and those that the folder's `manifest.csv` gives none.
    """
    labels = labels_of(folder)
    for path in sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in VIDEO_SUFFIXES):
        label = labels.get(path.name)
        if split is not None and label is not None and label.split not in ("", split):
            continue
        clip = seen_and_heard(pipes, path, label)
        if clip is not None:
            yield clip


def seen_and_heard(pipes: dict[str, object], path: Path, label: Label | None = None) -> RealClip | None:
    """One clip; None where it has no sound. Optical flow is taken from the pictures of the first model."""
    rate = next(iter(pipes.values())).timeline.sample_rate
    wave = read_audio(path, rate)
    if wave is None:
        return None
    read = {name: read_for_model(path, pipe.timeline) for name, pipe in pipes.items()}
    first = next(iter(read.values()))
    length_s = min(len(wave) / rate, len(first.frames) / first.fps)
    wave = wave[: round(length_s * rate)]
    strength = onset_strength(wave, rate)
    seen = {}
    for name, pipe in pipes.items():
        found = pipe.predict_onsets(read[name].frames)
        seen[name] = Seen(strength_of_curve(found.curve, found.latent_frame_s, len(strength)), found.onsets_s)
    drop, peaks = flow_deceleration(first.frames, first.fps)
    seen[FLOW] = Seen(strength_of_curve(drop, 1 / first.fps, len(strength)), peaks)
    return RealClip(path.name, label, length_s, strength, detect_onsets(wave, rate), seen)


def table(clips: list[RealClip], differences: bool = False) -> dict[str, dict]:
    """Rows `predictor, group: figure, gain`; the first model's pictures are also shuffled among the clips.

    differences: also the first model's gain minus that of every other, clip by clip.
    """
    if len(clips) < 2:
        raise ValueError(f"There are {len(clips)} clips with sound; at least 2 are needed.")
    models = [name for name in clips[0].seen if name != FLOW]
    scored = {name: scores(clips, [clip.seen[name] for clip in clips]) for name in (*models, FLOW)}
    turned = [clip.seen[models[0]] for clip in clips[1:] + clips[:1]]
    scored[SHUFFLED] = scores(clips, turned)
    rows = {}
    for group, members in groups(clips).items():
        for name in (*models, SHUFFLED, FLOW):
            for figure, of_clips in scored[name].items():
                rows[row_name(name, group, figure)] = gain_row([of_clips[k] for k in members])
        for other in models[1:] if differences else ():
            for figure in scored[other]:
                gained = [_gains([scored[m][figure][k] for k in members]) for m in (models[0], other)]
                change = gained[0] - gained[1]
                rows[row_name(f"{models[0]} minus {other}", group, figure)] = {
                    "value": float(change.mean()),
                    "ci95": list(bootstrap_ci(change)),
                    "n": len(change),
                }
    return rows


def groups(clips: list[RealClip]) -> dict[str, list[int]]:
    """{group: places of its clips}, two or more: all (""), those whose events can be seen or not, and each kind."""
    found: dict[str, list[int]] = {"": list(range(len(clips)))}
    for place, clip in enumerate(clips):
        if clip.label is None:
            continue
        found.setdefault("visible events" if clip.label.visible else "continuous sounds", []).append(place)
        if clip.label.visible and clip.label.kind != STRIKES:
            found.setdefault("visible events but strikes", []).append(place)
        if clip.label.kind:
            found.setdefault(clip.label.kind, []).append(place)
    return {group: members for group, members in found.items() if len(members) >= 2}


def scores(clips: list[RealClip], seen: list[Seen]) -> dict[str, list[Scored]]:
    """{figure: each clip's score and its trials} of what was `seen` in the picture of each clip."""
    found: dict[str, list[Scored]] = {}
    for figure, (window_s, stronger) in F1_FIGURES.items():
        score = partial(onset_f1, window_s=window_s)
        found[figure] = [
            shifted_scores(
                stronger_half(clip.onsets_s, clip.strength) if stronger else clip.onsets_s,
                picture.onsets_s,
                clip.length_s,
                score,
                grid_s=GRID_S,
            )
            for clip, picture in zip(clips, seen, strict=True)
        ]
    found[ENVELOPE] = [
        rolled_scores(clip.strength, picture.curve, onset_frame_s(), envelope_correlation)
        for clip, picture in zip(clips, seen, strict=True)
    ]
    return found


def row_name(name: str, group: str, figure: str) -> str:
    return f"{name}, {group}: {figure}, gain" if group else f"{name}: {figure}, gain"


def gain_row(scored: list[Scored]) -> dict:
    return as_row(pooled_gain([own for own, _ in scored], [trials for _, trials in scored]))


def _gains(scored: list[Scored]) -> np.ndarray:
    return np.array([own - trials.mean() for own, trials in scored])


def strength_of_curve(curve: np.ndarray, latent_frame_s: float, frames: int) -> np.ndarray:
    """A curve [T] of `latent_frame_s` a value at the frames of librosa's onset strength: float [frames]."""
    centres = (np.arange(len(curve)) + 0.5) * latent_frame_s
    return np.interp(np.arange(frames) * onset_frame_s(), centres, curve)


def flow_deceleration(frames: np.ndarray, fps: float) -> tuple[np.ndarray, list[float]]:
    """Decrease of motion from frame to frame, [T_v], and its peaks in seconds: a baseline without training."""
    import cv2
    from scipy.signal import find_peaks

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    speed = np.zeros(len(grey))
    for k in range(1, len(grey)):
        flow = cv2.calcOpticalFlowFarneback(grey[k - 1], grey[k], None, 0.5, 3, 9, 3, 5, 1.1, 0)
        speed[k] = np.linalg.norm(flow, axis=-1).mean()
    drop = np.maximum(-np.diff(speed, append=speed[-1]), 0)
    peaks, _ = find_peaks(drop, height=drop.mean() + drop.std(), distance=max(1, round(0.1 * fps)))
    return drop, [float((peak + 0.5) / fps) for peak in peaks]
