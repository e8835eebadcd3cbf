"""Staging: where in the picture a scene plays. Scenes with sound are framed as a camera operator would frame them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stav2a.data.foleyworld.scene import Rectangle, Scene

WHOLE = (0.0, 1.0)
LEAST_SCALE = 0.35  # smallest scale when a scene is shrunk to fit


@dataclass(frozen=True)
class Place:
    """Scale and offset of a scene on the stage; `part` is the share of the picture's width that it may fill."""

    scale: float
    x: float
    y: float
    mirror: bool
    part: tuple[float, float] = WHOLE


@dataclass(frozen=True)
class Actor:
    """A scene with its place and the part of the clip in which it is seen."""

    scene: Scene
    place: Place
    shot: int


def anywhere(rng: np.random.Generator) -> Place:
    """Mostly filling the frame, sometimes far away or close up."""
    scale = float(np.clip(np.exp(rng.normal(-0.05, 0.32)), 0.4, 1.7))
    x, y = (1 - scale) * (0.5 + rng.normal(0, 0.22, 2))
    return Place(scale, float(x), float(y), bool(rng.random() < 0.5))


def beside(rng: np.random.Generator, k: int) -> Place:
    """The left (k = 0) or the right part of the picture, for two scenes at once."""
    scale = float(rng.uniform(0.45, 0.75))
    x = rng.uniform(-0.05, 0.1) if k == 0 else rng.uniform(0.9, 1.05) - scale
    part = (0.0, 0.6) if k == 0 else (0.4, 1.0)
    return Place(scale, float(x), float(rng.uniform(0.0, 1 - scale)), bool(rng.random() < 0.5), part)


def framed(place: Place, focus: Rectangle, window: Rectangle) -> Place:
    """The place, moved and shrunk as far as needed to put `focus` (in the scene's units) inside `window`.

    A contact outside the picture would be a label without visible cause.
    """
    x0, y0, x1, y1 = focus
    if place.mirror:
        x0, x1 = 1 - x1, 1 - x0
    left, top, right, bottom = window
    left, right = (left + (right - left) * share for share in place.part)
    room = min((right - left) / (x1 - x0), (bottom - top) / (y1 - y0))
    scale = min(place.scale, max(room, LEAST_SCALE))
    shrunk = (place.scale - scale) / 2
    x = _inside(place.x + shrunk, left - scale * x0, right - scale * x1)
    y = _inside(place.y + shrunk, top - scale * y0, bottom - scale * y1)
    return Place(scale, x, y, place.mirror, place.part)


def _inside(offset: float, low: float, high: float) -> float:
    """The offset clamped to its bounds, or their middle if the bounds cross."""
    return float(np.clip(offset, low, high)) if low <= high else (low + high) / 2
