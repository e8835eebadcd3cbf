"""Silent movers: things that drift, wave, turn or shake without a sound, because not everything that moves is heard."""

from __future__ import annotations

import numpy as np

from stav2a.data.foleyworld.picture import props
from stav2a.data.foleyworld.picture.art import Art, colour
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.picture.motion import elbow, smoothstep
from stav2a.data.foleyworld.plan import Event, rhythm
from stav2a.data.foleyworld.scene import Scene, after
from stav2a.data.foleyworld.scenes.strikes import bone


class Mover(Scene):
    """One silent thing. Its sudden movements are events with `audible=False`."""

    focus = None

    def __init__(self, rng: np.random.Generator, duration_s: float):
        super().__init__(rng, duration_s)
        self.kind = str(rng.choice(["drift", "wave", "orbit", "passer", "hop", "flicker", "arm"]))
        self.centre = rng.uniform(0.1, 0.9, 2)
        self.reach = rng.uniform(0.05, 0.35, 2)
        self.pace = np.exp(rng.uniform(np.log(0.1), np.log(1.6), 2))
        self.phase = rng.uniform(0, 6.3, 2)
        self.size = float(np.exp(rng.uniform(np.log(0.08), np.log(0.5))))
        self.spin = rng.normal(0, 1.0) if rng.random() < 0.4 else 0.0
        self.times = np.zeros(0)
        if self.kind in ("hop", "flicker"):
            self.times = rhythm(rng, duration_s, (0.3, 2.0), 0.4)
            self.score.events = [Event(float(t), "whoosh", 0.3, 0, audible=False) for t in self.times]
        self.places = rng.uniform(0.1, 0.9, (len(self.times) + 1, 2))
        self.direction = rng.choice([-1, 1])

    def prepare(self, rng: np.random.Generator, art: Art) -> None:
        self.look = props.thing(rng, art)
        self.torso, self.head, self.limb = props.torso(rng), props.head(rng), props.limb(rng, "any")
        self.ink = colour(rng)
        self.layer = 1.5 if rng.random() < 0.3 else 0.5  # in front of or behind the scenes with sound

    def draw(self, brush: Brush, t: float) -> None:
        x, y = self.centre + self.reach * np.sin(2 * np.pi * self.pace * t + self.phase)
        if self.kind == "wave":
            angle = 0.6 * np.sin(2 * np.pi * self.pace[0] * t + self.phase[0])
            brush.sprite(self.look, *self.centre, self.size, angle, (0.5, 1.0))
        elif self.kind == "passer":
            x = (0.5 + self.direction * self.pace[0] * 0.5 * t + self.phase[0]) % 1.6 - 0.3
            brush.sprite(self.torso, x, self.centre[1], self.size * 0.6, pivot=(0.5, 0.0))
            brush.sprite(self.head, x, self.centre[1] + 0.01, self.size * 0.35, pivot=(0.5, 0.95))
        elif self.kind == "hop":  # glides smoothly from place to place
            k, since = after(self.times, t)
            a, b = self.places[max(k, 0)], self.places[k + 1]
            x, y = a + (b - a) * smoothstep(min(since, 9.0) / 0.35) if k >= 0 else self.places[0]
            brush.sprite(self.look, float(x), float(y), self.size, self.spin * t)
        elif self.kind == "flicker":  # a lamp or screen that changes
            k, _ = after(self.times, t)
            w = self.size / 2
            cx, cy = self.centre
            shade = self.ink * (0.4 + 0.6 * ((k + 1) % 3) / 2)
            brush.polygon([(cx - w, cy - w), (cx + w, cy - w), (cx + w, cy + w), (cx - w, cy + w)], shade)
        elif self.kind == "arm":  # an arm that gestures in the air
            shoulder = np.array([0.5 + 0.6 * self.direction, 1.0])
            wrist = np.array([x, y])
            joint = elbow(shoulder, wrist, 0.4, 0.4, int(self.direction))
            bone(brush, self.limb, shoulder, joint, 0.12)
            bone(brush, self.limb, joint, wrist, 0.1)
            brush.sprite(self.look, *wrist, self.size * 0.6, 0.4 * np.sin(2 * np.pi * self.pace[1] * t))
        else:
            brush.sprite(self.look, float(x), float(y), self.size, self.spin * t)
