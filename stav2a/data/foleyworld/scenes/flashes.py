"""Flashes: guns with muzzle flash, recoil and smoke; fireworks; explosions; lightning; camera flashes; pops."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour, filled
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import shake
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after
from stav2a.data.foleyworld.scenes.strikes import bone


class Gun(Scene):
    """A gun held by a shooter, or seen along the barrel: a flash of one or two frames, recoil, smoke, a shell case."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = "gunshot" if rng.random() < 0.8 else str(rng.choice(["bow_shot", "explosion", "power_tool"]))
        rate = (0.3, 4.0) if rng.random() < 0.8 else (4.0, 8.0)
        self.times = rhythm(rng, duration_s, rate, 0.11)
        gain = rng.uniform(0.6, 1.0)
        self.gains = np.clip(gain * np.exp(rng.normal(0, 0.08, len(self.times))), 0.3, 1)
        self.score.events = [Event(float(t), self.cls, float(g)) for t, g in zip(self.times, self.gains, strict=True)]
        self.flash = rng.uniform(0.3, 1.2) if rng.random() < 0.7 and self.cls != "bow_shot" else 0.0
        self.smoke = rng.uniform(0.2, 0.8) if rng.random() < 0.6 else 0.0
        self.kick = rng.uniform(0.01, 0.09)
        self.recover = rng.uniform(0.06, 0.3)
        self.whole = rng.random() < 0.6
        self.first = not self.whole and rng.random() < 0.5
        self.lit = rng.uniform(0, 70) if self.flash and rng.random() < 0.5 else 0.0
        if rng.random() < 0.3:
            self.jolts = tuple((float(t), 0.015) for t in self.times)
        self.spin = rng.uniform(0, 6.3, max(len(self.times), 1))
        self.aim = rng.normal(0, 0.15)

    def light(self, t: float) -> float:
        _, since = after(self.times, t)
        return self.lit if since < 0.06 else 0.0

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        m = props.mask(128, 48)
        props.poly(
            m,
            [
                (0, 14),
                (40, 10),
                (70, 12),
                (126, 14),
                (126, 20),
                (70, 24),
                (44, 26),
                (30, 40),
                (18, 38),
                (24, 26),
                (0, 30),
            ],
        )
        if rng.random() < 0.5:
            props.poly(m, [(50, 24), (60, 24), (66, 46), (55, 46)])
        self.gun = filled(m, rng, rng.choice(["dark", "metal", "wood"]))
        self.torso, self.head = props.torso(rng), props.head(rng)
        self.arm, self.leg = props.limb(rng, "any"), props.limb(rng, "any")
        self.fire = np.array([255, rng.uniform(180, 240), rng.uniform(60, 200)])
        self.grey = rng.uniform(120, 235)
        self.length = rng.uniform(0.3, 0.55) * (1.0 if self.whole else 1.7)
        self.at = np.array([0.45, 0.4]) if self.whole else np.array([rng.uniform(0.2, 0.5), rng.uniform(0.45, 0.75)])
        self.wind = rng.normal(0, 0.15, 2) - (0, 0.1)
        self.shell = rng.random() < 0.4
        muzzle = self._muzzle(self.at, self.aim)
        near = (self.at if not self.first else muzzle) - (0.05, 0.1)
        self.focus = (*np.minimum(near, muzzle - 0.12), *np.maximum(near + (0.1, 0.2), muzzle + 0.12))

    def _muzzle(self, at: np.ndarray, angle: float, push: float = 0.0) -> np.ndarray:
        """Where the shot leaves the gun, stage point [2]; seen along the barrel, it is held below the picture."""
        if self.first:
            return np.array([0.5, 0.95]) + 0.85 * np.array([np.sin(0.3 + angle), -np.cos(0.3 + angle)]) * (1 - push)
        return at + np.array([np.cos(angle), np.sin(angle)]) * self.length * 0.8

    def draw(self, brush: Brush, t: float) -> None:
        k, since = after(self.times, t)
        gain = self.gains[k] if k >= 0 else 0.0
        push = gain * self.kick * float(np.exp(-since / self.recover)) if since < 3 else 0.0
        at = self.at - (push, 0.3 * push)
        angle = self.aim - 2.5 * push
        if self.whole:
            x = at[0] - 0.12
            for side in (-1, 1):
                bone(brush, self.leg, (x + 0.02, 0.7), (x + 0.07 * side, 1.05), 0.08)
            brush.sprite(self.torso, x - 0.3 * push, 0.34, 0.22, 0.4 * push, pivot=(0.5, 0.0))
            brush.sprite(self.head, x + 0.03 - 0.6 * push, 0.36, 0.13, pivot=(0.5, 0.95))
            bone(brush, self.arm, (x, 0.4), at + (0.03, 0.04), 0.05)
        direction = np.array([np.cos(angle), np.sin(angle)])
        if self.first:  # along the barrel, from behind
            brush.sprite(
                self.gun,
                0.5,
                0.95 + 2 * push,
                0.9,
                -np.pi / 2 + 0.3 + angle,
                (0.0, 0.5),
                stretch=(1 - 2 * push, 1),
            )
        else:
            brush.sprite(self.gun, *at, self.length, angle, (0.2, 0.5))
        muzzle = self._muzzle(at, angle, push)
        if k < 0:
            return
        if self.flash and since < 0.06:
            size = self.flash * 0.22 * gain
            brush.glow(*(muzzle + direction * size * 0.5), size * 1.6, self.fire, 1.0)
            star = [muzzle + direction * size * 0.4 + size * r * np.array([np.cos(a), np.sin(a)])
                    for r, a in zip((1, 0.35) * 5, self.spin[k] + np.arange(10) * np.pi / 5, strict=True)]  # fmt: skip
            brush.polygon(star, self.fire)
        if self.smoke:
            for j in range(max(k - 2, 0), k + 1):
                age = t - self.times[j]
                if age < 1.5:
                    place = muzzle + self.wind * age + direction * 0.12 * (1 - np.exp(-age * 6))
                    brush.smoke(*place, 0.04 + 0.14 * age**0.6, np.full(3, self.grey), self.smoke * np.exp(-age / 0.5))
        if self.shell and since < 0.6:
            place = at + (0.1, 0) + np.array([-0.3, -0.7]) * since + (0, 2.2 * since**2)
            brush.disc(*place, 0.01, (220, 190, 90))


