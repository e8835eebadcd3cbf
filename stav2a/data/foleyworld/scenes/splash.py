"""Things and drops that fall into water."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene


class Splash(Scene):
    """Things that fall or are thrown into water; drops that fall and make rings."""

    layer = 0

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.drops = rng.random() < 0.35
        self.cls = "water_drop" if self.drops else "water_splash"
        self.times = rhythm(rng, duration_s, (0.4, 3.5) if self.drops else (0.25, 1.5), 0.2)
        n = len(self.times)
        self.gains = rng.uniform(0.3, 1.0, n)
        self.score.events = [Event(float(t), self.cls, float(g)) for t, g in zip(self.times, self.gains, strict=True)]
        self.level = rng.uniform(0.45, 0.75)
        self.x = rng.uniform(0.25, 0.75, n) if not self.drops else np.full(n, rng.uniform(0.35, 0.65))
        self.drift = rng.normal(0, 0.3, n) * (not self.drops)
        self.g = rng.uniform(1.5, 4.0)
        if n:
            self.focus = (self.x.min() - 0.12, self.level - 0.2, self.x.max() + 0.12, self.level + 0.12)
        self.above = rng.random() < 0.25  # seen from above: rings

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.thing = props.thing(rng, art)
        self.size = 0.03 if self.drops else rng.uniform(0.08, 0.22)
        self.water = colour(rng) * 0.4 + np.array([20, 60, 90]) * rng.uniform(0.5, 1.2)
        self.foam = np.array([215, 230, 240]) * rng.uniform(0.7, 1.05)
        self.spray = np.column_stack([rng.normal(0, 0.35, 18), -rng.uniform(0.3, 1.1, 18)])
        self.phase = rng.uniform(0, 6.3)

    def draw(self, brush: Brush, t: float) -> None:
        x = np.linspace(-0.3, 1.3, 13)
        top = 0.0 if self.above else self.level
        y = top + 0.008 * np.sin(12 * x + 3 * t + self.phase)
        brush.polygon(np.vstack([np.column_stack([x, y]), [(1.3, 1.5), (-0.3, 1.5)]]), self.water)
        for k in range(len(self.times)):
            age = t - self.times[k]
            if -0.6 < age <= 0.05:
                h = -0.5 * self.g * age * abs(age) - 0.9 * age * (not self.drops)
                here = (self.x[k] + self.drift[k] * age, self.level - max(h, -0.05) - (0.2 * self.size))
                if self.drops:
                    brush.disc(*here, 0.015, self.foam)
                else:
                    brush.sprite(self.thing, *here, self.size * (1 - age * self.above), 3 * age)
            elif 0 < age < 1.5:
                wide = (0.05 + 0.35 * age) * (0.4 + 0.6 * self.gains[k])
                flat = 1.0 if self.above else 0.25
                if age < 1.2:
                    brush.ellipse(self.x[k], self.level + 0.01, wide, wide * flat, 0, self.foam * (1 - 0.4 * age), 0.01)
                if age < 0.7:
                    high = self.gains[k] * (0.3 if self.drops else 1.0)
                    for v in self.spray[: 5 if self.drops else 18]:
                        p = (
                            self.x[k] + v[0] * age * high,
                            self.level + v[1] * age * high + 0.5 * self.g * age**2,
                        )
                        if p[1] < self.level + 0.02 or self.above:
                            brush.disc(*p, 0.01, self.foam)
