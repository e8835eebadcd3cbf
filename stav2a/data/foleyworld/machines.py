"""Continuous sounds whose picture moves with their loudness: machines, vehicles, weather, water, fire, crowds."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from . import props
from .art import Art, colour
from .brush import Brush
from .motion import Curve, smoothstep
from .plan import ENVELOPE_RATE, Bed, Event, rhythm, smooth_curve
from .scene import Scene, after
from .strikes import bone


class _Bedded(Scene):
    """A scene with one bed; `loud(t)` is its envelope."""

    def bed(self, cls: str, envelope: np.ndarray, speed: np.ndarray | None = None) -> None:
        self.cls = cls
        self.envelope = envelope.astype(np.float32)
        self.score.beds.append(Bed(cls, self.envelope, speed))

    def loud(self, t: float) -> float:
        return float(self.envelope[min(max(int(t * ENVELOPE_RATE), 0), len(self.envelope) - 1)])


def gated(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    """A bed's loudness: steady, swelling, or switched on and off."""
    n = round(duration_s * ENVELOPE_RATE) + 1
    t = np.arange(n) / ENVELOPE_RATE
    style = rng.random()
    if style < 0.3:
        return np.full(n, 1.0)
    if style < 0.6:
        return smooth_curve(rng, duration_s, rng.uniform(0.5, 3.0), 0.1, 1.0)
    on = np.zeros(n)
    a = rng.uniform(-1.0, 2.0)
    while a < duration_s:
        b = a + rng.uniform(0.4, 4.0)
        on = np.maximum(on, smoothstep((t - a) / 0.08) * smoothstep((b - t) / 0.15))
        a = b + rng.uniform(0.5, 3.0)
    return on


class Machine(_Bedded):
    """A machine or tool that shakes and turns while it runs; a saw or scraper whose strokes are heard."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        strokes = rng.random() < 0.35
        self.strokes = strokes
        if strokes:
            cls = str(
                rng.choice(
                    [
                        "sawing",
                        "metal_scrape",
                        "writing_scratch",
                        "creak_squeak",
                        "ratchet",
                        "tearing",
                        "crinkle",
                    ]
                )
            )
            pace = rng.uniform(0.5, 3.0)
            rest = smooth_curve(rng, duration_s, 1.5, -0.5, 1.5).clip(0, 1)
            phase = np.cumsum(rest) * pace / ENVELOPE_RATE
            self.place = Curve(
                np.interp(
                    np.arange(int(duration_s * 200) + 2) / 200,
                    np.arange(len(rest)) / ENVELOPE_RATE,
                    np.sin(2 * np.pi * phase),
                )
            )
            self.bed(cls, np.abs(np.cos(2 * np.pi * phase)) * rest)
        else:
            cls = str(
                rng.choice(
                    [
                        "machine_hum",
                        "power_tool",
                        "chainsaw",
                        "alarm_siren",
                        "spray_hiss",
                        "rolling_object",
                        "insects",
                        "metal_rattle",
                        "bubbles",
                    ]
                )
            )
            envelope = gated(rng, duration_s)
            self.bed(cls, envelope, None if rng.random() < 0.5 else (0.75 + 0.35 * envelope))
        self.shiver = rng.uniform(0.0, 0.015)
        self.turns = rng.uniform(0.5, 6)
        self.turned = np.cumsum(self.envelope) / ENVELOPE_RATE * self.turns * 2 * np.pi
        self.seed = int(rng.integers(2**31))

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.body = props.thing(rng, art, self.cls)
        self.wheel = (
            props.thing(rng, art, "rolling_object") if rng.random() < 0.5 or self.cls == "rolling_object" else None
        )
        self.size = rng.uniform(0.3, 0.9)
        self.at = rng.uniform(0.3, 0.7, 2)
        self.ground = props.slab(rng, 0.3)
        self.arm = props.limb(rng, rng.choice(["skin", "any"]))
        self.axis = rng.normal(0, 0.4)
        self.reach = rng.uniform(0.06, 0.2)
        self.jitter = np.random.default_rng(self.seed).normal(0, 1, (256, 2))
        self.smoke = rng.uniform(0.2, 0.6) if self.cls in ("spray_hiss", "power_tool", "chainsaw", "sawing") else 0.0
        self.blink = self.cls == "alarm_siren"

    def draw(self, brush: Brush, t: float) -> None:
        loud = self.loud(t)
        if self.strokes:
            d = self.reach * float(self.place(t))
            brush.sprite(self.ground, 0.5, 0.6, 0.8, pivot=(0.5, 0.0))
            tip = np.array([0.5 + d * np.cos(self.axis), 0.6 + d * np.sin(self.axis)])
            brush.sprite(self.body, *tip, self.size * 0.6, self.axis, (0.5, 0.9))
            bone(brush, self.arm, (1.1, 1.1), tip + (0.1, 0.02), 0.12)
            return
        jx, jy = self.jitter[int(t * 47) % 256] * self.shiver * loud
        brush.sprite(self.body, 0.5 + jx, 0.5 + jy, self.size, 0.5 * jx)
        if self.wheel:
            turn = float(self.turned[min(int(t * ENVELOPE_RATE), len(self.turned) - 1)])
            brush.sprite(self.wheel, *(self.at + (jx, jy)), self.size * 0.45, turn)
        if self.smoke and loud > 0.1:
            for k in range(4):
                age = (t * 2 + k / 4) % 1
                brush.smoke(
                    0.5 + 0.3 * age,
                    0.5 - 0.3 * age,
                    0.05 + 0.12 * age,
                    (220, 220, 220),
                    self.smoke * loud * (1 - age),
                )
        if self.blink and loud > 0.2 and (t * 3) % 1 < 0.5:
            brush.glow(*self.at, 0.25, (255, 60, 40), loud)


class Vehicle(_Bedded):
    """A car, train or plane that comes, is loudest when nearest, and goes; a horn now and then."""

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
        self.way = rng.choice([-1, 1])
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
            x = 0.5 + self.way * d * 1.6
            brush.sprite(
                self.body,
                x,
                self.y + self.shiver * np.sin(60 * t),
                self.size * (0.8 + 0.3 * loud),
                flip=self.way < 0,
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


class Weather(_Bedded):
    """Rain, waves, wind, running water, fire, a crowd: many small things that move as it sounds."""

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
            size = 0.12 * (1 - age) * (0.5 + self.loud(t))
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


class Splash(Scene):
    """Things that fall or are thrown into water; drops that fall and make rings."""

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