class Fireworks(Scene):
    """Bursts in the sky or on the ground: sparks, a fireball with debris, a balloon that pops, lightning."""

    layer = 0

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.kind = str(
            rng.choice(["fireworks", "explosion", "thunder", "camera", "pop"], p=[0.4, 0.22, 0.1, 0.13, 0.15])
        )
        rate = {"fireworks": (0.4, 4.0), "camera": (0.3, 2.5), "pop": (0.3, 2.5)}.get(self.kind, (0.2, 0.9))
        self.cls = {
            "camera": "camera_shutter",
            "pop": str(rng.choice(["balloon", "bubbles", "bottle_pop", "glass_break"])),
        }.get(self.kind, self.kind)
        self.times = rhythm(rng, duration_s, rate, 0.15)
        n = len(self.times)
        self.gains = rng.uniform(0.35, 1.0, n)
        self.score.events = [Event(float(t), self.cls, float(g)) for t, g in zip(self.times, self.gains, strict=True)]
        self.places = np.column_stack([rng.uniform(0.15, 0.85, n), rng.uniform(0.1, 0.6, n)])
        if self.kind == "explosion":
            self.places = np.column_stack([rng.uniform(0.3, 0.7, n), rng.uniform(0.5, 0.8, n)])
            if rng.random() < 0.5:
                self.jolts = tuple((float(t), 0.03 * g) for t, g in zip(self.times, self.gains, strict=True))
        self.lit = {"fireworks": rng.uniform(0, 30), "explosion": rng.uniform(0, 90), "thunder": rng.uniform(60, 160),
                    "camera": rng.uniform(40, 150), "pop": 0.0}[self.kind]  # fmt: skip
        if n and self.kind != "camera":
            self.focus = (*self.places.min(0) - 0.1, *self.places.max(0) + 0.1)
        self.fade = {"thunder": 0.12, "explosion": 0.12, "camera": 0.04}.get(self.kind, 0.2)

    def light(self, t: float) -> float:
        k, since = after(self.times, t)
        return self.lit * self.gains[k] * float(np.exp(-since / self.fade)) if since < 1.5 else 0.0

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        n = len(self.times)
        self.colours = np.array([colour(rng) * 0.5 + 127 for _ in range(n)]).reshape(n, 3)
        self.count = int(rng.integers(14, 40))
        a = rng.uniform(0, 2 * np.pi, self.count)
        self.rays = np.column_stack([np.cos(a), np.sin(a)]) * rng.uniform(0.4, 1.0, (self.count, 1))
        self.reach = rng.uniform(0.15, 0.45)
        self.trail = rng.random() < 0.6
        self.night = self.kind in ("fireworks", "thunder") and rng.random() < 0.75
        self.sky = rng.uniform(0, 40, 3)
        self.look = props.thing(rng, art, "balloon" if self.cls == "balloon" else None)
        self.holder = props.thing(rng, art, "camera_shutter")
        self.bolt = np.cumsum(rng.normal(0, 0.06, (n, 8)), 1)
        self.grow = rng.uniform(0.06, 0.25)
        self.life = rng.uniform(0.5, 1.3)

    def draw(self, brush: Brush, t: float) -> None:
        if self.night:
            brush.canvas[:] = (brush.canvas * 0.2 + self.sky * 0.8).astype(np.uint8)
        draw = {
            "fireworks": self._sparks,
            "explosion": self._fireball,
            "thunder": self._bolt,
            "camera": self._camera,
        }.get(self.kind, self._pop)
        draw(brush, t)

    def _sparks(self, brush: Brush, t: float) -> None:
        for k in range(len(self.times)):
            age = t - self.times[k]
            if self.trail and -0.7 < age < 0:
                y = self.places[k, 1] + (1.1 - self.places[k, 1]) * (age / -0.7) ** 1.5
                brush.line([(self.places[k, 0], y), (self.places[k, 0], y + 0.05)], (255, 220, 170), 0.01)
            if not 0 <= age < self.life:
                continue
            fade = 1 - age / self.life
            if age < 0.1:
                brush.glow(*self.places[k], 0.25 * self.gains[k], self.colours[k], 1 - age / 0.1)
            r = self.reach * self.gains[k] * (1 - np.exp(-age * 5)) + 0.02
            drop = np.array([0, 0.12 * age**2])
            for ray in self.rays[:: 1 if len(self.times) < 8 else 2]:
                end = self.places[k] + ray * r + drop
                start = self.places[k] + ray * r * (0.75 if age < 0.4 else 0.9) + drop
                brush.line([start, end], self.colours[k] * fade, 0.008)

    def _fireball(self, brush: Brush, t: float) -> None:
        for k in range(len(self.times)):
            age = t - self.times[k]
            if not 0 <= age < 2.5:
                continue
            size = self.gains[k] * self.reach * (1 - np.exp(-age / self.grow)) + 0.03
            for j, ray in enumerate(self.rays[:7]):
                place = self.places[k] + ray * size * 0.7 - (0, 0.12 * age)
                hot = np.array([255, 200, 90]) * np.exp(-age * 2) + np.array([70, 60, 55]) * (1 - np.exp(-age * 2))
                brush.smoke(*place, size * (0.6 + 0.05 * j), hot, 0.9 * float(np.exp(-age / 0.8)))
            if age < 0.08:
                brush.glow(*self.places[k], 0.5, (255, 230, 180), 1.0)
            if age < 0.9:
                for ray in self.rays[7:]:
                    place = self.places[k] + ray * age * 0.9 + (0, 0.9 * age**2)
                    brush.disc(*place, 0.009, (40, 35, 30))

    def _bolt(self, brush: Brush, t: float) -> None:
        k, since = after(self.times, t)
        if since < 0.09 or 0.14 < since < 0.2:
            x = self.places[k, 0] + self.bolt[k]
            brush.line(np.column_stack([x, np.linspace(0, 0.8, 8)]), (240, 240, 255), 0.012)

    def _camera(self, brush: Brush, t: float) -> None:
        _, since = after(self.times, t)
        push = 0.01 * shake(since, 0.06, 8)
        brush.sprite(self.holder, 0.5, 0.55 + push, 0.5)
        if since < 0.05:
            brush.glow(0.5, 0.45, 0.6, (255, 255, 255), 1.0)

    def _pop(self, brush: Brush, t: float) -> None:
        for k in range(len(self.times)):
            age = t - self.times[k]
            if -1.5 < age < 0:
                grow = min((age + 1.5) / 0.5, 1.0) if k else 1.0
                brush.sprite(self.look, *self.places[k], 0.3 * (0.3 + 0.7 * grow), 0.05 * np.sin(3 * t))
            elif k == 0 and age < 0:
                brush.sprite(self.look, *self.places[k], 0.3, 0.05 * np.sin(3 * t))
            elif 0 <= age < 0.6:
                for ray in self.rays[:12]:
                    place = self.places[k] + ray * (0.1 + 0.5 * (1 - np.exp(-age * 8))) * 0.5 + (0, 1.5 * age**2)
                    brush.disc(*place, 0.012, self.colours[k])
