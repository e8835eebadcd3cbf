"""Strikes: an arm with a stick, hammer, mallet, knife or bare hand that hits things; drum kits; whole players."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Curve, Swing, elbow, fake_times, shake, travel
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after, until

TOOL_CLASSES = {
    "stick": ("tom_drum", "snare_drum", "wood_hit", "metal_hit", "plastic_hit", "wood_block", "cowbell", "stone_hit",
              "glass_clink", "thud", "cymbal", "metal_rattle", "crinkle"),
    "hammer": ("hammering", "hammering", "metal_hit", "wood_hit", "stone_hit"),
    "mallet": ("xylophone", "xylophone", "tom_drum", "bell_ring", "wood_block", "glass_clink"),
    "knife": ("chopping", "chopping", "chopping", "knife_scissors"),
    "hand": ("hand_drum", "hand_drum", "hand_drum", "wood_hit", "thud", "body_hit", "plastic_hit", "hand_clap"),
}  # fmt: skip
RATES = {"stick": (0.6, 8), "hammer": (0.4, 3.5), "mallet": (0.8, 7), "knife": (1.0, 8), "hand": (0.6, 8)}
KICK_Y = 0.85  # centre of the bass drum
KIT = ("snare_drum", "tom_drum", "cymbal", "tom_drum", "cymbal", "kick_drum")


@dataclass
class Target:
    x: float
    y: float
    cls: str
    width: float
    pitch: float
    times: np.ndarray


class Strike(Scene):
    """One or two arms and one or several targets."""

    def __init__(self, rng: np.random.Generator, duration_s: float, kit: bool = False):
        super().__init__(rng, duration_s)
        self.tool = "stick" if kit else str(rng.choice(list(TOOL_CLASSES), p=[0.32, 0.16, 0.12, 0.16, 0.24]))
        self.kit = kit
        cls = str(rng.choice(TOOL_CLASSES[self.tool]))
        self.cls = cls
        row = cls in ("xylophone", "hand_drum", "tom_drum", "metal_hit") and rng.random() < 0.6
        count = 5 if kit else int(rng.integers(2, 8)) if row else 1
        self.arms = 2 if kit or (self.tool in ("stick", "hand", "mallet") and rng.random() < 0.55) else 1
        low, high = RATES[self.tool]
        times = rhythm(rng, duration_s, (low, high * (0.6 if self.arms == 1 and self.tool != "knife" else 1)))
        y = rng.uniform(0.5, 0.8)
        span = rng.uniform(0.25, 0.8)
        self.targets = []
        for k in range(count):
            x = 0.5 + (k / max(count - 1, 1) - 0.5) * span + rng.normal(0, 0.02)
            name = KIT[k % len(KIT)] if kit else cls
            up = -rng.uniform(0.05, 0.25) if name == "cymbal" and kit else rng.normal(0, 0.02)
            width = rng.uniform(0.9, 1.1) * max(span / count, 0.12) if count > 1 else rng.uniform(0.15, 0.7)
            pitch = 2 ** ((k - count / 2) * 2 / 12) if row else 1.0
            self.targets.append(Target(x, y + up, name, width, pitch, np.zeros(0)))
        self._plan_hits(rng, times)
        self.view = str(rng.choice(["side", "front", "top", "person"], p=[0.34, 0.2, 0.22, 0.24]))
        self.effect = str(rng.choice(["none", "jiggle", "squash", "chips", "sink"], p=[0.3, 0.34, 0.12, 0.16, 0.08]))
        if rng.random() < 0.12:
            self.jolts = tuple((e.time_s, 0.012 * e.gain) for e in self.score.events)
        if kit and rng.random() < 0.6:  # a bass drum with pedal
            self.kick = rhythm(rng, duration_s, (0.8, 3.0))
            self.score.events += [Event(float(t), "kick_drum", float(rng.uniform(0.5, 0.9)), 90) for t in self.kick]
        else:
            self.kick = np.zeros(0)
        x, y = [target.x for target in self.targets], [target.y for target in self.targets]
        self.focus = (min(x) - 0.08, min(y) - 0.15, max(x) + 0.08, max(y) + 0.06)
        if len(self.kick):
            left, top, right, _ = self.focus
            self.focus = (min(left, 0.35), top, max(right, 0.75), KICK_Y + 0.12)
        self._geometry(rng)

    def _plan_hits(self, rng: np.random.Generator, times: np.ndarray) -> None:
        """Distribute the hits over arms and targets; an arm needs time to return."""
        count, arm_times = len(self.targets), [[] for _ in range(self.arms)]
        arm_places: list[list[int]] = [[] for _ in range(self.arms)]
        for k, t in enumerate(times):
            arm = k % self.arms if rng.random() < 0.8 else int(rng.integers(self.arms))
            if arm_times[arm] and t - arm_times[arm][-1] < 0.1:
                arm = (arm + 1) % self.arms
                if arm_times[arm] and t - arm_times[arm][-1] < 0.1:
                    continue
            half = (
                range(count)
                if self.arms == 1 or count < 3
                else range(count)[arm * count // 3 : count // 2 + 1 + arm * count // 2]
            )
            arm_times[arm].append(float(t))
            arm_places[arm].append(int(rng.choice(list(half))))
        self.swings: list[Curve] = []
        self.paths: list[Curve] = []
        hits: list[list[float]] = [[] for _ in self.targets]
        base = rng.uniform(0.4, 1.0)
        for arm in range(self.arms):
            t = np.asarray(arm_times[arm])
            gains = np.clip(base * np.exp(rng.normal(0, 0.3, len(t))), 0.15, 1.0)
            swing = Swing(rng, fast=self.tool in ("stick", "knife", "hand"))
            fakes = fake_times(rng, t, self.duration_s) if rng.random() < 0.35 else []
            self.swings.append(swing.lift(t, 0.4 + 0.6 * gains, self.duration_s, fakes))
            where = arm_places[arm] or [min(arm, count - 1)]
            places = np.array([[self.targets[k].x + rng.normal(0, 0.01), self.targets[k].y] for k in where])
            self.paths.append(travel(t, places, self.duration_s))
            for time_s, k, gain in zip(arm_times[arm], arm_places[arm], gains, strict=True):
                target = self.targets[k]
                hits[k].append(time_s)
                self.score.events.append(Event(time_s, target.cls, float(gain), k, target.pitch))
        for target, own in zip(self.targets, hits, strict=True):
            target.times = np.sort(np.asarray(own))

    def _geometry(self, rng: np.random.Generator) -> None:
        self.height = rng.uniform(0.08, 0.4)
        self.reach = rng.uniform(0.25, 0.6) if self.tool != "hand" else rng.uniform(0.12, 0.3)
        self.angle = {"side": rng.normal(0.1, 0.15), "front": -np.pi / 2 + rng.normal(0, 0.3)}.get(
            self.view, rng.uniform(-1.2, 0.3)
        )
        self.turn = rng.uniform(0.2, 1.2)
        self.depth = rng.uniform(0.1, 0.5) if self.view in ("top", "front") else 0.0
        self.side = 1 if rng.random() < 0.5 else -1
        lean = rng.normal(0, 0.25) if self.view == "side" else rng.uniform(-0.8, 0.8)
        self.up = np.array([np.sin(lean), -np.cos(lean)])
        if self.view == "top":
            a = rng.uniform(0, 2 * np.pi)
            self.up = 0.6 * np.array([np.cos(a), np.sin(a)])
        self.shoulders = []
        for arm in range(self.arms):
            side = self.side if self.arms == 1 else (1, -1)[arm]
            if self.view == "person":
                base = (0.5 - side * rng.uniform(0.08, 0.13), self.targets[0].y - rng.uniform(0.3, 0.45))
            elif self.view in ("front", "top"):
                base = (0.5 - side * rng.uniform(0.1, 0.4), rng.uniform(1.05, 1.3))
            else:
                base = (0.5 - side * rng.uniform(0.55, 0.8), rng.uniform(0.1, 0.7))
            self.shoulders.append((np.array(base), side))
        if self.view == "person":
            self.reach *= 0.5
            self.height *= 0.7
        self.flip_up = self.view == "front"

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        sleeve = "skin" if rng.random() < 0.5 else "any"
        self.upper, self.fore = (
            props.limb(rng, sleeve),
            props.limb(rng, "skin" if rng.random() < 0.6 else sleeve),
        )
        self.fist = props.hand(rng, open_palm=False)
        self.tools = [props.tool(self.tool, rng, art)] * self.arms
        self.width = rng.uniform(0.05, 0.13) * (0.6 if self.view == "person" else 1.0)
        self.looks = [self._look(target, rng, art) for target in self.targets]
        self.table = props.slab(rng, rng.uniform(0.05, 0.6)) if rng.random() < 0.5 and not self.kit else None
        self.body = (props.torso(rng), props.head(rng)) if self.view == "person" else None
        self.chips = rng.normal(0, 1, (8, 2)) * (0.25, 0.2) - (0, 0.3)
        self.chip_colour = colour(rng)
        self.quiver = rng.uniform(6, 22)
        self.drum_big = props.drum(rng)

    def _look(self, target: Target, rng: np.random.Generator, art: Art):
        if target.cls in ("tom_drum", "snare_drum", "hand_drum", "kick_drum"):
            return props.drum(rng), (0.5, 0.1)
        if target.cls == "cymbal":
            return (art.sprite("cymbal", rng) if rng.random() < 0.2 else props.cymbal(rng)), (0.5, 0.5)
        if target.cls in ("xylophone", "wood_hit", "chopping") and rng.random() < 0.7:
            return props.slab(rng, rng.uniform(0.08, 0.4), "any"), (0.5, 0.1)
        return props.thing(rng, art, target.cls), (0.5, 0.08)

    def draw(self, brush: Brush, t: float) -> None:
        if self.body:
            top = min(s[0][1] for s in self.shoulders)
            bob = sum(0.008 * (1 - swing(t)) for swing in self.swings)
            brush.sprite(self.body[0], 0.5, top - 0.03 + bob, 0.3, pivot=(0.5, 0.0))
            brush.sprite(self.body[1], 0.5, top + bob, 0.17, pivot=(0.5, 0.95))
        if self.table and not self.shares_picture:
            brush.sprite(self.table, 0.5, self.targets[0].y + 0.02, 1.3, pivot=(0.5, 0.0))
        if len(self.kick):
            self._draw_kick(brush, t)
        for target, (sprite, pivot) in zip(self.targets, self.looks, strict=True):
            self._draw_target(brush, target, sprite, pivot, t)
        for arm in range(self.arms):
            self._draw_arm(brush, arm, t)
        if self.effect == "chips":
            for target in self.targets:
                _, since = after(target.times, t)
                if since < 0.5:
                    p = (target.x, target.y) + self.chips * since + (0, 1.2 * since**2)
                    for x, y in p:
                        brush.disc(x, y, 0.008, self.chip_colour)

    def _draw_kick(self, brush: Brush, t: float) -> None:
        """The bass drum, its beater that swings in and falls back, and the leg that moves with it."""
        _, since = after(self.kick, t)
        _, to = until(self.kick, t)
        away = min(1.0, to / 0.09, 0.1 + since / 0.12)
        wobble = 0.04 * shake(since, 0.08, 14)
        brush.sprite(self.drum_big, 0.5, KICK_Y, 0.35, stretch=(1 + wobble, 1 - wobble))
        angle, pivot = 1.1 * away, np.array([0.66, KICK_Y + 0.12])
        tip = pivot + 0.17 * np.array([np.sin(angle), -np.cos(angle)]) - (0.12, 0)
        brush.line([pivot, tip], (40, 40, 45), 0.015)
        brush.disc(*tip, 0.03, (230, 225, 210))
        bone(brush, self.upper, (0.85, KICK_Y - 0.2), (0.78, KICK_Y + 0.1 - 0.05 * away), 0.09)

    def _draw_target(self, brush: Brush, target: Target, sprite, pivot, t: float) -> None:
        _, since = after(target.times, t)
        x, y, angle, stretch = target.x, target.y, 0.0, (1.0, 1.0)
        if target.cls == "cymbal":
            angle = 0.35 * shake(since, 0.35, 3.0)
        elif self.effect == "jiggle":
            y += 0.012 * shake(since, 0.06, self.quiver)
            angle = 0.06 * shake(since, 0.1, self.quiver * 0.7)
        elif self.effect == "squash":
            s = 0.12 * float(np.exp(-since / 0.06)) if since < 1 else 0.0
            stretch = (1 + s, 1 - s)
        elif self.effect == "sink":
            y += min(0.004 * int(np.searchsorted(target.times, t)), 0.1)
        brush.sprite(sprite, x, y, target.width, angle, pivot, stretch=stretch)

    def _draw_arm(self, brush: Brush, arm: int, t: float) -> None:
        lift = float(self.swings[arm](t))
        shoulder, side = self.shoulders[arm]
        tip = self.paths[arm](t) + lift * self.height * self.up
        tool = self.tools[arm]
        reach = self.reach * (1 + self.depth * lift)
        angle = side * (self.angle - self.turn * lift)
        wrist = tip + tool.offset(reach, angle, side)
        joint = elbow(shoulder, wrist, 0.3, 0.3, side)
        if self.view == "person":
            joint = elbow(shoulder, wrist, 0.15, 0.15, side)
        bone(brush, self.upper, shoulder, joint, self.width * 1.15)
        bone(brush, self.fore, joint, wrist, self.width)
        brush.sprite(tool.sprite, *tip, reach, angle, tool.tip, flip=side < 0)
        if self.tool != "hand":
            grip = self.width * 1.5
            brush.sprite(self.fist.sprite, *wrist, grip, angle, (0.6, 0.5), flip=side < 0)


def bone(brush: Brush, sprite, start, stop, width: float) -> None:
    """Draw a limb's sprite from joint to joint."""
    d = np.asarray(stop) - np.asarray(start)
    length = float(np.hypot(*d)) + 1e-6
    long = length * 1.15
    brush.sprite(
        sprite,
        *start,
        long,
        float(np.arctan2(d[1], d[0])),
        (0.1, 0.5),
        stretch=(1, width / (long * sprite.aspect)),
    )
