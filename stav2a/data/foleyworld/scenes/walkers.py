"""Steps: a walker from the side or the front, only feet, a bobbing first-person camera, jumps."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Curve, elbow, samples, smoothstep
from stav2a.data.foleyworld.plan import Event
from stav2a.data.foleyworld.scene import Scene, after
from stav2a.data.foleyworld.scenes.strikes import bone

GROUNDS = (
    "footsteps_hard",
    "footsteps_hard",
    "footsteps_gravel",
    "footsteps_snow",
    "footsteps_grass",
    "footsteps_wood",
    "footsteps_metal",
    "footsteps_water",
    "horse_neigh",
)


class Walker(Scene):
    """Two legs; the event is a foot's contact. The walker crosses the stage, or the ground moves below."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(rng.choice(GROUNDS[:-1]))
        self.view = str(rng.choice(["side", "front", "first"], p=[0.55, 0.25, 0.2]))
        pace = float(np.exp(rng.uniform(np.log(1.2), np.log(4.5))))  # steps per second
        t, foot = rng.uniform(0.1, 0.8), 0
        steps: list[tuple[float, int]] = []
        stop = rng.uniform(0.3, 1.0) * duration_s if rng.random() < 0.35 else duration_s
        pause_until = 0.0
        while t < duration_s - 0.05:
            steps.append((t, foot))
            foot = 1 - foot
            t += rng.normal(1, 0.04) / pace
            if t > stop and pause_until == 0.0:
                t += rng.uniform(0.8, 3.0)
                pause_until = t
        gain = rng.uniform(0.35, 0.9)
        for time_s, _ in steps:
            self.score.events.append(
                Event(time_s, self.cls, float(np.clip(gain * np.exp(rng.normal(0, 0.15)), 0.1, 1)))
            )
        self.times = [np.array([s for s, f in steps if f == k]) for k in (0, 1)]
        self.all = np.array([s for s, _ in steps])
        self.period = 1 / pace
        self.length = rng.uniform(0.12, 0.3)  # of one step, in stage units
        self.lift = rng.uniform(0.03, 0.12)
        self.ground = rng.uniform(0.78, 0.95)
        self.leg = rng.uniform(0.17, 0.3)
        self.follow = rng.random() < 0.6
        self.start = 0.5 if self.follow else rng.uniform(-0.2, 0.3)
        self._paths(duration_s)
        self._keep_to_the_stage()
        self.bobbing = rng.uniform(0.01, 0.04)
        if self.view == "first":
            t = np.arange(int(duration_s * 50) + 3) / 50
            since = np.array([after(self.all, x)[1] for x in t])
            self.bob = self.bobbing * np.exp(-np.minimum(since, 5) / 0.12) * np.cos(np.minimum(since, 5) * 12)

    def _paths(self, duration_s: float) -> None:
        """x of each foot (relative to the walker) and height: a foot stays down until the other one has landed."""
        t = samples(duration_s)
        count = np.searchsorted(self.all, t, side="right")
        ahead = np.searchsorted(self.all, t + 1e-9)
        before = self.all[np.maximum(count - 1, 0)] if len(self.all) else np.zeros(len(t))
        after_ = self.all[np.minimum(ahead, max(len(self.all) - 1, 0))] if len(self.all) else np.full(len(t), 9.0)
        span = np.maximum(np.minimum(after_ - before, 1.6 * self.period), 1e-3)
        swing_from = np.where(after_ - before > 1.6 * self.period, after_ - 1.2 * self.period, before)
        phase = np.clip((t - swing_from) / np.maximum(after_ - swing_from, 1e-3), 0, 1)
        phase[after_ <= before] = 0
        del span
        walked = np.maximum(count - 1, 0) + smoothstep(phase) * 0.5 + phase * 0.5
        self.body = Curve(walked * self.length)
        xs, ys = [], []
        for k in (0, 1):
            x, y = np.zeros(len(t)), np.zeros(len(t))
            landed = np.array([i for i, s in enumerate(self.all) if s in set(self.times[k])])
            place = np.searchsorted(self.times[k], t, side="right") - 1
            last = np.where(place >= 0, landed[np.maximum(place, 0)] if len(landed) else 0, k - 1)
            swinging = (count - 1 != last) & (phase > 0)
            x = last * self.length + np.where(swinging, smoothstep(phase) * 2 * self.length, 0)
            y = np.where(swinging, np.sin(np.pi * np.clip(phase, 0, 1) ** 0.8) * self.lift, 0)
            xs.append(Curve(x))
            ys.append(Curve(y))
        self.foot_x, self.foot_y = xs, ys

    def _keep_to_the_stage(self) -> None:
        """Drop steps outside the stage; `focus` covers the others."""
        if self.view != "side":
            wide = 0.2 if self.view == "front" else 0.3
            self.focus = (0.5 - wide, self.ground - 0.3, 0.5 + wide, min(self.ground + 0.08, 1.0))
            return
        x = np.array(
            [self._origin(float(self.body(s))) + max(float(foot(s)) for foot in self.foot_x) for s in self.all]
        )
        seen = (x > 0.05) & (x < 0.95)
        self.score.events = [e for e, kept in zip(self.score.events, seen, strict=True) if kept]
        if seen.any():
            self.focus = (x[seen].min() - 0.1, self.ground - 0.25, x[seen].max() + 0.1, self.ground + 0.06)

    def _origin(self, body: float) -> float:
        """Start of the walk on the stage; `body` is the distance walked."""
        return 0.5 - body if self.follow else self.start

    @property
    def scroll_rate(self) -> float:
        return self.length / self.period if self.follow and self.view == "side" else 0.0

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        cloth = "skin" if rng.random() < 0.3 else "any"
        self.thigh = props.limb(rng, cloth)
        self.shin = props.limb(rng, cloth)
        self.shoe = props.slab(rng, rng.uniform(0.3, 0.5))
        self.torso, self.head = props.torso(rng), props.head(rng)
        self.arm = props.limb(rng, "any")
        self.width = rng.uniform(0.05, 0.09)
        self.floor = props.slab(rng, 0.3) if rng.random() < 0.5 else None
        self.dust = self.cls in ("footsteps_water", "footsteps_snow", "footsteps_gravel") and rng.random() < 0.6
        self.dust_colour = colour(rng, "dull")
        self.spray = rng.normal(0, 1, (7, 2)) * (0.3, 0.1) - (0, 0.35)

    def draw(self, brush: Brush, t: float) -> None:
        if self.floor and not self.shares_picture:
            brush.sprite(self.floor, 0.5, self.ground, 3.0, pivot=(0.5, 0.0))
        if self.view == "side":
            self._side(brush, t)
        else:
            self._front(brush, t)

    def _side(self, brush: Brush, t: float) -> None:
        body = float(self.body(t))
        origin = self._origin(body)
        phase = abs(float(self.foot_x[0](t)) - float(self.foot_x[1](t))) / (2 * self.length)
        hip = np.array([origin + body, self.ground - 2 * self.leg * (0.97 - 0.06 * phase)])
        feet = [
            np.array([origin + float(self.foot_x[k](t)), self.ground - 0.03 - float(self.foot_y[k](t))]) for k in (0, 1)
        ]
        for k in (1, 0):
            knee = elbow(hip, feet[k], self.leg, self.leg, -1)
            bone(brush, self.thigh, hip, knee, self.width * 1.2)
            bone(brush, self.shin, knee, feet[k], self.width)
            tilt = -0.5 * float(self.foot_y[k](t)) / self.lift
            brush.sprite(self.shoe, feet[k][0] - 0.02, feet[k][1] + 0.03, 0.11, tilt, (0.25, 1.0))
            if k == 1:
                brush.sprite(self.torso, hip[0], hip[1] + 0.04, self.leg * 0.75, pivot=(0.5, 1.0))
                brush.sprite(self.head, hip[0], hip[1] - self.leg * 1.0, self.leg * 0.4, pivot=(0.5, 0.9))
        swing = (feet[1][0] - feet[0][0]) * 0.5
        hand = hip + (swing, -0.02)
        bone(brush, self.arm, hip - (0, self.leg * 0.95), hand, self.width * 0.8)
        self._splash(brush, t, [feet[k][0] for k in (0, 1)])

    def _front(self, brush: Brush, t: float) -> None:
        near = self.view == "first"
        for k in (0, 1):
            side = (-1, 1)[k]
            lift = float(self.foot_y[k](t)) / self.lift
            ahead = (float(self.foot_x[k](t)) - float(self.body(t))) / self.length
            if near:
                foot = np.array([0.5 + side * 0.12, 0.8 - 0.12 * ahead - 0.05 * lift])
                bone(brush, self.shin, (0.5 + side * 0.15, 1.25), foot, self.width * 2)
                brush.sprite(self.shoe, *foot, 0.26, -np.pi / 2, (0.3, 0.5), stretch=(1 + 0.15 * lift, 1))
            else:
                foot = np.array([0.5 + side * 0.08, self.ground + 0.04 * ahead - 0.9 * float(self.foot_y[k](t))])
                hip = np.array([0.5 + side * 0.05, self.ground - 2 * self.leg])
                bone(brush, self.thigh, hip, (hip + foot) / 2 + (side * 0.01, 0.02 * lift), self.width * 1.2)
                bone(brush, self.shin, (hip + foot) / 2 + (side * 0.01, 0.02 * lift), foot, self.width)
                brush.sprite(self.shoe, *foot, 0.1, 0.0, (0.5, 0.8))
        if not near:
            sway = 0.01 * np.sin(2 * np.pi * t / (2 * self.period))
            brush.sprite(self.torso, 0.5 + sway, self.ground - 1.9 * self.leg, self.leg * 0.9, pivot=(0.5, 1.0))
            brush.sprite(self.head, 0.5 + sway, self.ground - 3.1 * self.leg, self.leg * 0.42, pivot=(0.5, 0.9))
        self._splash(brush, t, [0.4, 0.6])

    def _splash(self, brush: Brush, t: float, xs) -> None:
        if not self.dust:
            return
        for k in (0, 1):
            _, since = after(self.times[k], t)
            if since < 0.35:
                for x, y in (xs[k], self.ground) + self.spray * since * 0.6 + (0, 1.5 * since**2):
                    brush.disc(x, y, 0.008, self.dust_colour)


