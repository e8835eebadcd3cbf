"""Calls: animals and faces that open their mouths and jerk their heads or bodies when they are heard."""

from __future__ import annotations

import cv2
import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, Sprite, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import smoothstep
from stav2a.data.foleyworld.plan import Event, rhythm, spaced
from stav2a.data.foleyworld.scene import Scene, after

# class: (calls per second, seconds of a call)
CALLS = {
    "dog_bark": ((0.4, 4.0), (0.15, 0.35)),
    "cat_meow": ((0.2, 1.0), (0.4, 0.9)),
    "cow_moo": ((0.15, 0.5), (0.8, 1.6)),
    "sheep_baa": ((0.2, 1.0), (0.4, 1.0)),
    "pig_grunt": ((0.3, 2.5), (0.15, 0.4)),
    "horse_neigh": ((0.15, 0.6), (0.6, 1.4)),
    "duck_quack": ((0.5, 3.5), (0.12, 0.3)),
    "chicken_cluck": ((0.5, 3.5), (0.1, 0.25)),
    "rooster_crow": ((0.15, 0.4), (0.8, 1.6)),
    "bird_chirp": ((0.5, 5.0), (0.08, 0.3)),
    "frog_croak": ((0.4, 3.0), (0.15, 0.4)),
    "wild_animal": ((0.2, 1.0), (0.4, 1.2)),
    "baby_cry": ((0.4, 1.0), (0.5, 1.0)),
    "laugh": ((0.5, 4.5), (0.12, 0.3)),
    "scream": ((0.15, 0.6), (0.5, 1.2)),
    "sneeze_cough": ((0.3, 2.0), (0.2, 0.4)),
    "whistle": ((0.3, 2.0), (0.2, 0.7)),
    "eating_drinking": ((0.5, 2.5), (0.1, 0.3)),
}
FACES = ("baby_cry", "laugh", "scream", "sneeze_cough", "whistle", "eating_drinking")
COMMON = ("dog_bark",) * 5 + ("cat_meow", "bird_chirp", "bird_chirp")


