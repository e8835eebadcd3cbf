"""Things that meet: doors and lids that close, clapping hands, scissors, glasses, swords."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Curve, Swing, samples, shake, smoothstep
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after
from stav2a.data.foleyworld.scenes.strikes import bone


class Closing(Scene):
    """A door, drawer, lid or window that opens silently and closes with a sound."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(rng.choice(["door_close", "door_close", "wood_hit", "metal_hit", "switch_click", "plastic_hit"]))
        self.times = rhythm(rng, duration_s, (0.25, 1.5), 0.6)
        self.gains = np.clip(rng.uniform(0.4, 0.9) * np.exp(rng.normal(0, 0.3, len(self.times))), 0.15, 1)
        self.score.events = [Event(float(t), self.cls, float(g)) for t, g in zip(self.times, self.gains, strict=True)]
        t = samples(duration_s)
        y = np.full(len(t), rng.uniform(0.5, 1.0))
        shut = rng.uniform(0.12, 0.6)
        opened = rng.uniform(0.3, 1.2)
        for k, hit in enumerate(self.times):
            gap = hit - (self.times[k - 1] if k else -3)
            run = min(shut / (0.5 + self.gains[k]), 0.4 * gap)
            near = (t >= hit - run) & (t < hit)
            start = y[max(int((hit - run) * 200), 0)]
            y[near] = start * (1 - ((t[near] - hit + run) / run) ** rng.uniform(1.3, 2.5))
            late = t >= hit
            after_gap = (self.times[k + 1] - hit) if k + 1 < len(self.times) else 4.0
            wait = 0.25 * after_gap
            y[late] = smoothstep((t[late] - hit - wait) / min(opened, 0.3 * after_gap))
        self.open = Curve(y)
        self.kind = str(rng.choice(["door", "slide", "lid"]))

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.leaf, self.rim, self.hole = colour(rng), colour(rng), colour(rng, "dark")
        self.panel = colour(rng)
        self.w, self.h = rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.85)
        self.depth = rng.uniform(0.1, 0.35)
        self.direction = rng.choice([-1, 1])
        self.hand = props.hand(rng).sprite if rng.random() < 0.4 else None
        self.focus = (0.5 - 0.4 * self.w, 0.5 - 0.4 * self.h, 0.5 + 0.4 * self.w, 0.5 + 0.4 * self.h)

    def draw(self, brush: Brush, t: float) -> None:
        o = float(self.open(t))
        _, since = after(self.times, t)
        j = 0.006 * shake(since, 0.08, 12)
        w, h = self.w, self.h
        x, y = 0.5 - w / 2, 0.5 - h / 2 + j
        m = 0.03
        brush.polygon([(x - m, y - m), (x + w + m, y - m), (x + w + m, y + h + m), (x - m, y + h + m)], self.rim)
        brush.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], self.hole)
        if self.kind == "door":
            a = o * 1.4
            ex, d = x + w * np.cos(a), self.depth * np.sin(a)
            quad = [(x, y), (ex, y - d), (ex, y + h + d), (x, y + h)]
            inner = [
                (x + 0.2 * (ex - x), y + 0.1 * h),
                (x + 0.8 * (ex - x), y + 0.1 * h - 0.7 * d),
                (x + 0.8 * (ex - x), y + 0.45 * h),
                (x + 0.2 * (ex - x), y + 0.45 * h),
            ]
            grip = (x + 0.9 * (ex - x), y + 0.5 * h)
        elif self.kind == "slide":
            s = self.direction * w * o * 0.95
            quad = [(x + s, y), (x + w + s, y), (x + w + s, y + h), (x + s, y + h)]
            inner = [
                (x + s + 0.1, y + 0.1),
                (x + w + s - 0.1, y + 0.1),
                (x + w + s - 0.1, y + 0.2),
                (x + s + 0.1, y + 0.2),
            ]
            grip = (x + s + w * 0.85, y + h * 0.5)
        else:
            a = o * 1.7
            rise, spread = np.sin(a) * h * 0.8, self.depth * np.sin(a)
            base = y + h * 0.5
            top = base - rise - (1 - np.sin(a)) * 0 + np.cos(a) * h * 0.3
            quad = [(x, base), (x + w, base), (x + w + spread, top), (x - spread, top)]
            inner = [
                (x + 0.05, base),
                (x + w - 0.05, base),
                (x + w - 0.05, (base + top) / 2),
                (x + 0.05, (base + top) / 2),
            ]
            grip = (x + w / 2, top)
        brush.polygon(quad, self.leaf * (1 - 0.25 * o))
        brush.polygon(inner, self.panel * (1 - 0.25 * o))
        if self.hand:
            brush.sprite(self.hand, *grip, 0.25, -0.7, (0.9, 0.5))


