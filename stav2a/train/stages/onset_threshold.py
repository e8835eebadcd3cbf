"""Choose the onset threshold with the largest gain over chance.

F1 alone rewards firing everywhere where labels are dense: on real clips the threshold of the best F1 can pick 44
onsets a clip without any information. The gain over the same onsets shifted in time does not (`metrics/chance.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stav2a.condition.onset import onset_probability, pick_onsets
from stav2a.data.shards import Shards
from stav2a.metrics.alignment import count_matches
from stav2a.metrics.chance import bootstrap_ci, shifted_scores
from stav2a.models.defaults import DEFAULTS
from stav2a.timeline import Timeline
from stav2a.train.runtime.parts import note_default, noted_defaults, trained
from stav2a.train.sources.prepared import must_fit

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
WINDOW_S = 0.05
TRIALS = 20
GRID_S = 0.008
FOLDS = 5


@dataclass(frozen=True)
class Judged:
    """gain: mean over clips of F1 at ±50 ms minus its chance; f1: of all clips' onsets together."""

    threshold: float
    gain: float
    f1: float


def best_threshold(curves: Sequence[np.ndarray], onsets_s: Sequence[Sequence[float]], latent_frame_s: float) -> Judged:
    """The threshold of the largest gain; of equal ones the highest, which picks the fewest onsets.

    curves: float [T] each, `latent_frame_s` seconds per value; onsets_s: the true onsets of each clip.
    """
    judged = [at_threshold(curves, onsets_s, latent_frame_s, threshold) for threshold in THRESHOLDS]
    return max(judged, key=lambda found: (found.gain, found.threshold))


def at_threshold(
    curves: Sequence[np.ndarray], onsets_s: Sequence[Sequence[float]], latent_frame_s: float, threshold: float
) -> Judged:
    hits = counted = 0
    for curve, true in zip(curves, onsets_s, strict=True):
        found = pick_onsets(curve, latent_frame_s, threshold)
        hits += count_matches(true, found, WINDOW_S)
        counted += len(true) + len(found)
    gains = gains_at(curves, onsets_s, latent_frame_s, threshold)
    return Judged(threshold, float(gains.mean()) if len(gains) else 0.0, 2 * hits / max(counted, 1))


def gains_at(
    curves: Sequence[np.ndarray], onsets_s: Sequence[Sequence[float]], latent_frame_s: float, threshold: float
) -> np.ndarray:
    """Each clip's F1 at ±50 ms minus its chance: float [n]."""
    gains = []
    for curve, true in zip(curves, onsets_s, strict=True):
        found = pick_onsets(curve, latent_frame_s, threshold)
        own, trials = shifted_scores(true, found, len(curve) * latent_frame_s, trials=TRIALS, grid_s=GRID_S)
        gains.append(own - trials.mean())
    return np.array(gains)


@dataclass(frozen=True)
class Calibration:
    """`change`: by how much a threshold chosen on other videos gains more than the present one; ci95 over clips."""

    threshold: float
    present: float
    present_gain: float
    change: float
    ci95: tuple[float, float]
    n: int

    def __str__(self) -> str:
        low, high = self.ci95
        gains = f"{self.present_gain:+.3f} at {self.present:g}; chosen on other videos {self.change:+.3f} more"
        return f"onset threshold {self.threshold:g} (gain {gains}, {low:+.3f} to {high:+.3f}, {self.n} clips)"


def calibrated(
    curves: Sequence[np.ndarray],
    onsets_s: Sequence[Sequence[float]],
    videos: Sequence[str],
    latent_frame_s: float,
    present: float,
) -> Calibration:
    """The threshold for clips of one kind, or the present one if no other is significantly better.

    The change is cross-validated: clips of one of `videos` stay on one side of up to 5 folds. Its interval must lie
    above 0. `ValueError` for clips of a single video.
    """
    names = sorted(set(videos))
    if len(names) < 2:
        raise ValueError(f"The clips come from {len(names)} videos; a threshold needs at least 2 to be checked.")
    folds = np.array([names.index(video) % FOLDS for video in videos])
    gains = np.stack([gains_at(curves, onsets_s, latent_frame_s, threshold) for threshold in THRESHOLDS])
    now = gains_at(curves, onsets_s, latent_frame_s, present)
    chosen = np.empty(len(curves))
    for fold in set(folds):
        held_out = folds == fold
        chosen[held_out] = gains[_largest(gains[:, ~held_out]), held_out]
    change = chosen - now
    ci95 = bootstrap_ci(change)
    threshold = THRESHOLDS[_largest(gains)] if ci95[0] > 0 else present
    return Calibration(threshold, present, float(now.mean()), float(change.mean()), ci95, len(curves))


def _largest(gains: np.ndarray) -> int:
    """The row of the largest mean, the last of equal ones."""
    means = gains.mean(1)
    return int(np.flatnonzero(means >= means.max() - 1e-12)[-1])


@dataclass
class ThresholdOptions:
    shards: str = ""  # prepared clips with their own sound
    filter: bool = True  # leave out clips that the filters refuse
    split: str | None = None  # of the clips; all of them by default


@torch.no_grad()
def calibrate(parts: str, options: ThresholdOptions, timeline: Timeline) -> Calibration:
    """Choose the onset threshold of a folder of parts on prepared clips and note it there for `assemble`.

    No weights are trained; about ten clips of one kind are enough. They may be the training clips of the generator.
    """
    if not options.shards:
        raise ValueError("options.shards is missing: the folder of prepared clips to choose the threshold on.")
    encoder, local = trained(parts, "video_encoder").eval(), trained(parts, "local_features").eval()
    shards = Shards(options.shards, options.split, options.filter)
    must_fit(shards, timeline)
    if shards.blind:
        raise ValueError(f"{options.shards} holds {shards.blind} clips of sound alone; onsets need pictures.")
    curves, onsets_s, videos = [], [], []
    for number in range(len(shards)):
        note = shards.note(number)
        frames = torch.from_numpy(np.ascontiguousarray(shards.frames(number)))
        _, logits = local(encoder(frames.permute(3, 0, 1, 2)[None].float() / 255))
        curves.append(onset_probability(logits)[0].numpy())
        onsets_s.append(note["onsets_s"])
        videos.append(note["source"])
    present = float(noted_defaults(parts).get("onset_threshold", DEFAULTS["onset_threshold"]))
    found = calibrated(curves, onsets_s, videos, timeline.latent_frame_s, present)
    note_default(parts, "onset_threshold", found.threshold)
    return found
