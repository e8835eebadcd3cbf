"""Fast finger movements: typing, a piano, drumming on a table."""

from __future__ import annotations

import cv2
import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, Sprite, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.plan import Event, rhythm, spaced
from stav2a.data.foleyworld.scene import Scene, after


class Taps(Scene):
    """Fast finger movements: typing, a piano, drumming on a table. Keys go down; seen from above or the side."""

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.cls = str(
            rng.choice(["keyboard_typing", "piano_note", "switch_click", "wood_hit"], p=[0.5, 0.25, 0.15, 0.1])
        )
        self.fingers = 1 if self.cls == "switch_click" else int(rng.integers(2, 9))
        rate = (0.4, 2.0) if self.cls == "switch_click" else (1.0, 8.0)
        times = spaced(rhythm(rng, duration_s, rate, 0.08), 0.08, duration_s)
        who = rng.integers(0, self.fingers, len(times))
        self.times = [times[who == k] for k in range(self.fingers)]
        self.keys = [rng.uniform(-0.06, 0.06, len(own)) for own in self.times]
        gain = rng.uniform(0.4, 0.9)
        for k, own in enumerate(self.times):
            for j, t in enumerate(own):
                pitch = 2 ** ((k * 2 + round(self.keys[k][j] * 30)) / 12 - 0.4) if self.cls == "piano_note" else 1.0
                level = float(np.clip(gain * np.exp(rng.normal(0, 0.2)), 0.1, 1))
                self.score.events.append(Event(float(t), self.cls, level, 0, pitch))
        self.depth = rng.uniform(0.02, 0.09)
        self.down_s = rng.uniform(0.05, 0.1)
        self.low = rng.uniform(0.5, 0.75)
        self.lag = rng.uniform(0.08, 0.2)
        self.focus = (0.12, self.low - 0.12, 0.88, self.low + 0.3)

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.skin = colour(rng, "skin")
        self.palm = props.hand(rng, open_palm=False)
        self.board = props.slab(rng, rng.uniform(0.25, 0.6))
        self.ink = colour(rng, "metal")
        self.cols, self.rows = (int(rng.integers(8, 15)), int(rng.integers(2, 5)))
        if self.cls == "piano_note":
            self.cols, self.rows, self.ink = 14, 1, np.full(3, 235.0)
        keys = np.zeros((86, 256, 4), np.float32)
        for r in range(self.rows):
            for c in range(self.cols):
                x, y = int(c * 256 / self.cols), int(r * 85 / self.rows)
                stop = (int(x + 225 / self.cols), int(y + 72 / self.rows))
                cv2.rectangle(keys, (x, y), stop, (*(self.ink * rng.uniform(0.93, 1.05)).clip(0, 255), 255.0), -1)
        self.keyboard = Sprite(keys)
        self.thick = rng.uniform(0.025, 0.05)
        self.two = rng.random() < 0.6
        self.noise = rng.uniform(0, 6.3, 4)

    def draw(self, brush: Brush, t: float) -> None:
        if not self.shares_picture:
            brush.sprite(self.board, 0.5, self.low - 0.06, 1.0, pivot=(0.5, 0.0))
        brush.sprite(self.keyboard, 0.05, self.low, 0.9, pivot=(0.0, 0.0))
        kw, kh = 0.9 / self.cols, 0.3 / self.rows
        pressed = {}
        states = []
        for k in range(self.fingers):
            n, since = after(self.times[k], t)
            m = min(n + 1, len(self.times[k]) - 1)
            to = self.times[k][m] - t if m > n else np.inf
            press = max(1 - to / self.down_s, 0) ** 2 if to < self.down_s else 0.0
            if n >= 0:
                press = max(press, float(np.exp(-((since / self.lag) ** 2))))
            home = 0.12 + 0.76 * (k + 0.5) / self.fingers
            offset = self.keys[k][m] if m >= 0 and to < 0.3 else (self.keys[k][n] if n >= 0 else 0.0)
            x = home + offset
            y = self.low + 0.05 + 0.1 * ((k * 7) % self.rows) / max(self.rows, 1)
            states.append((x, y, press))
            if n >= 0 and since < self.lag:
                pressed[(int((x - 0.05) / kw), int((y - self.low) / kh))] = True
        for c, r in pressed:
            x, y = 0.05 + c * kw, self.low + r * kh
            right, bottom = x + kw * 0.88, y + kh * 0.85
            brush.polygon([(x, y), (right, y), (right, bottom), (x, bottom)], self.ink * 0.6)
            brush.polygon([(x, y + 0.012), (right, y + 0.012), (right, bottom), (x, bottom)], self.ink * 0.8)
        hands = (
            [range(self.fingers)]
            if not self.two
            else [range(self.fingers // 2), range(self.fingers // 2, self.fingers)]
        )
        for j, group in enumerate(h for h in hands if len(h)):
            mean = np.mean([states[k][0] for k in group])
            sway = 0.01 * np.sin(t * 2 + self.noise[j])
            push = 0.2 * self.depth * sum(states[k][2] for k in group)
            knuckle = np.array([mean + sway, self.low + 0.34 + push])
            for k in group:
                x, y, press = states[k]
                tip = (x, y - self.depth * (1 - press) + 0.02)
                root = (knuckle[0] + (x - mean) * 0.6, knuckle[1] - 0.08 - 0.3 * self.depth * (1 - press))
                middle = ((tip[0] + root[0]) / 2, min(tip[1], root[1]) - 0.05 * (1 - 0.5 * press) + 0.04)
                brush.limb(root, middle, self.thick * 1.1, self.skin * 0.92)
                brush.limb(middle, tip, self.thick, self.skin)
            brush.sprite(self.palm.sprite, *knuckle, 0.32, -np.pi / 2, (0.6, 0.5))
            brush.limb((knuckle[0] + (mean - 0.5) * 0.3, 1.3), knuckle, 0.13, self.skin * 0.95)