class Meeting(Scene):
    """Two halves that meet: clapping hands, scissors, glasses that clink, swords, stones, boxing gloves, bites."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.kind = str(rng.choice(["clap", "scissors", "clink", "swords"], p=[0.4, 0.15, 0.25, 0.2]))
        classes = {
            "clap": ("hand_clap",),
            "scissors": ("knife_scissors", "tearing"),
            "swords": ("sword_clash", "wood_hit", "body_hit"),
            "clink": ("glass_clink", "stone_hit", "metal_hit", "cymbal", "wood_block", "coins"),
        }
        self.cls = str(rng.choice(classes[self.kind]))
        rate = {"clap": (0.8, 5.0), "scissors": (0.6, 3.5)}.get(self.kind, (0.3, 2.5))
        self.times = rhythm(rng, duration_s, rate, 0.16)
        gains = np.clip(rng.uniform(0.4, 0.9) * np.exp(rng.normal(0, 0.2, len(self.times))), 0.15, 1)
        self.score.events = [Event(float(t), self.cls, float(g)) for t, g in zip(self.times, gains, strict=True)]
        self.gap = Swing(rng, fast=self.kind == "clap").lift(self.times, 0.5 + 0.5 * gains, duration_s)
        self.spread = rng.uniform(0.1, 0.3)
        self.axis = rng.normal(0, 0.35)
        self.heave = rng.uniform(0, 0.08)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        if self.kind == "clap":
            tool = props.hand(rng, open_palm=True)
            self.halves = (tool.sprite, tool.sprite)
        elif self.kind in ("scissors", "swords"):
            tool = props.knife(rng) if rng.random() < 0.6 else props.stick(rng)
            self.halves = (tool.sprite, tool.sprite)
        else:
            self.halves = (props.thing(rng, art, self.cls), props.thing(rng, art, self.cls))
        self.size = rng.uniform(0.25, 0.5)
        self.arm = props.limb(rng, rng.choice(["skin", "any"]))
        self.body = (props.torso(rng), props.head(rng)) if self.kind == "clap" and rng.random() < 0.5 else None
        if self.body:
            self.size *= 0.55
            self.spread *= 0.6

    def draw(self, brush: Brush, t: float) -> None:
        gap = float(self.gap(t))
        y = 0.52 - self.heave * gap
        if self.body:
            brush.sprite(self.body[0], 0.5, 0.36, 0.36, pivot=(0.5, 0.0))
            brush.sprite(self.body[1], 0.5, 0.38, 0.2, pivot=(0.5, 0.95))
        if self.kind in ("scissors", "swords"):
            for side in (-1, 1):
                angle = self.axis + side * (0.05 + 0.6 * gap)
                if self.kind == "scissors":
                    brush.sprite(self.halves[0], 0.5, 0.5, self.size * 1.4, angle, (0.4, 0.5))
                else:
                    hand = (0.5 - side * (0.3 + 0.1 * gap), 0.8)
                    tilt = -np.pi / 2 + side * (0.75 - 0.7 * gap)
                    bone(brush, self.arm, (0.5 - side * 0.6, 1.0), hand, 0.1)
                    brush.sprite(self.halves[0], *hand, self.size * 1.5, tilt, (0.1, 0.5))
            return
        c, s = np.cos(self.axis), np.sin(self.axis)
        for side in (-1, 1):
            d = side * (self.spread * gap + 0.1 * self.size)
            place = np.array([0.5 + d * c, y + d * s])
            if self.kind == "clap":
                bone(
                    brush,
                    self.arm,
                    (0.5 + side * 0.35, 1.1 if not self.body else 0.45),
                    place + (side * 0.02, 0.08),
                    0.07,
                )
                tilt = -np.pi / 2 + side * (0.2 + 0.3 * gap)
                brush.sprite(self.halves[0], *place, self.size, tilt, (0.5, 0.5), flip=False, stretch=(1, 0.8 * side))
            else:
                brush.sprite(
                    self.halves[(side + 1) // 2],
                    *place,
                    self.size,
                    0.2 * gap * side,
                    (0.5, 0.5),
                    flip=side > 0,
                )
