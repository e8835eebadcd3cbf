"""The onset curve on real clips with their real sound, beside two rivals: shuffled videos and optical flow.

Real clips have no exact event times: the onsets detected in their own sound stand for them.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np

from stav2a.evaluation.foley_figures import as_row
from stav2a.evaluation.pairs import VIDEO_SUFFIXES
from stav2a.media.audio import read_audio
from stav2a.media.frames import read_for_model
from stav2a.metrics.alignment import onset_f1
from stav2a.metrics.chance import pooled_gain, rolled_scores, shifted_scores
from stav2a.metrics.envelope import envelope_correlation
from stav2a.metrics.onsets import detect_onsets, onset_frame_s, onset_strength

WINDOWS_S = (0.05, 0.1)


def strength_of_curve(curve: np.ndarray, step_s: float, frames: int) -> np.ndarray:
    """A curve [T] of `step_s` a value at the frames of librosa's onset strength: float [frames]."""
    centres = (np.arange(len(curve)) + 0.5) * step_s
    return np.interp(np.arange(frames) * onset_frame_s(), centres, curve)


def flow_deceleration(frames: np.ndarray, fps: float) -> tuple[np.ndarray, list[float]]:
    """How much motion stops from frame to frame, [T_v], and its peaks in seconds: the rival without learning."""
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


def real_clips(pipe, folder: str | Path) -> dict[str, dict]:
    """{figure: gain over circular shifts, with CI over clips and p} for the model and its rivals.

    Where the folder's `manifest.csv` names a `category` of each `file`, the model's figures of each are given as well.
    """
    categories = categories_of(Path(folder))
    found = [
        {**clip, "category": categories.get(path.name)}
        for path in sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if (clip := seen_and_heard(pipe, path)) is not None
    ]
    if len(found) < 2:
        raise ValueError(f"{folder} holds {len(found)} clips with sound; at least 2 are needed.")
    rows = {}
    for rival in ("model", "shuffled videos", "optical flow"):
        rows |= gains(found, rival, rival)
    for category in sorted({clip["category"] for clip in found} - {None}):
        chosen = [clip for clip in found if clip["category"] == category]
        if 2 <= len(chosen) < len(found):
            rows |= gains(chosen, "model", f"model, {category}")
    return rows


def categories_of(folder: Path) -> dict[str, str]:
    """{file: category} of a folder's manifest, where there is one."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        return {}
    with manifest.open(encoding="utf-8", newline="") as lines:
        return {
            row["file"]: row["category"] for row in csv.DictReader(lines) if row.get("file") and row.get("category")
        }


def seen_and_heard(pipe, path: Path) -> dict | None:
    """Onsets and strength of a clip's sound, and what the model and optical flow say of its picture; None if silent."""
    timeline = pipe.timeline
    wave, rate = read_audio(path, timeline.sample_rate), timeline.sample_rate
    if wave is None:
        return None
    clip = read_for_model(path, timeline)
    onset = pipe.predict_onsets(clip.frames)
    drop, peaks = flow_deceleration(clip.frames, timeline.fps)
    length = min(len(wave) / rate, len(clip.frames) / timeline.fps)
    strength = onset_strength(wave[: round(length * rate)], rate)
    return {
        "length": length,
        "strength": strength,
        "true": detect_onsets(wave[: round(length * rate)], rate),
        "model": (strength_of_curve(onset.curve, onset.step_s, len(strength)), onset.onsets_s),
        "optical flow": (strength_of_curve(drop, 1 / timeline.fps, len(strength)), peaks),
    }


def gains(found: list[dict], rival: str, name: str) -> dict[str, dict]:
    """The rival's rows, called `name`. "shuffled videos" is the model on the picture of the next clip."""
    seen = found[1:] + found[:1] if rival == "shuffled videos" else found
    seen = [clip["model" if rival == "shuffled videos" else rival] for clip in seen]
    rows = {}
    for window_s in WINDOWS_S:
        score = partial(onset_f1, window_s=window_s)
        scored = [
            shifted_scores(clip["true"], times, clip["length"], score, grid_s=0.008)
            for clip, (_, times) in zip(found, seen, strict=True)
        ]
        gained = pooled_gain([own for own, _ in scored], [trials for _, trials in scored])
        rows[f"{name}: onset F1 ±{round(1000 * window_s)} ms, gain"] = as_row(gained)
    scored = [
        rolled_scores(clip["strength"], curve, onset_frame_s(), envelope_correlation)
        for clip, (curve, _) in zip(found, seen, strict=True)
    ]
    gained = pooled_gain([own for own, _ in scored], [trials for _, trials in scored])
    rows[f"{name}: envelope correlation, gain"] = as_row(gained)
    return rows
