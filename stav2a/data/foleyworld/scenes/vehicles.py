"""Cars, trains and planes that pass by."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.plan import ENVELOPE_RATE, Event, rhythm, smooth_curve
from stav2a.data.foleyworld.scene import after
from stav2a.data.foleyworld.scenes.machines import Bedded


class Vehicle(Bedded):
    """A car, train or plane that passes and is loudest when nearest; sometimes a horn."""

    layer = 0

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        cls = str(rng.choice(["vehicle_engine", "vehicle_engine", "train", "aircraft", "rolling_object"]))
        n = round(duration_s * ENVELOPE_RATE) + 1
        t = np.arange(n) / ENVELOPE_RATE
        self.kind = str(rng.choice(["pass", "ahead", "idle"], p=[0.55, 0.25, 0.2]))
        self.period = rng.uniform(2.5, 7.0)
        self.moment = rng.uniform(0.2, 0.8) * min(duration_s, self.period)
        if self.kind == "pass":
            d = ((t - self.moment + self.period / 2) % self.period - self.period / 2) / (self.period / 2)
            envelope = np.exp(-((d / 0.45) ** 2))
            speed = 1.0 - 0.08 * np.tanh(d * 4)
        elif self.kind == "ahead":
            envelope = np.clip(1.2 * np.exp(-t / rng.uniform(1.5, 5)), 0.03, 1)
            speed = np.full(n, 1.0)
        else:
            rev = smooth_curve(rng, duration_s, rng.uniform(0.4, 1.5), 0.0, 1.0) ** 2
            envelope, speed = 0.25 + 0.75 * rev, 0.75 + 0.6 * rev
        self.bed(cls, envelope, speed)
        self.horns = (
            rhythm(rng, duration_s, (0.2, 1.0), 0.5) if cls == "vehicle_engine" and rng.random() < 0.25 else np.zeros(0)
        )
        self.score.events = [Event(float(x), "vehicle_horn", 0.8, 0, 1.0, 0.4) for x in self.horns]
        self.direction = rng.choice([-1, 1])
        self.shiver = rng.uniform(0.001, 0.008)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.body = art.sprite(self.cls if art.has(self.cls) else "vehicle_engine", rng)
        self.size = rng.uniform(0.3, 0.8)
        self.y = rng.uniform(0.45, 0.8)
        self.road = props.slab(rng, 0.3) if rng.random() < 0.6 else None
        self.marks = colour(rng, "metal")
        self.smoke = rng.random() < 0.4

    def draw(self, brush: Brush, t: float) -> None:
        if self.road:
            brush.sprite(self.road, 0.5, self.y - 0.02, 3.0, pivot=(0.5, 0.0))
        loud = self.loud(t)
        _, since = after(self.horns, t)
        if self.kind == "pass":
            d = ((t - self.moment + self.period / 2) % self.period - self.period / 2) / (self.period / 2)
            x = 0.5 + self.direction * d * 1.6
            brush.sprite(
                self.body,
                x,
                self.y + self.shiver * np.sin(60 * t),
                self.size * (0.8 + 0.3 * loud),
                flip=self.direction < 0,
            )
        elif self.kind == "ahead":
            s = 0.15 + 0.85 * loud
            brush.sprite(self.body, 0.5, 0.45 + 0.25 * s, self.size * s)
            for k in range(6):
                z = (k / 6 + t * 0.8) % 1
                brush.line([(0.5, 0.5 + 0.5 * z**2), (0.5, 0.5 + 0.5 * z**2 + 0.05 * z)], self.marks, 0.02 * z)
        else:
            j = self.shiver * (0.4 + loud)
            brush.sprite(
                self.body,
                0.5 + j * np.sin(71 * t),
                self.y + j * np.sin(90 * t),
                self.size,
                0.04 * loud * np.sin(40 * t),
            )
            if self.smoke:
                for k in range(3):
                    age = (t * 1.5 + k / 3) % 1
                    x = 0.5 - 0.5 * self.size - 0.2 * age
                    brush.smoke(
                        x,
                        self.y + 0.05 - 0.1 * age,
                        0.03 + 0.1 * age,
                        (200, 200, 200),
                        0.6 * loud * (1 - age),
                    )
        if since < 0.4:
            brush.glow(0.5 + 0.3 * self.size, self.y, 0.1, (255, 240, 180), 0.8)
