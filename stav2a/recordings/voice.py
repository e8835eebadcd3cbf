"""A voice: the recordings that sound as one thing, cut into single hits of one level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stav2a.recordings.place import EDGE_S, Hit
from stav2a.recordings.shelf import Recording, Shelf

PRE_S = 0.03  # before an attack, what belongs to it
CUT_S = 0.015  # a piece ends that much before the next attack
SHORTEST_S = 0.08
PAUSE_DB = 10.0  # an event ends where the level falls by this much; what swells on is one event
MOST_HITS = 8
LEVEL = 0.25  # RMS of the loudest 50 ms of a hit
TEXTURE_LEVEL = 0.08  # RMS of a texture
LOUD_S = 0.05


@dataclass(frozen=True, eq=False)
class Voice:
    """What sounds as one thing, called `name`: hits, or a texture (float32 [S], to be looped).

    cls: class of the recordings, "" for a person's own. whole: the recordings uncut, at the level of hits.
    recordings: those of the shelf that it is made of, to be credited. count: of its events, where the caption says so.
    """

    name: str
    cls: str
    hits: tuple[Hit, ...] = ()
    texture: np.ndarray | None = None
    whole: tuple[np.ndarray, ...] = ()
    recordings: tuple[Recording, ...] = ()
    count: int | None = None


def make_voice(shelf: Shelf, name: str, recordings: Sequence[Recording], rate: int) -> Voice:
    """The voice of recordings of one kind: textures give the first, hits are cut from all."""
    waveforms = [resampled(shelf.load(recording), rate) for recording in recordings]
    if recordings[0].kind == "texture":
        texture = waveforms[0] * (TEXTURE_LEVEL / max(rms(waveforms[0]), 1e-6))
        return Voice(name, recordings[0].cls, texture=texture.astype(np.float32), recordings=tuple(recordings[:1]))
    hits = [
        hit
        for waveform, recording in zip(waveforms, recordings, strict=True)
        for hit in cut_hits(waveform, recording.attacks_s, rate)
    ]
    whole = tuple(at_level(waveform, rate) for waveform in waveforms)
    return Voice(name, recordings[0].cls, tuple(hits[:MOST_HITS]), None, whole, tuple(recordings))


def cut_hits(waveform: np.ndarray, attacks_s: Sequence[float], rate: int) -> list[Hit]:
    """One hit an attack, each up to the next one, all at LEVEL; the whole where no attack is known."""
    if not len(attacks_s):
        return [Hit(at_level(waveform, rate), 0)]
    attacks_s = separate(waveform, attacks_s, rate)
    ends = [*attacks_s[1:], len(waveform) / rate + CUT_S]
    hits = []
    for attack, end in zip(attacks_s, ends, strict=True):
        first = max(round((attack - PRE_S) * rate), 0)
        last = min(round((end - CUT_S) * rate), len(waveform))
        if last - first >= SHORTEST_S * rate:
            piece = faded(waveform[first:last], round(EDGE_S * rate), round(CUT_S * rate))
            hits.append(Hit(at_level(piece, rate), round(attack * rate) - first))
    return hits or [Hit(at_level(waveform, rate), round(attacks_s[0] * rate))]


def separate(waveform: np.ndarray, attacks_s: Sequence[float], rate: int) -> list[float]:
    """Attacks before which the level has fallen by PAUSE_DB from the event's loudest; a howl that swells is one."""
    kept = [attacks_s[0]]
    for attack in attacks_s[1:]:
        start, at = round(kept[-1] * rate), round(attack * rate)
        levels = [rms(block) for block in np.array_split(waveform[start:at], max(1, (at - start) * 50 // rate))]
        if min(levels[-3:]) <= max(levels) * 10 ** (-PAUSE_DB / 20):
            kept.append(attack)
    return kept


def at_level(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Turned so that the loudest LOUD_S has the RMS `LEVEL`, but never to a peak above 1."""
    size = max(1, min(round(LOUD_S * rate), len(waveform)))
    power = np.convolve(waveform.astype(np.float64) ** 2, np.full(size, 1 / size), mode="valid")
    gain = LEVEL / max(float(np.sqrt(power.max(initial=0.0))), 1e-6)
    peak = float(np.abs(waveform).max(initial=0.0))
    return (waveform * min(gain, 1 / max(peak, 1e-6))).astype(np.float32)


def faded(waveform: np.ndarray, fade_in: int, fade_out: int) -> np.ndarray:
    waveform = waveform.astype(np.float32).copy()
    fade_in, fade_out = min(fade_in, len(waveform)), min(fade_out, len(waveform))
    waveform[:fade_in] *= np.linspace(0, 1, fade_in, dtype=np.float32)
    if fade_out:
        waveform[-fade_out:] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return waveform


def rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(waveform.astype(np.float64) ** 2))) if len(waveform) else 0.0


def resampled(waveform: np.ndarray, rate: int) -> np.ndarray:
    """From the shelf's 16 kHz to the model's rate."""
    from stav2a.recordings.shelf import SAMPLE_RATE

    if rate == SAMPLE_RATE:
        return waveform
    import soxr

    return soxr.resample(waveform, SAMPLE_RATE, rate)
