"""What every scene has: a score made at once, and a picture that is prepared and drawn when frames are wanted."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture.art import Art
from stav2a.data.foleyworld.picture.brush import Brush

from .plan import Score

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in stage units


class Scene:
    """One thing that happens.

    `__init__(rng, duration_s)` plans: it fills `score` and keeps what the picture needs. `prepare(rng, art)` makes
    sprites and colours. `draw(brush, t)` draws the state at time t over the background; frames may be asked for
    in any order.
    """

    layer = 1  # 0: fills the picture and is drawn first, so that it hides no other scene
    # Where contacts and calls are seen. The camera frames it, so `prepare` may still set it. None for what is silent.
    focus: Rectangle | None = (0.25, 0.25, 0.75, 0.75)
    shares_picture = False  # with another scene beside it: no floor or table as wide as the picture
    scroll_rate = 0.0  # stage units a second by which the background moves
    jolts: tuple[tuple[float, float], ...] = ()  # (time_s, strength) of shakes of the camera
    bob: np.ndarray | None = None  # up and down of a camera on a head, in stage units, 50 values a second

    def __init__(self, rng: np.random.Generator, duration_s: float):
        self.duration_s = duration_s
        self.score = Score(duration_s)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        raise NotImplementedError

    def draw(self, brush: Brush, t: float) -> None:
        raise NotImplementedError

    def light(self, t: float) -> float:
        """Brightness added to the whole picture at t (flashes), 0..255."""
        return 0.0


def after(times: np.ndarray, t: float) -> tuple[int, float]:
    """Index of the last time <= t (-1 for none) and the seconds since (inf for none)."""
    k = int(np.searchsorted(times, t, side="right")) - 1
    return k, (t - float(times[k]) if k >= 0 else float("inf"))


def until(times: np.ndarray, t: float) -> tuple[int, float]:
    """Index of the next time > t (len for none) and the seconds to it (inf for none)."""
    k = int(np.searchsorted(times, t, side="right"))
    return k, (float(times[k]) - t if k < len(times) else float("inf"))


def decay(times: np.ndarray, t: float, seconds: float) -> float:
    """1 at each time, falling exponentially until the next."""
    _, since = after(times, t)
    return float(np.exp(-since / seconds)) if since < 8 * seconds else 0.0
