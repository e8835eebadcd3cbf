"""Machines and tools that move while they sound, and the base class of scenes with one continuous sound."""

# ruff: noqa: RUF005  (sums of vectors, not joined lists)

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import Curve, smoothstep
from stav2a.data.foleyworld.plan import ENVELOPE_RATE, Bed, smooth_curve
from stav2a.data.foleyworld.scene import Scene
from stav2a.data.foleyworld.scenes.strikes import bone


class Bedded(Scene):
    """A scene with one continuous sound (bed); `loud(t)` is its envelope."""

    def bed(self, cls: str, envelope: np.ndarray, speed: np.ndarray | None = None) -> None:
        self.cls = cls
        self.envelope = envelope.astype(np.float32)
        self.score.beds.append(Bed(cls, self.envelope, speed))

    def loud(self, t: float) -> float:
        return float(self.envelope[min(max(int(t * ENVELOPE_RATE), 0), len(self.envelope) - 1)])


def gated(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    """Envelope of a bed: steady, swelling, or switched on and off."""
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


class Machine(Bedded):
    """A machine or tool that shakes and turns while it runs; a saw or scraper with audible strokes."""

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
