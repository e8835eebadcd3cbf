"""What happens in a clip: events and their times, independent of frames and sound.

The plan is made first, then the sound (`sound/`) and the frames (`scenes/`) from it. Sound can be made without drawing,
and several sounds can be made for the same frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

ENVELOPE_RATE = 50.0  # control points per second of a bed's envelope
TOGETHER_S = 0.03  # sounds that begin within this time are one onset (Böck et al. 2012, and madmom's `combine`)


@dataclass(frozen=True)
class Event:
    """One visible contact, call or burst.

    `time_s` is the time in the video; `gain` in (0, 1] follows the impact's energy; events of one `voice` come from
    one object and share recordings; `pitch` is a factor on the playback speed; `duration_s` limits a call (0: it rings
    out). An event with `audible=False` is a movement without sound.
    """

    time_s: float
    cls: str
    gain: float = 1.0
    voice: int = 0
    pitch: float = 1.0
    duration_s: float = 0.0
    audible: bool = True


@dataclass(frozen=True)
class Bed:
    """A continuous sound: `envelope` [n] in [0, 1] and playback `speed` [n] at `ENVELOPE_RATE`."""

    cls: str
    envelope: np.ndarray
    speed: np.ndarray | None = None
    level: float = 1.0


@dataclass
class Score:
    """Everything that is heard in a clip. `cls` is its main class, "silence" if nothing is heard."""

    duration_s: float
    events: list[Event] = field(default_factory=list)
    beds: list[Bed] = field(default_factory=list)

    @property
    def audible(self) -> list[Event]:
        return [e for e in self.events if e.audible and 0 <= e.time_s < self.duration_s]

    @property
    def onsets_s(self) -> list[float]:
        return onset_times(e.time_s for e in self.audible)

    def classes(self) -> list[str]:
        """Audible classes, most prominent first: events by their total gain, beds by their mean level."""
        weight: dict[str, float] = {}
        for event in self.audible:
            weight[event.cls] = weight.get(event.cls, 0.0) + event.gain
        for bed in self.beds:
            loud = bed.level * float(np.mean(bed.envelope)) * self.duration_s
            weight[bed.cls] = weight.get(bed.cls, 0.0) + loud
        return sorted(weight, key=lambda name: -weight[name])

    @property
    def cls(self) -> str:
        return next(iter(self.classes()), "silence")

    def finish(self) -> Score:
        """Sort, drop events outside the clip, merge contacts of one voice within 45 ms (they are heard as one)."""
        kept: list[Event] = []
        last: dict[tuple[int, str], int] = {}
        for event in sorted(self.events, key=lambda e: e.time_s):
            if not 0.0 <= event.time_s < self.duration_s - 0.02:
                continue
            key = (event.voice, event.cls)
            before = last.get(key)
            if before is not None and event.time_s - kept[before].time_s < 0.045:
                continue
            last[key] = len(kept)
            kept.append(event)
        self.events = kept
        return self


def onset_times(times_s: Iterable[float]) -> list[float]:
    """Onsets of sounds that begin at these times, ascending; times within `TOGETHER_S` count once."""
    onsets_s: list[float] = []
    for time_s in sorted(times_s):
        if not onsets_s or time_s - onsets_s[-1] > TOGETHER_S:
            onsets_s.append(time_s)
    return onsets_s


def rhythm(
    rng: np.random.Generator,
    duration_s: float,
    rate: tuple[float, float] = (0.3, 6.0),
    min_gap_s: float = 0.12,
) -> np.ndarray:
    """Event times [n] of one player: steady, irregular, in bursts with long pauses, or single."""
    style = rng.choice(["steady", "loose", "bursts", "single", "pattern"], p=[0.25, 0.3, 0.2, 0.1, 0.15])
    pace = float(np.exp(rng.uniform(np.log(rate[0]), np.log(rate[1]))))
    start = rng.uniform(0.05, min(1.5, duration_s * 0.4))
    times: list[float] = []
    if style == "single":
        count = int(rng.integers(1, 4))
        times = list(rng.uniform(0.1, max(duration_s - 0.3, 0.2), count))
    elif style == "bursts":
        t = start
        fast = float(np.exp(rng.uniform(np.log(max(rate[0], 1.5)), np.log(max(rate[1], 2.0)))))
        while t < duration_s:
            for _ in range(int(rng.integers(2, 7))):
                times.append(t)
                t += max(min_gap_s, 1 / fast * rng.uniform(0.85, 1.2))
            t += rng.uniform(0.6, 3.0)
    elif style == "pattern":
        beat = 1 / max(pace, 0.8)
        cell = rng.choice([0.5, 1.0, 1.0, 1.5, 2.0], size=int(rng.integers(2, 6)))
        t, k = start, 0
        while t < duration_s:
            times.append(t + rng.normal(0, 0.008))
            t += max(min_gap_s, beat * cell[k % len(cell)])
            k += 1
    else:
        spread = 0.04 if style == "steady" else 0.45
        t = start
        while t < duration_s:
            times.append(t)
            t += max(min_gap_s, (1 / pace) * float(np.exp(rng.normal(0, spread))))
    if rng.random() < 0.25 and len(times) > 3:  # a pause
        a = rng.uniform(0, duration_s * 0.7)
        b = a + rng.uniform(0.15, 0.5) * duration_s
        times = [t for t in times if not a < t < b] or times[:1]
    return spaced(times, min_gap_s, duration_s)


def spaced(times: Iterable[float], min_gap_s: float, duration_s: float) -> np.ndarray:
    """Sorted times inside the clip, at least `min_gap_s` apart."""
    kept: list[float] = []
    for t in sorted(times):
        if 0.04 <= t < duration_s - 0.04 and (not kept or t - kept[-1] >= min_gap_s):
            kept.append(float(t))
    return np.asarray(kept)


def smooth_curve(
    rng: np.random.Generator, duration_s: float, period_s: float = 1.0, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """A random smooth curve [n] at `ENVELOPE_RATE` between low and high."""
    n = round(duration_s * ENVELOPE_RATE) + 1
    knots = max(int(duration_s / period_s) + 2, 3)
    values = rng.uniform(low, high, knots)
    x = np.linspace(0, knots - 1, n)
    left = np.minimum(x.astype(int), knots - 2)
    w = x - left
    w = w * w * (3 - 2 * w)
    return (values[left] * (1 - w) + values[left + 1] * w).astype(np.float32)
