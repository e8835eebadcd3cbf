"""Motion curves for scenes: strikes with a sharp stop, two-link arms, decaying shakes."""

from __future__ import annotations

import numpy as np

RATE = 200.0  # samples per second of precomputed curves


class Curve:
    """A function of time from samples [n] or [n, k] at `RATE`."""

    def __init__(self, values: np.ndarray):
        self.values = values

    def __call__(self, t: float):
        x = min(max(t, 0.0) * RATE, len(self.values) - 1.001)
        i = int(x)
        w = x - i
        return self.values[i] * (1 - w) + self.values[i + 1] * w


def samples(duration_s: float) -> np.ndarray:
    return np.arange(int(duration_s * RATE) + 2) / RATE


def smoothstep(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


class Swing:
    """How one player lifts and strikes, with random parameters drawn once per clip."""

    def __init__(self, rng: np.random.Generator, fast: bool = False):
        self.down_s = rng.uniform(0.05, 0.11) if fast else rng.uniform(0.06, 0.2)
        self.up_s = rng.uniform(0.06, 0.15) if fast else rng.uniform(0.1, 0.4)
        self.dwell_s = 0.0 if rng.random() < 0.6 else rng.uniform(0.0, 0.25)
        self.power = rng.uniform(1.5, 3.0)
        self.rest = rng.choice([0.08, 0.5, 1.0]) * rng.uniform(0.7, 1.1)
        self.rebound = rng.uniform(0, 0.15)

    def lift(self, times: np.ndarray, heights: np.ndarray, duration_s: float, fakes=()) -> Curve:
        """Height above the target: 0 at contact, about 1 at the top; it falls with acceleration and stops abruptly.

        `fakes` are (time_s, lowest height): swings that reverse before contact.
        """
        t = samples(duration_s)
        y = np.full(len(t), self.rest)
        before = -10.0
        for k, hit in enumerate(times):
            gap = hit - before
            down = min(self.down_s, 0.45 * gap)
            height = heights[k] * min(1.0, 0.35 + gap / 0.5)
            top = hit - down
            wind_s = min(0.3 + self.up_s, max(gap * 0.5 - down, 0.02))
            start = y[int(np.clip((top - wind_s) * RATE, 0, len(t) - 1))]
            u = (t - (top - wind_s)) / wind_s
            wind = (u >= 0) & (t < top)
            y[wind] = start + (height - start) * smoothstep(u[wind])
            fall = (t >= top) & (t < hit)
            y[fall] = height * (1 - ((t[fall] - top) / down) ** self.power)
            gap_after = (times[k + 1] - hit) if k + 1 < len(times) else 10.0
            dwell = min(self.dwell_s, 0.2 * gap_after)
            rise = min(self.up_s, 0.5 * gap_after)
            goal = self.rest if gap_after > 0.8 else heights[k]
            stay = (t >= hit) & (t < hit + dwell)
            y[stay] = self.rebound * smoothstep((t[stay] - hit) / max(dwell, 1e-3))
            up = t >= hit + dwell
            low = self.rebound if dwell > 0.005 else 0.0
            y[up] = low + (goal - low) * (1 - (1 - np.clip((t[up] - hit - dwell) / rise, 0, 1)) ** 2)
            before = hit
        for time_s, low in fakes:
            near = np.abs(t - time_s)
            w = np.exp(-((near / 0.11) ** 2))
            y = y * (1 - w) + low * w
        return Curve(y)


def fake_times(rng: np.random.Generator, times: np.ndarray, duration_s: float) -> list[tuple[float, float]]:
    """Times, far from every hit, of swings that stop short of the target, as (time_s, lowest height)."""
    out = []
    for t in rng.uniform(0.3, max(duration_s - 0.3, 0.4), int(rng.integers(0, 4))):
        if len(times) == 0 or np.abs(times - t).min() > 0.5:
            out.append((float(t), float(rng.uniform(0.2, 0.45))))
    return out


def travel(times: np.ndarray, places: np.ndarray, duration_s: float) -> Curve:
    """A path [n, 2] that is at places[k] at times[k]; it arrives a little before and stays a little after."""
    t = samples(duration_s)
    out = np.repeat(places[:1], len(t), 0) if len(places) else np.zeros((len(t), 2))
    for k in range(len(times) - 1):
        gap = times[k + 1] - times[k]
        u = smoothstep((t - times[k] - 0.1 * gap) / (0.65 * gap))[:, None]
        now = t >= times[k]
        out[now] = (places[k] + (places[k + 1] - places[k]) * u)[now]
    return Curve(out)


def elbow(shoulder: np.ndarray, wrist: np.ndarray, upper: float, fore: float, bend: int) -> np.ndarray:
    """Position of the elbow of a two-link arm; the arm stretches to a wrist out of reach."""
    d = wrist - shoulder
    r = float(np.hypot(*d)) + 1e-9
    if r >= upper + fore:
        return shoulder + d * upper / (upper + fore)
    a = (upper**2 - fore**2 + r**2) / (2 * r)
    h = np.sqrt(max(upper**2 - a**2, 0.0))
    return shoulder + d / r * a + bend * h * np.array([-d[1], d[0]]) / r


def shake(since: float, seconds: float, hertz: float) -> float:
    """A decaying oscillation that starts at 0."""
    if since > 6 * seconds:
        return 0.0
    return float(np.exp(-since / seconds) * np.sin(2 * np.pi * hertz * since))
