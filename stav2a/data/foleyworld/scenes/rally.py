"""Ball games."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Swing
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after, until
from stav2a.data.foleyworld.scenes.strikes import bone


class Rally(Scene):
    """Ball games: a ball flies between rackets, feet or hands that swing at it, or to a wall and back; serves."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(
            rng.choice(["ball_bounce_hit", "ball_bounce_hit", "ball_bounce_hit", "thud", "whoosh", "body_hit"])
        )
        self.players = int(rng.choice([1, 2], p=[0.6, 0.4]))
        beat = rng.uniform(0.5, 1.6)
        times = np.arange(rng.uniform(0.3, 1.2), duration_s - 0.05, beat)
        self.times = np.sort(times + rng.normal(0, 0.05, len(times)) * beat)
        if rng.random() < 0.4:  # serves, separated by long pauses
            self.times = rhythm(rng, duration_s, (0.2, 0.5), 1.0)
        self.who = np.arange(len(self.times)) % self.players
        self.gains = np.clip(rng.uniform(0.5, 0.9) * np.exp(rng.normal(0, 0.15, len(self.times))), 0.2, 1)
        self.bounce = rng.random() < 0.5 and beat > 0.7
        for t, g in zip(self.times, self.gains, strict=True):
            self.score.events.append(Event(float(t), self.cls, float(g), 0))
        self.middle = []
        for k in range(len(self.times) - 1):
            gap = self.times[k + 1] - self.times[k]
            if self.bounce and gap < 2.0:
                self.middle.append(float(self.times[k] + 0.55 * gap))
        self.score.events += [Event(t, "ball_bounce_hit", 0.4, 1) for t in self.middle]
        own = [self.times[self.who == p] for p in range(self.players)]
        self.swings = [Swing(rng, fast=True).lift(o, np.ones(len(o)), duration_s) for o in own]
        self.x = [rng.uniform(0.15, 0.3), rng.uniform(0.7, 0.85)]
        self.y = rng.uniform(0.45, 0.65)
        self.floor = rng.uniform(0.8, 0.95)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.torso, self.head, self.limb = props.torso(rng), props.head(rng), props.limb(rng, "any")
        self.arm = props.limb(rng, "skin")
        self.bat = props.racket(rng) if rng.random() < 0.7 else props.hand(rng)
        self.ball = props.thing(rng, art, "ball_bounce_hit") if rng.random() < 0.5 else None
        self.ball_colour, self.ball_size = colour(rng) * 0.5 + 120, rng.uniform(0.008, 0.035)
        self.scale = rng.uniform(0.5, 1.1)
        hits = np.array([self._hit_point(p) for p in range(self.players)])
        (left, top), (right, bottom) = hits.min(0) - 0.1, hits.max(0) + 0.1
        if self.middle:  # where the ball hits the floor
            left, right, bottom = min(left, 0.3), max(right, 0.75), self.floor + 0.04
        self.focus = (left, top, right, bottom)
        self.wall = colour(rng) if self.players == 1 and rng.random() < 0.6 else None

    def draw(self, brush: Brush, t: float) -> None:
        if self.wall is not None:
            brush.polygon([(0.88, 0.1), (1.0, 0.0), (1.0, 1.0), (0.88, 0.95)], self.wall)
        for p in range(self.players):
            self._player(brush, t, p)
        x, y = self._ball(t)
        if self.ball:
            brush.sprite(self.ball, x, y, 2 * self.ball_size, 6 * t)
        else:
            brush.disc(x, y, self.ball_size, self.ball_colour)

    def _hit_point(self, p: int) -> np.ndarray:
        direction = 1 if p == 0 else -1
        return np.array([self.x[p] + direction * 0.2 * self.scale, self.y])

    def _ball(self, t: float) -> tuple[float, float]:
        k, since = after(self.times, t)
        n, to = until(self.times, t)
        here = self._hit_point(self.who[k]) if k >= 0 else None
        there = self._hit_point(self.who[n]) if n < len(self.times) else None
        if there is None and here is None:
            return -1.0, -1.0
        if here is None or (to < 0.5 and since > 2.0):  # the ball is thrown up before a serve
            return float(there[0]), float(there[1] - 1.2 * to * (0.7 - to)) if to < 0.7 else -1.0
        if there is None or since + to > 2.0:
            direction = 1 if self.who[k] == 0 else -1
            return float(here[0] + direction * 1.6 * since), float(here[1] - 0.3 * since + 0.5 * since**2)
        u = since / (since + to)
        if self.players == 1:
            far = np.array([0.9, self.y - 0.1])
            b = here + (far - here) * (1 - abs(2 * u - 1))
        else:
            b = here + (there - here) * u
        if self.bounce:
            v = u / 0.55 if u < 0.55 else (u - 0.55) / 0.45
            low = self.floor - b[1]
            b[1] += low * v**2 if u < 0.55 else low * (1 - v) ** 2
        else:
            b[1] -= 0.12 * np.sin(np.pi * u)
        return float(b[0]), float(b[1])

    def _player(self, brush: Brush, t: float, p: int) -> None:
        direction = 1 if p == 0 else -1
        lift = float(self.swings[p](t))
        s = self.scale
        hip = np.array([self.x[p] - 0.02 * direction * lift, self.floor - 0.3 * s])
        for side in (-1, 1):
            bone(brush, self.limb, hip, (hip[0] + 0.06 * side * s, self.floor), 0.06 * s)
        brush.sprite(self.torso, *hip, 0.14 * s, 0.15 * direction * (1 - lift), pivot=(0.5, 1.0))
        brush.sprite(self.head, hip[0], hip[1] - 0.2 * s, 0.09 * s, pivot=(0.5, 0.9))
        shoulder = hip - (0, 0.18 * s)
        hit = self._hit_point(p)
        swing = -2.2 * direction * lift
        c, n = np.cos(swing), np.sin(swing)
        d = hit - shoulder
        tip = shoulder + (c * d[0] - n * d[1], n * d[0] + c * d[1])
        wrist = shoulder + 0.5 * (tip - shoulder)
        bone(brush, self.arm, shoulder, wrist, 0.05 * s)
        angle = float(np.arctan2(*(tip - wrist)[::-1]))
        brush.sprite(self.bat.sprite, *wrist, float(np.hypot(*(tip - wrist))) * 1.25, angle, self.bat.handle)