class Jumper(Scene):
    """A person, animal or thing that jumps and lands; the event is the landing."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(
            rng.choice(
                [
                    "thud",
                    "footsteps_hard",
                    "footsteps_wood",
                    "body_hit",
                    "spring_boing",
                    "ball_bounce_hit",
                    "footsteps_grass",
                    "footsteps_gravel",
                ]
            )
        )
        g = rng.uniform(2.5, 6.0)
        t, hops = rng.uniform(0.2, 1.0), []
        while t < duration_s:
            height = rng.uniform(0.05, 0.35)
            air = 2 * np.sqrt(2 * height / g)
            if t + air < duration_s - 0.05:
                hops.append((t, air, height))
            t += air + (rng.uniform(0.05, 0.3) if rng.random() < 0.6 else rng.uniform(0.3, 2.5))
        self.hops = np.array(hops).reshape(-1, 3)
        self.lands = self.hops[:, 0] + self.hops[:, 1]
        for land, height in zip(self.lands, self.hops[:, 2], strict=True):
            self.score.events.append(Event(float(land), self.cls, float(np.clip((height / 0.35) ** 0.5, 0.2, 1))))
        self.ground = rng.uniform(0.7, 0.92)
        self.drift = rng.normal(0, 0.05)
        self.focus = (0.3, self.ground - 0.3, 0.7, self.ground + 0.04)
        self.squash = rng.uniform(0.03, 0.2)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.look = props.thing(rng, art) if rng.random() < 0.6 else props.torso(rng)
        self.width = rng.uniform(0.15, 0.4) / max(self.look.aspect, 0.7)

    def draw(self, brush: Brush, t: float) -> None:
        k, since = after(self.hops[:, 0], t)
        y, s = 0.0, 0.0
        if k >= 0 and since < self.hops[k, 1]:
            u = since / self.hops[k, 1]
            y = 4 * self.hops[k, 2] * u * (1 - u)
        _, landed = after(self.lands, t)
        if landed < 0.5:
            s = self.squash * float(np.exp(-landed / 0.08))
        n = k + 1 < len(self.hops) and self.hops[k + 1, 0] - t
        if n and 0 < n < 0.12:
            s = max(s, self.squash * (1 - n / 0.12))
        x = 0.5 + self.drift * (t - self.duration_s / 2)
        brush.sprite(self.look, x, self.ground - y, self.width, pivot=(0.5, 1.0), stretch=(1 + s, 1 - s))