class Caller(Scene):
    """One animal or face. The mouth starts to open just before the sound and is widest just after it begins."""

    focus = (0.22, 0.25, 0.78, 0.72)

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(rng.choice([*CALLS, *COMMON]))
        rate, length = CALLS[self.cls]
        usual = rng.uniform(*length)
        self.times = spaced(rhythm(rng, duration_s, rate, usual * 1.15), usual * 1.15, duration_s)
        self.spans = np.clip(usual * np.exp(rng.normal(0, 0.15, len(self.times))), *length)
        base = rng.uniform(0.5, 0.9)
        self.gains = np.clip(base * np.exp(rng.normal(0, 0.2, len(self.times))), 0.2, 1)
        for t, span, gain in zip(self.times, self.spans, self.gains, strict=True):
            self.score.events.append(Event(float(t), self.cls, float(gain), 0, 1.0, float(span)))
        self.lead = rng.uniform(0.02, 0.06)
        self.face = self.cls in FACES or rng.random() < 0.35
        self.jerk = rng.uniform(0.0, 0.07)
        self.tilt = rng.normal(0, 0.25)
        self.gape = rng.uniform(0.25, 0.7)
        self.recoil = rng.uniform(-0.03, 0.03)
        self.sway = rng.uniform(0, 0.03), rng.uniform(0.3, 1.6), rng.uniform(0, 6.3)
        turns = rng.uniform(0, duration_s, int(rng.integers(0, 4)))
        self.turns = np.sort(turns)  # silent turns of the head
        self.turn_to = np.concatenate([[0], rng.normal(0, 1, len(turns))])
        self.breath = rng.uniform(0, 0.02)

    def opening(self, t: float) -> float:
        """How far the mouth is open: 0..1."""
        k, since = after(self.times - self.lead, t)
        if k < 0:
            return 0.0
        rise = self.lead + 0.05
        span = self.spans[k] + self.lead
        wide = min(since / rise, 1.0) if since < rise else 1.0
        return float(self.gains[k] * wide * (1 - smoothstep((since - 0.6 * span) / (0.6 * span))))

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.size = rng.uniform(0.35, 0.9)
        self.inside = np.array([rng.uniform(60, 170), rng.uniform(10, 60), rng.uniform(10, 60)])
        if self.face:
            human = self.cls in FACES
            self.front = props.head(rng, "skin" if human else "fur")
            self.body = props.torso(rng) if rng.random() < 0.6 else None
            self.muzzle = colour(rng, "fur") if not human else None
        else:
            self.front = None
            picture = art.sprite(self.cls if art.has(self.cls) else None, rng)
            self.upper, self.jaw, self.hinge, self.toward = split_jaw(picture, rng)

    def draw(self, brush: Brush, t: float) -> None:
        open_ = self.opening(t)
        k, _ = after(self.turns, t)
        _, since = after(self.turns, t)
        side = (
            self.turn_to[k] + (self.turn_to[k + 1] - self.turn_to[k]) * float(smoothstep(min(since, 9) / 0.5))
            if k >= 0
            else 0.0
        )
        amount, pace, phase = self.sway
        x = 0.5 + amount * np.sin(2 * np.pi * pace * t + phase) + 0.04 * side
        y = 0.5 - self.jerk * open_ + self.breath * np.sin(2.2 * t)
        if self.front is not None:
            self._draw_face(brush, x + self.recoil * open_, y, open_)
            return
        angle = self.tilt * open_ * self.toward
        width = self.size / max(self.upper.aspect, 1.0)
        s = 0.06 * open_
        place = (x, y + 0.3)
        pivot = (0.5, 0.9)
        brush.sprite(self.upper, *place, width, angle, pivot, stretch=(1 - s, 1 + s))
        if open_ > 0.02:
            c, n = np.cos(angle), np.sin(angle)
            hx = (self.hinge[0] - pivot[0]) * width * (1 - s)
            hy = (self.hinge[1] - pivot[1]) * width * self.upper.aspect * (1 + s)
            hinge = (place[0] + c * hx - n * hy, place[1] + n * hx + c * hy)
            jaw = angle - self.toward * self.gape * open_
            reach = 0.16 * width
            tip = [
                (hinge[0] + self.toward * reach * np.cos(a), hinge[1] + self.toward * reach * np.sin(a))
                for a in (angle, jaw)
            ]
            brush.polygon([hinge, *tip], self.inside * 0.6)
            brush.sprite(self.jaw, *hinge, width, jaw, self.hinge)
        else:
            brush.sprite(self.jaw, *place, width, angle, pivot, stretch=(1 - s, 1 + s))

    def _draw_face(self, brush: Brush, x: float, y: float, open_: float) -> None:
        w = self.size * 0.7
        if self.body:
            brush.sprite(self.body, x, y + 0.35 * w, w * 1.3, pivot=(0.5, 0.0))
        angle = self.tilt * open_ * 0.5
        brush.sprite(self.front, x, y + 0.4 * w, w, angle, (0.5, 0.9), stretch=(1, 1 + 0.06 * open_))
        mouth = y + 0.19 * w
        if self.muzzle is not None:
            brush.ellipse(x, mouth - 0.03 * w, 0.2 * w, 0.13 * w, 0, self.muzzle)
            brush.ellipse(x, mouth - 0.12 * w, 0.06 * w, 0.04 * w, 0, (25, 20, 20))
        mouth += 0.04 * w * open_
        brush.ellipse(x, mouth, 0.15 * w * (1 - 0.2 * open_), w * (0.012 + 0.16 * self.gape * open_), 0, self.inside)
        if open_ > 0.3:
            brush.ellipse(x, mouth + 0.03 * w, 0.08 * w, 0.05 * w * open_, 0, (190, 90, 90))


def split_jaw(picture: Sprite, rng: np.random.Generator) -> tuple[Sprite, Sprite, tuple[float, float], int]:
    """Cut an animal's picture at its mouth: the rest, the lower jaw, the hinge (fractions), the side it faces (+1/-1).

    The head is assumed at the end with the higher outline, the mouth about two thirds down the head.
    """
    alpha = picture.levels[0][..., 3]
    h, w = alpha.shape
    tops = [np.argmax(part.max(1) > 60) for part in (alpha[:, : w // 3], alpha[:, -(w // 3) :])]
    right = tops[1] < tops[0] if tops[0] != tops[1] else rng.random() < 0.5
    columns = slice(int(0.68 * w), w) if right else slice(0, int(0.32 * w))
    rows = np.flatnonzero(alpha[:, columns].max(1) > 60)
    top = rows[0] if len(rows) else 0
    line = min(top + 0.42 * 0.5 * min(h, w), h - 2)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    inside = x > 0.72 * w if right else x < 0.28 * w
    mouth = (inside & (y > line) & (y < line + 0.16 * min(h, w))).astype(np.float32)
    mouth = cv2.GaussianBlur(mouth, (0, 0), 1.0)
    hinge = ((0.72 if right else 0.28), float(line / h))
    return picture.part(1 - mouth), picture.part(mouth), hinge, (1 if right else -1)
