"""A clip's sound of voices: hits at its onsets, textures under its motion, silence where nothing happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stav2a.recordings.place import followed, in_a_row, looped, place_hits
from stav2a.recordings.voice import Voice
from stav2a.sound.onsets import HEARD_AFTER_S

AMBIENT = {
    "aircraft", "bird_chirp", "crowd", "fire_crackle", "insects", "rain", "running_water", "sea_waves", "thunder",
    "train", "wind",
}  # they go on whether or not the picture moves  # fmt: skip
BEHIND_DB = -9.0  # of a texture where hits stand in front
SMOOTH_S = 0.2  # of motion
STILL = 0.5  # mean change of a pixel (0 to 255) below which a picture stands still
MOVES_FROM, MOVES_FULLY = 0.1, 0.35  # of the clip's strongest motion: silent below, full level above
PEAK = 0.9


@dataclass(frozen=True)
class Score:
    """When a clip sounds. strengths in [0, 1], one an onset; motion: mean change of a pixel a frame, None without a
    picture, `fps` frames a second; by_hand: the onsets were given."""

    duration_s: float
    onsets_s: Sequence[float]
    strengths: Sequence[float]
    motion: np.ndarray | None
    fps: float
    by_hand: bool = False

    @property
    def moves(self) -> bool:
        return self.motion is not None and float(np.quantile(self.motion, 0.9)) >= STILL


def soundtrack(voices: Sequence[Voice], score: Score, sample_rate: int, seed: int) -> np.ndarray:
    """float32 [S], |x| <= PEAK; silence without voices. Voices of hits take the onsets in turn.

    Ambience of single calls (birds, thunder) goes on through the clip, unless it is said how often or when it is heard.
    """
    samples = round(score.duration_s * sample_rate)
    mix = np.zeros(samples, np.float32)
    of_hits = [voice for voice in voices if voice.texture is None]
    calling = [v for v in of_hits if v.cls in AMBIENT and v.count is None and not score.by_hand]
    striking = [voice for voice in of_hits if voice not in calling]
    behind = 10 ** (BEHIND_DB / 20) if striking else 1.0
    for k, voice in enumerate(voices):
        rng = np.random.default_rng([seed, 2, k])
        if voice.texture is not None:
            bed = looped(voice.texture, samples, sample_rate, rng)
            bed = followed(bed, envelope(score, voice), score.fps, sample_rate)
            mix += bed * behind
        elif voice in calling or (not len(score.onsets_s) and not score.moves):
            events = voice.whole if voice.count is None else [hit.waveform for hit in voice.hits]
            calls = in_a_row(events, samples, sample_rate, rng, most=voice.count)
            mix += calls * (behind if voice in calling else 1.0)
        else:
            turn = slice(striking.index(voice), None, len(striking))
            times, strengths = list(score.onsets_s)[turn], list(score.strengths)[turn]
            mix += place_hits(voice.hits, times, strengths, samples, sample_rate, rng)
    peak = float(np.abs(mix).max(initial=0.0))
    return mix * (PEAK / peak) if peak > PEAK else mix


def envelope(score: Score, voice: Voice) -> np.ndarray:
    """Level of a texture a frame, float [T] in [0, 1]: with the picture's motion, unless it is ambience or a still."""
    if not score.moves or voice.cls in AMBIENT:
        return np.ones(1)
    from scipy.ndimage import uniform_filter1d

    motion = uniform_filter1d(np.asarray(score.motion, np.float64), max(1, round(SMOOTH_S * score.fps)))
    strongest = float(np.quantile(motion, 0.9))
    return np.clip((motion / strongest - MOVES_FROM) / (MOVES_FULLY - MOVES_FROM), 0, 1)


def strengths_of(onsets_s: Sequence[float], motion: np.ndarray | None, fps: float) -> list[float]:
    """How strong each onset is, in [0.5, 1], from the motion up to it.

    On FoleyWorld's validation clips the level of a hit goes with the motion around it (Spearman 0.33, 29 clips), less
    with the height of the predicted curve (0.11). Where nothing moves (an onset that a person added), it is as strong
    as the middle of the others.
    """
    if motion is None or not len(motion) or not len(onsets_s):
        return [1.0] * len(onsets_s)
    places = [min(max(round((time - HEARD_AFTER_S) * fps), 0), len(motion) - 1) for time in onsets_s]
    moved = np.array([float(motion[max(at - 2, 0) : at + 3].max()) for at in places])
    strongest = moved.max()
    if strongest < STILL:
        return [1.0] * len(places)
    relative = moved / strongest
    seen = moved >= STILL
    relative[~seen] = np.median(relative[seen])
    return [float(0.5 + 0.5 * value) for value in relative]


def most_likely_onset(curve: np.ndarray, latent_frame_s: float) -> list[float]:
    """The peak of a predicted curve in which no onset was picked: what a caption names is heard once, at least."""
    return [round(float(np.argmax(curve)) * latent_frame_s, 3)] if len(curve) and curve.max() > 0 else []


def motion_of(frames: np.ndarray) -> np.ndarray:
    """Mean change of a pixel before each frame, the first as the second: uint8 [T, H, W, 3] -> float32 [T]."""
    if len(frames) < 2:
        return np.zeros(len(frames), np.float32)
    green = frames[..., 1].astype(np.int16)  # carries most of the luminance
    change = np.abs(np.diff(green, axis=0)).mean((1, 2)).astype(np.float32)
    return np.concatenate([change[:1], change])
