"""Bodies that fall, bounce, roll and collide; pymunk simulates exact contact times and energies."""

from __future__ import annotations

import numpy as np
import pymunk

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Curve, samples, shake
from stav2a.data.foleyworld.plan import Event, rhythm, spaced
from stav2a.data.foleyworld.scene import Scene, after

STEP = 1 / 250
MATERIALS = (
    "ball_bounce_hit",
    "wood_hit",
    "metal_hit",
    "plastic_hit",
    "thud",
    "glass_clink",
    "stone_hit",
    "coins",
    "metal_rattle",
    "cards_dice",
    "spring_boing",
    "body_hit",
    "thud",
    "ball_bounce_hit",
)
BOUNCE = {
    "ball_bounce_hit": (0.65, 0.88),
    "spring_boing": (0.6, 0.85),
    "thud": (0.0, 0.25),
    "body_hit": (0.0, 0.2),
}


class Bodies(Scene):
    """Things dropped or thrown on a floor or a ramp; sometimes a push sets one in motion again."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.count = int(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))
        self.cls = [str(rng.choice(MATERIALS))] * self.count
        if rng.random() < 0.3:
            self.cls = [str(rng.choice(MATERIALS)) for _ in self.cls]
        self.floor = rng.uniform(0.75, 0.95)
        self.slope = rng.normal(0, 0.06) if rng.random() < 0.4 else 0.0
        self.walls = rng.random() < 0.7
        self.top_down = rng.random() < 0.12  # a table seen from above: collisions without gravity
        self.radius = rng.uniform(0.03, 0.14, self.count)
        self.round = rng.random(self.count) < 0.7
        self._simulate(rng)

    def _simulate(self, rng: np.random.Generator) -> None:
        space = pymunk.Space()
        space.gravity = (0, 0 if self.top_down else rng.uniform(1.2, 5.0))
        space.damping = 0.75 if self.top_down else 0.98
        static = space.static_body
        low = self.floor if not self.top_down else 1.0
        segments = [pymunk.Segment(static, (-2, low - 2.5 * self.slope), (3, low + 2.5 * self.slope), 0.01)]
        if self.walls or self.top_down:
            segments += [pymunk.Segment(static, (x, -5), (x, 2), 0.01) for x in (0.0, 1.0)]
        if self.top_down:
            segments.append(pymunk.Segment(static, (-1, 0), (2, 0), 0.01))
        for segment in segments:
            segment.elasticity, segment.friction = 1.0, 0.6
        space.add(*segments)
        bodies = []
        for k in range(self.count):
            r = self.radius[k]
            moment = pymunk.moment_for_circle(1, 0, r) if self.round[k] else pymunk.moment_for_box(1, (2 * r, 2 * r))
            body = pymunk.Body(1, moment)
            body.position = (
                rng.uniform(0.15, 0.85),
                rng.uniform(-0.4, 0.5) if not self.top_down else rng.uniform(0.2, 0.8),
            )
            body.velocity = tuple(rng.normal(0, 0.6, 2)) if self.top_down else (rng.normal(0, 0.3), rng.uniform(0, 0.5))
            body.angular_velocity = rng.normal(0, 3)
            shape = pymunk.Circle(body, r) if self.round[k] else pymunk.Poly.create_box(body, (1.8 * r, 1.8 * r))
            shape.elasticity = rng.uniform(*BOUNCE.get(self.cls[k], (0.15, 0.6)))
            shape.friction, shape.collision_type = rng.uniform(0.2, 0.8), 1
            body.index = k
            space.add(body, shape)
            bodies.append(body)
        contacts: list[tuple[float, int, float]] = []

        def touched(arbiter, space, data) -> None:
            # Impulse divided by mass is the change of speed at the contact; it decides the loudness.
            for shape in arbiter.shapes:
                index = getattr(shape.body, "index", None)
                if index is not None and arbiter.is_first_contact:
                    contacts.append((self._now, index, arbiter.total_impulse.length))

        space.on_collision(1, None, post_solve=touched)
        pushes = list(rhythm(rng, self.duration_s, (0.2, 1.2), 0.4)) if rng.random() < 0.6 else []
        total = int((self.duration_s + 0.1) / STEP)
        path = np.empty((total, self.count, 3))
        for n in range(total):
            self._now = n * STEP
            while pushes and pushes[0] <= self._now:
                pushes.pop(0)
                body = bodies[int(rng.integers(self.count))]
                if not -0.2 < body.position.x < 1.2:
                    body.position = (rng.uniform(0.2, 0.8), -0.2)
                kick = (
                    (rng.normal(0, 0.8), rng.normal(0, 0.8))
                    if self.top_down
                    else (rng.normal(0, 0.4), -rng.uniform(0.5, 2.0))
                )
                body.velocity = kick
                body.angular_velocity += rng.normal(0, 4)
            space.step(STEP)
            for k, body in enumerate(bodies):
                path[n, k] = (*body.position, body.angle)
        step = max(int(1 / 200 / STEP), 1)
        self.paths = [Curve(path[::step, k]) for k in range(self.count)]
        self.path_scale = (1 / STEP / step) / 200.0
        loudest = max((c[2] for c in contacts), default=1.0)
        scale = max(loudest, 0.8)
        by_body: list[list[tuple[float, float]]] = [[] for _ in range(self.count)]
        for time_s, k, impulse in contacts:
            x = path[min(int(time_s / STEP), total - 1), k, 0]
            # Weaker contacts and those outside the stage are neither seen nor heard.
            if impulse > 0.12 * scale and 0.0 < x < 1.0:
                by_body[k].append((time_s, impulse))
        where = []
        for k, own in enumerate(by_body):
            kept = spaced([c[0] for c in own], 0.07, self.duration_s)
            level = dict(own)
            for t in kept:
                gain = float(np.clip((level[float(t)] / scale) ** 0.8, 0.05, 1))
                self.score.events.append(Event(float(t), self.cls[k], gain, k))
                where.append(path[min(int(t / STEP), total - 1), k, :2])
        if where:
            reach = self.radius.max()
            (left, top), (right, bottom) = np.min(where, 0) - reach, np.max(where, 0) + reach
            self.focus = (max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.05))

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.looks = [props.thing(rng, art, cls) for cls in self.cls]
        self.ground = props.slab(rng, rng.uniform(0.1, 0.6)) if rng.random() < 0.7 and not self.top_down else None
        self.shadow = rng.random() < 0.4
        times = [np.array([e.time_s for e in self.score.events if e.voice == k]) for k in range(self.count)]
        self.squash = rng.uniform(0, 0.25) if rng.random() < 0.5 else 0.0
        self.times = times

    def draw(self, brush: Brush, t: float) -> None:
        if self.ground and not self.shares_picture:
            brush.sprite(self.ground, 0.5, self.floor, 3.0, float(np.arctan(self.slope)), pivot=(0.5, 0.0))
        for k in range(self.count):
            x, y, angle = self.paths[k](t * self.path_scale)
            r = self.radius[k]
            look = self.looks[k]
            if self.shadow and not self.top_down:
                ground = self.floor + (x - 0.5) * self.slope
                brush.ellipse(x, ground, r * 0.9, r * 0.2, 0, (30, 30, 30))
            width = 2.1 * r if look.aspect <= 1 else 2.1 * r / look.aspect
            _, since = after(self.times[k], t)
            s = self.squash * float(np.exp(-since / 0.05)) if since < 0.5 else 0.0
            brush.sprite(look, x, y, width, angle * (1 - 0.999 * bool(s)), stretch=(1 + s, 1 - s))


class Pushed(Scene):
    """A hand or thing that slides in, knocks something over or against a wall, and returns."""

    focus = (0.3, 0.3, 0.7, 0.7)

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        cls = str(
            rng.choice(
                [
                    "wood_hit",
                    "metal_hit",
                    "plastic_hit",
                    "glass_clink",
                    "thud",
                    "door_close",
                    "metal_rattle",
                    "vehicle_crash",
                    "glass_break",
                    "cards_dice",
                ]
            )
        )
        times = rhythm(rng, duration_s, (0.3, 2.5), 0.35)
        self.times = times
        self.gains = np.clip(rng.uniform(0.4, 0.9) * np.exp(rng.normal(0, 0.25, len(times))), 0.15, 1)
        self.score.events = [Event(float(t), cls, float(g)) for t, g in zip(times, self.gains, strict=True)]
        self.cls = cls
        t = samples(duration_s)
        d = np.full(len(t), 0.8)
        rush, back = rng.uniform(0.1, 0.5), rng.uniform(0.3, 1.2)
        for k, hit in enumerate(times):
            gap = hit - (times[k - 1] if k else -2.0)
            run = min(rush, 0.4 * gap)
            u = (t >= hit - run) & (t < hit)
            start = d[max(int((hit - run) * 200), 0)]
            d[u] = start * (1 - ((t[u] - hit + run) / run) ** 1.5)
            late = t >= hit
            d[late] = 0.8 * np.clip((t[late] - hit - 0.1) / back, 0, 1)
        self.distance = Curve(d)
        self.angle = rng.uniform(0, 2 * np.pi)
        self.bounce = rng.uniform(0.0, 0.06)
        self.size = rng.uniform(0.12, 0.4, 2)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.mover = props.hand(rng).sprite if rng.random() < 0.3 else props.thing(rng, art, self.cls)
        self.target = props.thing(rng, art, self.cls)
        self.tilt = rng.normal(0, 0.2)
        self.speed = rng.uniform(5, 16)

    def draw(self, brush: Brush, t: float) -> None:
        k, since = after(self.times, t)
        gain = self.gains[k] if k >= 0 else 0.0
        direction = np.array([np.cos(self.angle), np.sin(self.angle)])
        push = gain * (self.bounce * float(np.exp(-since / 0.15)) * (since > 0) + 0.02 * shake(since, 0.1, self.speed))
        gap = 0.5 * (self.size[0] + self.size[1]) * 0.8
        brush.sprite(self.target, *(0.5 + direction * push), self.size[0], 0.1 * gain * shake(since, 0.15, 5))
        place = 0.5 - direction * (gap + float(self.distance(t)))
        brush.sprite(self.mover, *place, self.size[1], self.tilt)
