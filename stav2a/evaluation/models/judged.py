"""Measures of sounds generated for clips with known sound: timing, class, similarity to real sounds, level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stav2a.evaluation.models.foley_figures import gain
from stav2a.media.audio import loudness_lufs
from stav2a.metrics.bank_classifier import BankClassifier, describe, rank_of
from stav2a.metrics.chance import bootstrap_ci
from stav2a.metrics.classifier import Tagger
from stav2a.metrics.clip_scores import METRICS
from stav2a.metrics.distance import frechet_distance, own_ranks
from stav2a.sound.onsets import HEARD_AFTER_S, detect_onsets, onset_frame_s, onset_strength, resample

if TYPE_CHECKING:
    from stav2a.timeline import Timeline


@dataclass(frozen=True)
class OwnSound:
    """A clip's own sound, float32 [S], its caption, and when its events are heard. cls: "" where it is not known."""

    waveform: np.ndarray
    caption: str
    cls: str
    heard_s: list[float]


def rendered(
    timeline: Timeline, bank: Path, sprites: Path | None, count: int, split: str, duration_s: float
) -> Iterator[tuple[OwnSound, np.ndarray]]:
    """FoleyWorld's clips and their frames; the times of events are exact."""
    from stav2a.data.foleyworld.world import FoleyWorld

    size = {"duration_s": duration_s, "fps": timeline.fps, "size": timeline.frame_size}
    world = FoleyWorld(bank, sprites, split, **size)
    for index in range(count):
        clip = world[index]
        yield OwnSound(clip.waveform, clip.caption, clip.cls, [t + HEARD_AFTER_S for t in clip.onsets_s]), clip.frames


def recorded(timeline: Timeline, folder: Path, count: int, split: str) -> Iterator[tuple[OwnSound, np.ndarray]]:
    """Real clips of a folder with a manifest, of the split where it has splits; onsets are those of their own sound."""
    from stav2a.evaluation.models.captioned import captions_of
    from stav2a.media.audio import read_audio
    from stav2a.media.frames import read_for_model

    found = 0
    for name, caption in sorted(captions_of(folder, split).items()):
        sound = read_audio(folder / name, timeline.sample_rate)
        if sound is None or found == count:
            continue
        clip, found = read_for_model(folder / name, timeline), found + 1
        sound = sound[: round(clip.duration_s * timeline.sample_rate)]
        yield OwnSound(sound, caption, "", list(detect_onsets(sound, timeline.sample_rate))), clip.frames


def judged(
    clips: Sequence[OwnSound],
    waves: list[list[np.ndarray]],
    rate: int,
    classifier: BankClassifier,
    listener: Tagger | None = None,
) -> dict:
    """Figures of one row, with 95 % intervals. waves: float32 [S] of every clip, a list a draw; draw 0 is judged."""
    real = [describe(classifier, clip.waveform) for clip in clips]
    made = [[describe(classifier, wave) for wave in draw] for draw in waves]
    ranks = [
        rank_of(found.probabilities, classifier.classes, clip.cls)
        for clip, found in zip(clips, made[0], strict=True)
        if clip.cls in classifier.classes
    ]
    pairs = [
        (clip.heard_s, detect_onsets(wave, rate), len(clip.waveform) / rate)
        for clip, wave in zip(clips, waves[0], strict=True)
        if len(clip.heard_s)
    ]
    timing = gain(pairs, onset_frame_s()) if pairs else None
    apart = [
        METRICS["w_dis"].score(*(onset_strength(sound, rate) for sound in (clip.waveform, wave)))
        for clip, wave in zip(clips, waves[0], strict=True)
    ]
    levels = [
        (loudness_lufs(clip.waveform, rate), loudness_lufs(wave, rate))
        for clip, wave in zip(clips, waves[0], strict=True)
    ]
    differences = [
        generated - own for own, generated in levels if np.isfinite(own) and np.isfinite(generated) and own > -50
    ]
    return {
        "n": len(clips),
        "onset_gain": timing and timing.gain,
        "onset_gain_ci95": list(timing.ci95) if timing and timing.ci95 else None,
        "w_dis": float(np.mean(apart)),
        "w_dis_ci95": list(bootstrap_ci(np.array(apart))),
        "top1": float(np.mean(np.array(ranks) <= 1)) if ranks else None,
        "top5": float(np.mean(np.array(ranks) <= 5)) if ranks else None,
        "top5_ci95": list(bootstrap_ci(np.array(ranks) <= 5)) if ranks else None,
        "fd_bank": frechet_distance(
            np.concatenate([found.embeddings for found in real]),
            np.concatenate([found.embeddings for found in made[0]]),
        ).distance,
        **heard_by(listener, [clip.waveform for clip in clips], waves[0], rate),
        "loudness_lu": float(np.median(differences)) if differences else None,
        "diversity": None if len(made) < 2 else spread(made),
    }


def heard_by(listener: Tagger | None, real: list[np.ndarray], made: list[np.ndarray], rate: int) -> dict:
    """Rank of each clip's own sound among all (0 best, 0.5 chance), Fréchet distance; None without a listener."""
    if listener is None:
        return {"rank": None, "rank_ci95": None, "fd": None}
    sides = [[listener.describe(resample(w, rate, listener.sample_rate))[0] for w in side] for side in (real, made)]
    ranks = own_ranks(*(np.stack([found.mean(0) for found in side]) for side in sides))
    return {
        "rank": float(ranks.mean()),
        "rank_ci95": list(bootstrap_ci(ranks)),
        "fd": frechet_distance(*map(np.concatenate, sides)).distance,
    }


def spread(made: list[list]) -> float:
    """How far two draws of a clip lie apart in the classifier's space, against draws of different clips."""
    first, second = (np.stack([found.embeddings.mean(0) for found in draw]) for draw in made)
    same_clip = np.linalg.norm(first - second, axis=1).mean()
    other_clip = np.linalg.norm(first - np.roll(second, 1, axis=0), axis=1).mean()
    return float(same_clip / other_clip)
