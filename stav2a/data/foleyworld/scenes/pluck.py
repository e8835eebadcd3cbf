"""Plucked strings, swinging bells, ticking clocks, shakers."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import shake, smoothstep
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after, until
from stav2a.data.foleyworld.scenes.strikes import bone


class Pluck(Scene):
    """A hand that plucks vibrating strings, a swinging bell, a ticking clock, a switch."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.kind = str(rng.choice(["string", "bell", "clock", "shaker"], p=[0.42, 0.2, 0.13, 0.25]))
        classes = {
            "string": ("plucked_string",),
            "bell": ("bell_ring", "cowbell", "chimes"),
            "clock": ("clock_tick",),
            "shaker": ("shaker", "shaker", "metal_rattle", "coins", "cards_dice", "crinkle", "ratchet"),
        }
        self.cls = str(rng.choice(classes[self.kind]))
        if self.kind in ("bell", "clock"):
            beat = rng.uniform(0.35, 1.4)
            start = rng.uniform(0.1, 1.0)
            self.times = np.arange(start, duration_s - 0.05, beat)
        else:
            self.times = rhythm(rng, duration_s, (0.5, 6.0), 0.12)
        gains = np.clip(rng.uniform(0.4, 0.9) * np.exp(rng.normal(0, 0.2, len(self.times))), 0.15, 1)
        scale = rng.integers(-5, 6, len(self.times))
        for t, g, note in zip(self.times, gains, scale, strict=True):
            pitch = 2 ** (float(note) / 12) if self.kind == "string" else 1.0
            self.score.events.append(Event(float(t), self.cls, float(g), 0, pitch))
        self.gains = gains
        self.strings = int(rng.integers(1, 7))
        self.which = rng.integers(0, self.strings, max(len(self.times), 1))

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.thing = props.thing(rng, art, self.cls)
        self.hand = props.hand(rng)
        self.arm = props.limb(rng, rng.choice(["skin", "any"]))
        self.ink = colour(rng, "metal")
        self.size = rng.uniform(0.3, 0.8)
        self.tilt = rng.normal(0, 0.3)
        self.wide = rng.uniform(0.02, 0.06)
        self.side = rng.choice([-1, 1])
        half = 0.5 * self.size
        self.focus = {
            "string": (0.35, 0.3, 0.8, 0.75),
            "bell": (0.45 - half, 0.1, 0.55 + half, 0.2 + 0.75 * self.size),
            "clock": (0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half),
            "shaker": (0.25, 0.25, 0.75, 0.75),
        }[self.kind]

    def draw(self, brush: Brush, t: float) -> None:
        getattr(self, f"_{self.kind}")(brush, t)

    def _string(self, brush: Brush, t: float) -> None:
        k, since = after(self.times, t)
        _, to = until(self.times, t)
        brush.sprite(self.thing, 0.5, 0.55, self.size / max(self.thing.aspect, 0.6), np.pi / 2 + self.tilt)
        for s in range(self.strings):
            y = 0.5 + 0.03 * (s - self.strings / 2)
            swing = 0.012 * shake(since, 0.25, 9 + s) if k >= 0 and self.which[k] == s else 0.0
            brush.line([(0.1, y), (0.45, y + swing), (0.9, y)], self.ink, 0.005)
        fore = self.which[min(k + 1, len(self.which) - 1)] if to < 0.25 else self.which[max(k, 0)]
        y = 0.5 + 0.03 * (fore - self.strings / 2)
        pull = -0.04 * max(1 - to / 0.15, 0) if to < 0.15 else 0.06 * float(np.exp(-since / 0.12)) if k >= 0 else 0.0
        tip = np.array([0.55, y + pull])
        bone(brush, self.arm, (0.5 + 0.5 * self.side, 1.1), tip + (0.1 * self.side, 0.14), 0.1)
        brush.sprite(self.hand.sprite, *tip, 0.22, np.pi + 0.9 if self.side > 0 else -0.9, (0.9, 0.5))

    def _bell(self, brush: Brush, t: float) -> None:
        # The bell is at a turning point of its swing when it sounds.
        beat = self.times[1] - self.times[0] if len(self.times) > 1 else 1.0
        start = self.times[0] if len(self.times) else 0.0
        angle = 0.5 * np.cos(np.pi * (t - start) / beat)
        brush.line([(0.5, 0.0), (0.5, 0.15)], self.ink, 0.03)
        brush.sprite(self.thing, 0.5, 0.15, self.size * 0.7, angle, (0.5, 0.0))
        _, since = after(self.times, t)
        clapper = angle * 1.15 + 0.1 * shake(since, 0.1, 6)
        brush.disc(
            0.5 + 0.5 * self.size * -np.sin(clapper),
            0.15 + 0.7 * self.size * np.cos(clapper),
            0.04,
            self.ink * 0.7,
        )

    def _clock(self, brush: Brush, t: float) -> None:
        k, since = after(self.times, t)
        r = self.size * 0.5
        brush.disc(0.5, 0.5, r * 1.1, self.ink * 0.5)
        brush.disc(0.5, 0.5, r, self.ink)
        turn = (k + smoothstep(min(since / 0.05, 1.0)) + 0.15 * shake(since, 0.05, 10) - 1) * 2 * np.pi / 12
        for angle, reach, width in ((turn, 0.9, 0.015), (1.0, 0.6, 0.03)):
            brush.line(
                [(0.5, 0.5), (0.5 + r * reach * np.sin(angle), 0.5 - r * reach * np.cos(angle))],
                (20, 20, 25),
                width,
            )

    def _shaker(self, brush: Brush, t: float) -> None:
        # The event is at the end of each jerk: fast to one side, slower back.
        k, since = after(self.times, t)
        _, to = until(self.times, t)
        x = self.wide * 3 * (max(1 - to / 0.1, 0.0) ** 2 if to < 0.1 else 0.0)
        if k >= 0 and to >= 0.1:
            x = self.wide * 3 * float(np.exp(-since / 0.08)) * np.cos(since * 20)
        place = np.array([0.5 + x * self.side, 0.45 + 0.5 * x])
        bone(brush, self.arm, (0.5 - 0.5 * self.side, 1.1), place + (0, 0.12), 0.12)
        brush.sprite(self.thing, *place, self.size * 0.5, self.tilt + 4 * x)
        brush.sprite(self.hand.sprite, *(place + (0, 0.12)), 0.25, -np.pi / 2, (0.6, 0.5))
