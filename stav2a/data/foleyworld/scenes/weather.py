"""Rain, waves, wind, running water, fire, crowds."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.plan import ENVELOPE_RATE, Event, rhythm, smooth_curve
from stav2a.data.foleyworld.scenes.machines import Bedded


class Weather(Bedded):
    """Rain, waves, wind, running water, fire, a crowd: many small things that move with the sound."""

    layer = 0

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        cls = str(
            rng.choice(["rain", "sea_waves", "wind", "running_water", "fire_crackle", "crowd", "insects", "bubbles"])
        )
        slow = smooth_curve(rng, duration_s, rng.uniform(0.8, 3.0), 0.25, 1.0)
        if cls == "rain" and rng.random() < 0.6:
            slow = np.full(len(slow), 0.9)
        self.bed(cls, slow)
        self.flow = np.cumsum(slow) / ENVELOPE_RATE
        if cls == "crowd" and rng.random() < 0.3:
            self.claps = rhythm(rng, duration_s, (1.0, 4.0))
            self.score.events = [Event(float(x), "hand_clap", 0.5) for x in self.claps]
        else:
            self.claps = np.zeros(0)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        n = self.n = int(rng.integers(18, 60))
        self.p = rng.uniform(0, 1, (n, 2))
        self.v = rng.uniform(0.6, 1.4, n)
        self.phase = rng.uniform(0, 6.3, n)
        self.ink = (
            colour(rng) if self.cls in ("crowd", "insects") else np.array([200, 215, 230]) * rng.uniform(0.6, 1.1)
        )
        self.slant = rng.normal(0, 0.2)
        self.trees = [art.sprite("wood_hit" if rng.random() < 0.6 else None, rng) for _ in range(3)]
        self.water = [colour(rng) * 0.4 + np.array([20, 60, 90]) for _ in range(4)]
        self.heads = [props.head(rng) for _ in range(4)]
        self.fast = rng.uniform(0.7, 2.0)
        self.wiper = self.cls == "rain" and rng.random() < 0.35

    def draw(self, brush: Brush, t: float) -> None:
        {
            "rain": self._rain,
            "sea_waves": self._waves,
            "wind": self._trees,
            "running_water": self._stream,
            "fire_crackle": self._fire,
            "crowd": self._crowd,
        }.get(self.cls, self._swarm)(brush, t)

    def _flowed(self, t: float) -> float:
        return float(self.flow[min(int(t * ENVELOPE_RATE), len(self.flow) - 1)])

    def _rain(self, brush: Brush, t: float) -> None:
        for k in range(int(self.n * self.loud(t))):
            y = (self.p[k, 1] + 3.0 * self.fast * self.v[k] * t) % 1.2 - 0.1
            x = (self.p[k, 0] + self.slant * y) % 1
            brush.line([(x, y), (x + self.slant * 0.08, y + 0.08)], self.ink, 0.006)
        if self.wiper:
            angle = -np.pi / 2 + 1.1 * np.sin(2.5 * self.fast * t)
            brush.line([(0.5, 1.1), (0.5 + 0.9 * np.cos(angle), 1.1 + 0.9 * np.sin(angle))], (15, 15, 18), 0.03)

    def _waves(self, brush: Brush, t: float) -> None:
        x = np.linspace(-0.2, 1.2, 15)
        for k in range(4):
            high = 0.02 + 0.08 * self.loud(t + 0.1 * k) * self.v[k]
            y = (
                0.5
                + 0.13 * k
                - 0.06 * self.loud(t)
                + high * np.sin(x * (8 - k) + self.phase[k] + self.fast * t * (1 + 0.3 * k))
            )
            points = np.vstack([np.column_stack([x, y]), [(1.2, 1.4), (-0.2, 1.4)]])
            brush.polygon(points, self.water[k])
            brush.line(np.column_stack([x, y]), (235, 240, 245), 0.006 + 0.02 * self.loud(t))

    def _trees(self, brush: Brush, t: float) -> None:
        for k, tree in enumerate(self.trees):
            lean = 0.25 * self.loud(t) * (0.6 + 0.4 * np.sin(4 * self.v[k] * t + self.phase[k]))
            brush.sprite(tree, 0.2 + 0.3 * k, 1.0, 0.5 * self.v[k] / max(tree.aspect, 0.8), lean, (0.5, 1.0))
        for k in range(8):
            x = (self.p[k, 0] + self._flowed(t) * self.v[k]) % 1.1
            brush.ellipse(x, self.p[k, 1] + 0.05 * np.sin(6 * t + k), 0.015, 0.006, 6 * t + k, self.ink)

    def _stream(self, brush: Brush, t: float) -> None:
        brush.polygon([(0.4, 0.1), (0.6, 0.1), (0.66, 1.1), (0.34, 1.1)], self.water[0])
        for k in range(self.n):
            y = (self.p[k, 1] + 1.5 * self.v[k] * self._flowed(t) * self.fast) % 1.0
            x = 0.36 + 0.28 * self.p[k, 0] + 0.02 * np.sin(9 * t + self.phase[k])
            brush.line([(x, 0.1 + y), (x, 0.15 + y)], self.ink, 0.008)

    def _fire(self, brush: Brush, t: float) -> None:
        for k in range(self.n // 2):
            age = (self.p[k, 1] + t * self.v[k] * self.fast) % 1
            x = 0.5 + (self.p[k, 0] - 0.5) * 0.5 * (1 - 0.6 * age) + 0.03 * np.sin(7 * t + self.phase[k])
            size = 0.2 * (1 - age) * (0.5 + self.loud(t))
            brush.glow(
                x,
                0.85 - 0.55 * age * (0.4 + 0.6 * self.loud(t)),
                size,
                (255, 190 - 130 * age, 40),
                0.8 * (1 - age),
            )

    def _crowd(self, brush: Brush, t: float) -> None:
        for k in range(min(self.n, 24)):
            hop = 0.03 * self.loud(t) * abs(np.sin(4 * self.v[k] * t + self.phase[k]))
            brush.sprite(self.heads[k % 4], self.p[k, 0], 0.4 + 0.6 * k / 24 - hop, 0.14)

    def _swarm(self, brush: Brush, t: float) -> None:
        for k in range(self.n // 2):
            x = self.p[k, 0] + 0.1 * np.sin(5 * self.v[k] * t + self.phase[k])
            y = (self.p[k, 1] - self._flowed(t) * 0.3 * (self.cls == "bubbles")) % 1 + 0.08 * np.cos(6 * t * self.v[k])
            brush.disc(x, y, 0.012 * self.v[k], self.ink)
