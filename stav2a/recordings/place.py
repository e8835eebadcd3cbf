"""Recordings placed in time: hits at onsets, textures looped under continuous motion. Signal processing alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stav2a.sound.onsets import HEARD_AFTER_S

CHOKE_S = 0.04  # a hit is cut by the next one of its voice within this time, as a struck drum or string is
EDGE_S = 0.002  # fade where a cut would click
PAUSE_S = 0.35  # mean pause between recordings in a row
RANGE_DB = 12.0  # between the softest and the strongest onset
CROSSFADE_S = 0.3  # of a texture with itself
DETUNE = 0.25 / 12  # octaves, deviation from hit to hit
WAVER_DB = 1.0


@dataclass(frozen=True)
class Hit:
    """One event of a recording. waveform: float32 [S]; attack: the sample that belongs to the onset."""

    waveform: np.ndarray
    attack: int


def place_hits(
    hits: Sequence[Hit],
    onsets_s: Sequence[float],
    strengths: Sequence[float],
    samples: int,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Hits so that they are heard at the onsets (attack `HEARD_AFTER_S` before): float32 [samples].

    strengths in [0, 1] become levels, 1 the recording's own. Variants alternate, each slightly detuned. What still
    rings at the next attack fades under it.
    """
    mix = np.zeros(samples, np.float32)
    order = alternating(len(hits), len(onsets_s), rng)
    attacks = [round((time - HEARD_AFTER_S) * sample_rate) for time in onsets_s]
    following = [*attacks, samples + round(CHOKE_S * sample_rate)][1:]
    for which, at, end, strength in zip(order, attacks, following, strengths, strict=True):
        hit = varied(hits[which], rng)
        gain = 10 ** (-RANGE_DB * (1 - min(max(strength, 0.0), 1.0)) / 20) * 10 ** (rng.normal(0, WAVER_DB) / 20)
        part = choked(hit.waveform, hit.attack + end - at, round(CHOKE_S * sample_rate))
        add(mix, gain * part, at - hit.attack, round(EDGE_S * sample_rate))
    return mix


def alternating(variants: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` places among `variants`: every variant once in each round, never one twice in a row."""
    order: list[int] = []
    while len(order) < count:
        turn = [int(k) for k in rng.permutation(variants)]
        if order and variants > 1 and turn[0] == order[-1]:
            turn.append(turn.pop(0))
        order += turn
    return order[:count]


def varied(hit: Hit, rng: np.random.Generator) -> Hit:
    """Played a little faster or slower, as no two hits of an instrument are the same."""
    speed = 2.0 ** rng.normal(0, DETUNE)
    steps = np.arange(0, max(len(hit.waveform) - 1, 1), speed)
    waveform = np.interp(steps, np.arange(len(hit.waveform)), hit.waveform).astype(np.float32)
    return Hit(waveform, round(hit.attack / speed))


def choked(waveform: np.ndarray, end: int, fade: int) -> np.ndarray:
    """Silent from `fade` samples after sample `end` on, fading between."""
    if len(waveform) <= end:
        return waveform
    end = max(end, 0)
    part = waveform[: end + fade].copy()
    ramp = np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    part[end:] *= ramp[: len(part) - end]
    return part


def add(mix: np.ndarray, part: np.ndarray, start: int, edge: int) -> None:
    """Mix `part` in at sample `start`; what lies outside is cut with a short fade."""
    first, last = max(0, -start), min(len(part), len(mix) - start)
    if last <= first:
        return
    part = part[first:last].astype(np.float32)
    ramp = np.linspace(0, 1, min(edge, len(part)), dtype=np.float32)
    if first > 0:
        part[: len(ramp)] *= ramp
    mix[start + first : start + last] += part


def looped(texture: np.ndarray, samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """`samples` of a texture without seams: float32. It starts anywhere, and fades into itself at equal power."""
    fade = min(round(CROSSFADE_S * sample_rate), len(texture) // 3)
    if fade == 0:
        return np.zeros(samples, np.float32)
    rise = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    body = texture.astype(np.float32).copy()
    body[:fade] = body[:fade] * rise + texture[-fade:] * rise[::-1]  # the end leads into the beginning
    body = body[: len(texture) - fade]
    start = int(rng.integers(len(body)))
    return np.resize(np.roll(body, -start), samples)


def followed(waveform: np.ndarray, envelope: np.ndarray, rate_hz: float, sample_rate: int) -> np.ndarray:
    """float32 [S] times an envelope of `rate_hz` values a second, interpolated."""
    times = np.arange(len(waveform)) / sample_rate
    return (waveform * np.interp(times, np.arange(len(envelope)) / rate_hz, envelope)).astype(np.float32)


def in_a_row(
    waveforms: Sequence[np.ndarray],
    samples: int,
    sample_rate: int,
    rng: np.random.Generator,
    most: int | None = None,
) -> np.ndarray:
    """Recordings one after another with pauses, where no picture says when, `most` of them: float32 [samples]."""
    mix, at = np.zeros(samples, np.float32), round(0.05 * sample_rate)
    rounds = (alternating(len(waveforms), 64, rng) for _ in itertools.count())
    for which in itertools.islice(itertools.chain.from_iterable(rounds), most):
        if at >= samples - round(0.15 * sample_rate):
            break
        add(mix, waveforms[which], at, round(EDGE_S * sample_rate))
        at += len(waveforms[which]) + round(PAUSE_S * rng.uniform(0.7, 1.5) * sample_rate)
    return choked(mix, samples - round(CHOKE_S * sample_rate), round(CHOKE_S * sample_rate))
