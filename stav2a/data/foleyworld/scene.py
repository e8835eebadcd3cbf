"""Base class of scenes: the score is made at once, sprites and frames only when they are needed."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture.art import Art
from stav2a.data.foleyworld.picture.brush import Brush

from .plan import Score

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in stage units


class Scene:
    """One thing that happens in a clip.

    `__init__(rng, duration_s)` plans: it fills `score` and stores what drawing needs. `prepare(rng, art)` makes
    sprites and colours. `draw(brush, t)` draws the state at time t over the background, for times in any order.
    """

    layer = 1  # drawing order; 0 fills the picture and is drawn first, so that it hides no other scene
    # Area of contacts and calls. The camera frames it later, so `prepare` may still set it. None for silent scenes.
    focus: Rectangle | None = (0.25, 0.25, 0.75, 0.75)
    shares_picture = False  # beside another scene: no floor or table as wide as the picture
    scroll_rate = 0.0  # speed of the background, in stage units per second
    jolts: tuple[tuple[float, float], ...] = ()  # (time_s, strength) of camera shakes
    bob: np.ndarray | None = None  # height of a head-mounted camera, in stage units, 50 values per second

    def __init__(self, rng: np.random.Generator, duration_s: float):
        self.duration_s = duration_s
        self.score = Score(duration_s)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        raise NotImplementedError

    def draw(self, brush: Brush, t: float) -> None:
        raise NotImplementedError

    def light(self, t: float) -> float:
        """Brightness that flashes add to the whole picture at t, 0..255."""
        return 0.0


def after(times: np.ndarray, t: float) -> tuple[int, float]:
    """Index of the last time <= t (-1 if none) and the seconds since then (inf if none)."""
    k = int(np.searchsorted(times, t, side="right")) - 1
    return k, (t - float(times[k]) if k >= 0 else float("inf"))


def until(times: np.ndarray, t: float) -> tuple[int, float]:
    """Index of the next time > t (len if none) and the seconds until then (inf if none)."""
    k = int(np.searchsorted(times, t, side="right"))
    return k, (float(times[k]) - t if k < len(times) else float("inf"))


def decay(times: np.ndarray, t: float, seconds: float) -> float:
    """1 at each time, then exponential decay until the next."""
    _, since = after(times, t)
    return float(np.exp(-since / seconds)) if since < 8 * seconds else 0.0
