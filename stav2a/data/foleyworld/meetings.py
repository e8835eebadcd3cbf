"""Things that meet: doors and lids that close, clapping hands, scissors, plucked strings, balls and rackets, bells."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from . import props
from .art import Art, colour
from .brush import Brush
from .motion import Curve, Swing, samples, shake, smoothstep
from .plan import Event, rhythm
from .scene import Scene, after, until
from .strikes import bone


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
        self.way = rng.choice([-1, 1])
        self.hand = props.hand(rng).sprite if rng.random() < 0.4 else None

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
            s = self.way * w * o * 0.95
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


class Pluck(Scene):
    """A hand at strings that vibrate, a swinging bell, a ticking clock, a switch."""

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
        # The bell swings so that it is at an end of its way when it sounds.
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
        # Each jerk ends in the event: fast to one side, slower back.
        k, since = after(self.times, t)
        _, to = until(self.times, t)
        x = self.wide * 3 * (max(1 - to / 0.1, 0.0) ** 2 if to < 0.1 else 0.0)
        if k >= 0 and to >= 0.1:
            x = self.wide * 3 * float(np.exp(-since / 0.08)) * np.cos(since * 20)
        place = np.array([0.5 + x * self.side, 0.45 + 0.5 * x])
        bone(brush, self.arm, (0.5 - 0.5 * self.side, 1.1), place + (0, 0.12), 0.12)
        brush.sprite(self.thing, *place, self.size * 0.5, self.tilt + 4 * x)
        brush.sprite(self.hand.sprite, *(place + (0, 0.12)), 0.25, -np.pi / 2, (0.6, 0.5))


class Rally(Scene):
    """Ball games: a ball flies to a racket, foot or hand that swings at it, to a wall, and back; serves."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(
            rng.choice(["ball_bounce_hit", "ball_bounce_hit", "ball_bounce_hit", "thud", "whoosh", "body_hit"])
        )
        self.players = int(rng.choice([1, 2], p=[0.6, 0.4]))
        beat = rng.uniform(0.5, 1.6)
        times = np.arange(rng.uniform(0.3, 1.2), duration_s - 0.05, beat)
        self.times = np.sort(times + rng.normal(0, 0.05, len(times)) * beat)
        if rng.random() < 0.4:  # serves: separated by long waits
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
        way = 1 if p == 0 else -1
        return np.array([self.x[p] + way * 0.2 * self.scale, self.y])

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
            way = 1 if self.who[k] == 0 else -1
            return float(here[0] + way * 1.6 * since), float(here[1] - 0.3 * since + 0.5 * since**2)
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
        way = 1 if p == 0 else -1
        lift = float(self.swings[p](t))
        s = self.scale
        hip = np.array([self.x[p] - 0.02 * way * lift, self.floor - 0.3 * s])
        for side in (-1, 1):
            bone(brush, self.limb, hip, (hip[0] + 0.06 * side * s, self.floor), 0.06 * s)
        brush.sprite(self.torso, *hip, 0.14 * s, 0.15 * way * (1 - lift), pivot=(0.5, 1.0))
        brush.sprite(self.head, hip[0], hip[1] - 0.2 * s, 0.09 * s, pivot=(0.5, 0.9))
        shoulder = hip - (0, 0.18 * s)
        hit = self._hit_point(p)
        swing = -2.2 * way * lift
        c, n = np.cos(swing), np.sin(swing)
        d = hit - shoulder
        tip = shoulder + (c * d[0] - n * d[1], n * d[0] + c * d[1])
        wrist = shoulder + 0.5 * (tip - shoulder)
        bone(brush, self.arm, shoulder, wrist, 0.05 * s)
        angle = float(np.arctan2(*(tip - wrist)[::-1]))
        brush.sprite(self.bat.sprite, *wrist, float(np.hypot(*(tip - wrist))) * 1.25, angle, self.bat.handle)
