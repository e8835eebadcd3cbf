"""The sound of a plan: recordings at the event times, continuous sounds (beds), a room and background noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, lfilter

from stav2a.data.foleyworld.plan import ENVELOPE_RATE, Event, Score, onset_times
from stav2a.data.foleyworld.sound.sources import BankSource, EventSound, ModalSource, NotedSource, faded
from stav2a.data.foleyworld.words import captions
from stav2a.data.soundbank import SAMPLE_RATE

PEAK = 0.9
AMBIENCE = ("rain", "wind", "crowd", "machine_hum", "running_water", "insects", "sea_waves", "vehicle_engine")


@dataclass(frozen=True)
class Sound:
    """waveform: float32 [S] at 16 kHz, |x| <= 0.9; `onsets_s` are the times of the visible contacts of audible
    events; contacts within 30 ms count once. `recordings`: paths in the bank of those it is mixed from."""

    waveform: np.ndarray
    events: list[Event]
    caption: str
    cls: str
    recordings: tuple[str, ...] = ()

    @property
    def onsets_s(self) -> list[float]:
        return onset_times(e.time_s for e in self.events if e.audible)


def render(
    score: Score,
    source: BankSource | ModalSource,
    rng: np.random.Generator,
    held_out: bool = False,
    loose: np.random.Generator | None = None,
) -> Sound:
    """Mix a score. Another generator `rng` gives another version of the same score; `held_out` and `loose` are
    those of `captions.caption`.
    """
    samples = round(score.duration_s * SAMPLE_RATE)
    mix = np.zeros(samples, np.float32)
    recorded: dict[str, str] = {}
    noted = NotedSource(source)
    _lay_events(mix, score, noted, rng, recorded)
    _lay_beds(mix, score, noted, rng, recorded)
    text = captions.caption(score, rng, held_out, recorded, loose)
    if rng.random() < 0.45 and mix.any():
        mix = room(mix, rng)
    mix = level(mix, rng)
    mix = mix + floor(samples, noted, rng)
    peak = float(np.abs(mix).max())
    if peak > PEAK:
        mix *= PEAK / peak
    return Sound(mix.astype(np.float32), score.events, text, score.cls, tuple(sorted(noted.paths)))


def _lay_events(mix: np.ndarray, score: Score, source, rng: np.random.Generator, recorded: dict[str, str]) -> None:
    voices: dict[tuple[int, str], list[EventSound]] = {}
    tune: dict[tuple[int, str], float] = {}
    for event in score.audible:
        key = (event.voice, event.cls)
        if key not in voices:
            voices[key] = source.voice(event.cls, rng, event.duration_s)
            tune[key] = 2 ** rng.normal(0, 1.2 / 12)
            recorded.setdefault(event.cls, voices[key][0].caption)
        takes = voices[key]
        wave = takes[int(rng.integers(len(takes)))].waveform
        wave = resampled(wave, tune[key] * event.pitch * 2 ** rng.normal(0, 0.25 / 12))
        if event.duration_s:
            limit = int(event.duration_s * 1.3 * SAMPLE_RATE)
            if len(wave) > limit:
                wave = faded(wave[:limit], 0.08)
        gain = event.gain * 10 ** (rng.normal(0, 1.0) / 20)
        if event.gain < 0.5:  # soft contacts are duller, not only quieter
            pole = 0.6 * (0.5 - event.gain)
            wave = lfilter([1 - pole], [1, -pole], wave).astype(np.float32)
        start = round(event.time_s * SAMPLE_RATE)
        stop = min(start + len(wave), len(mix))
        mix[start:stop] += gain * wave[: stop - start]


def _lay_beds(mix: np.ndarray, score: Score, source, rng: np.random.Generator, recorded: dict[str, str]) -> None:
    grid = np.arange(len(mix)) / SAMPLE_RATE
    for bed in score.beds:
        take = source.texture(bed.cls, rng)
        recorded.setdefault(bed.cls, take.caption)
        control = np.arange(len(bed.envelope)) / ENVELOPE_RATE
        envelope = np.interp(grid, control, bed.envelope).astype(np.float32)
        if bed.speed is None:
            wave = looped(take.waveform, len(mix), rng)
        else:
            speed = np.interp(grid, control, bed.speed)
            place = np.cumsum(speed)
            long = looped(take.waveform, int(place[-1]) + 2, rng)
            wave = np.interp(place, np.arange(len(long)), long).astype(np.float32)
        rms = float(np.sqrt(np.mean(wave**2))) + 1e-6
        mix += bed.level * envelope * wave * min(0.16 / rms, 3.0)


def resampled(wave: np.ndarray, speed: float) -> np.ndarray:
    """The sound at `speed` times its speed, by linear interpolation; pitch and length change together."""
    if abs(speed - 1) < 0.004 or len(wave) < 4:
        return wave
    place = np.arange(0, len(wave) - 1, speed)
    return np.interp(place, np.arange(len(wave)), wave).astype(np.float32)


def looped(wave: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """`samples` of a texture: pieces from a random start, joined with equal-power cross-fades."""
    fade = min(int(0.15 * SAMPLE_RATE), len(wave) // 4)
    start = int(rng.integers(0, max(len(wave) // 2, 1)))
    out = wave[start : start + samples].copy()
    if fade == 0:
        return np.resize(wave, samples)
    ramp = np.sqrt(np.linspace(0, 1, fade, dtype=np.float32))
    while len(out) < samples:
        if len(out) < fade:
            out = np.concatenate([out, wave])
            continue
        out[-fade:] = out[-fade:] * ramp[::-1] + wave[:fade] * ramp
        out = np.concatenate([out, wave[fade:]])
    return out[:samples].astype(np.float32)


def room(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A short synthetic room: a few early reflections and an exponentially decaying noise tail."""
    decay_s = float(np.exp(rng.uniform(np.log(0.08), np.log(0.7))))
    n = int(min(decay_s, 0.6) * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    tail = rng.standard_normal(n) * 10 ** (-3 * t / decay_s)
    tail = lfilter([0.5], [1, -0.5], tail)
    tail[: int(0.004 * SAMPLE_RATE)] = 0
    for _ in range(5):
        tail[int(rng.integers(60, min(600, n)))] += rng.uniform(-3, 3)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    wet = rng.uniform(0.05, 0.35)
    return (wave + wet * fftconvolve(wave, tail)[: len(wave)]).astype(np.float32)


def level(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Peak between -1 and -9 dBFS; silence stays silent."""
    peak = float(np.abs(wave).max())
    if peak < 1e-6:
        return np.zeros_like(wave)
    return wave * np.float32(PEAK * 10 ** (-rng.uniform(0, 8) / 20) / peak)


def floor(samples: int, source, rng: np.random.Generator) -> np.ndarray:
    """The background: mostly silence, else faint coloured noise, rarely a quiet ambience."""
    kind = rng.random()
    if kind < 0.6:
        return np.zeros(samples, np.float32)
    if kind < 0.92:
        pole = rng.uniform(0, 0.97)
        noise = lfilter([1 - pole], [1, -pole], rng.standard_normal(samples))
    else:
        noise = looped(source.texture(AMBIENCE[int(rng.integers(len(AMBIENCE)))], rng).waveform, samples, rng)
    loud = 10 ** (rng.uniform(-66, -44) / 20)
    return (noise * loud / (np.sqrt(np.mean(noise**2)) + 1e-9)).astype(np.float32)
