"""Tools, limbs, instruments and other shapes, drawn for each clip with its own colours and textures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stav2a.data.foleyworld.picture.art import Art, Sprite, blob, filled


@dataclass(frozen=True)
class Tool:
    """A sprite that points to the right; `handle` and `tip` are fractions of it; the tip's underside makes contact."""

    sprite: Sprite
    handle: tuple[float, float]
    tip: tuple[float, float]

    def offset(self, width: float, angle: float, side: int) -> np.ndarray:
        """Handle minus tip in stage units when the tool is `width` long and turned by `angle`."""
        d = np.array([self.handle[0] - self.tip[0], (self.handle[1] - self.tip[1]) * self.sprite.aspect]) * width
        d[0] *= side
        c, s = np.cos(angle), np.sin(angle)
        return np.array([c * d[0] - s * d[1], s * d[0] + c * d[1]])


def mask(w: int, h: int) -> np.ndarray:
    return np.zeros((h, w), np.uint8)


def poly(m: np.ndarray, points) -> None:
    cv2.fillPoly(m, [np.asarray(points, np.int32)], 255, cv2.LINE_AA)


def limb(rng: np.random.Generator, kind: str) -> Sprite:
    """A limb along x that gets thinner to the right."""
    m = mask(96, 32)
    thin = int(rng.integers(7, 13))
    poly(m, [(12, 2), (84, 16 - thin), (84, 16 + thin), (12, 30)])
    cv2.circle(m, (14, 16), 14, 255, -1, cv2.LINE_AA)
    cv2.circle(m, (84, 16), thin, 255, -1, cv2.LINE_AA)
    return filled(m, rng, kind)


def hand(rng: np.random.Generator, kind: str = "skin", open_palm: bool | None = None) -> Tool:
    """A flat hand with fingers, or a fist, from the side or above."""
    m = mask(96, 56)
    if open_palm is None:
        open_palm = rng.random() < 0.6
    if open_palm:
        cv2.ellipse(m, (34, 28), (28, int(rng.integers(10, 22))), 0, 0, 360, 255, -1, cv2.LINE_AA)
        count = int(rng.integers(2, 6))
        for k in range(count):
            y = 28 + (k - (count - 1) / 2) * rng.uniform(6, 10)
            stop = (int(rng.uniform(76, 92)), int(28 + (y - 28) * rng.uniform(0.8, 1.4)))
            cv2.line(m, (42, int(y)), stop, 255, int(rng.integers(6, 10)), cv2.LINE_AA)
    else:
        cv2.ellipse(m, (60, 28), (26, int(rng.integers(17, 25))), 0, 0, 360, 255, -1, cv2.LINE_AA)
        poly(m, [(0, 18), (60, 14), (60, 42), (0, 40)])
    return Tool(filled(m, rng, kind, 0.15), (0.08, 0.5), (0.92, 0.62))


def stick(rng: np.random.Generator) -> Tool:
    m = mask(160, 16)
    thick = int(rng.integers(2, 6))
    poly(m, [(0, 8 - thick), (150, 7), (150, 10), (0, 8 + thick)])
    if rng.random() < 0.6:
        cv2.ellipse(m, (152, 8), (int(rng.integers(3, 8)), int(rng.integers(2, 8))), 0, 0, 360, 255, -1)
    return Tool(filled(m, rng, rng.choice(["wood", "any", "dark"])), (0.06, 0.5), (0.97, 0.8))


def hammer(rng: np.random.Generator) -> Tool:
    m = mask(128, 72)
    thick = int(rng.integers(3, 7))
    poly(m, [(0, 26 - thick), (110, 28 - thick), (110, 28 + thick), (0, 26 + thick)])
    w = int(rng.integers(8, 20))
    low = int(rng.integers(46, 70))
    poly(m, [(108 - w, int(rng.integers(2, 18))), (108 + w, 12), (108 + w, low), (108 - w, low)])
    return Tool(filled(m, rng, rng.choice(["wood", "metal", "dark", "any"])), (0.08, 0.38), (0.85, low / 72))


def mallet(rng: np.random.Generator) -> Tool:
    m = mask(128, 40)
    poly(m, [(0, 18), (110, 18), (110, 22), (0, 22)])
    r = int(rng.integers(7, 18))
    cv2.circle(m, (110, 20), r, 255, -1, cv2.LINE_AA)
    return Tool(filled(m, rng), (0.06, 0.5), (0.86, (20 + r) / 40))


def knife(rng: np.random.Generator) -> Tool:
    m = mask(128, 40)
    poly(m, [(0, 12), (48, 12), (48, 24), (0, 24)])
    low = int(rng.integers(24, 38))
    poly(m, [(44, 10), (122, 12), (126, 18), (112, low), (44, low)])
    return Tool(filled(m, rng, "metal"), (0.12, 0.45), (0.72, low / 40))


def racket(rng: np.random.Generator) -> Tool:
    m = mask(128, 64)
    poly(m, [(0, 29), (70, 30), (70, 34), (0, 35)])
    axes = (int(rng.integers(20, 30)), int(rng.integers(14, 30)))
    cv2.ellipse(m, (92, 32), axes, 0, 0, 360, 255, -1 if rng.random() < 0.4 else 5, cv2.LINE_AA)
    return Tool(filled(m, rng), (0.06, 0.5), (0.72, 0.7))


TOOLS = {"stick": stick, "hammer": hammer, "mallet": mallet, "knife": knife, "racket": racket, "hand": hand}


def tool(name: str, rng: np.random.Generator, art: Art) -> Tool:
    """A drawn tool, or sometimes the picture of a real one."""
    if name in ("stick", "hammer") and rng.random() < 0.15:
        return Tool(art.sprite(None, rng), (0.1, 0.5), (0.9, 0.7))
    return TOOLS[name](rng)


def drum(rng: np.random.Generator, bottom: float = 0.85) -> Sprite:
    """A drum seen from slightly above; the centre of its head is near the top."""
    h = int(96 * rng.uniform(0.5, 1.3))
    m = mask(96, h)
    flat = max(int(h * rng.uniform(0.06, 0.22)), 3)
    inset = int(48 * (1 - bottom))
    poly(m, [(1, flat), (94, flat), (94 - inset, h - flat - 1), (1 + inset, h - flat - 1)])
    cv2.ellipse(m, (48, h - flat - 1), (47 - inset, flat), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.ellipse(m, (48, flat), (47, flat), 0, 0, 360, 255, -1, cv2.LINE_AA)
    body = filled(m, rng)
    rgba = body.levels[0].astype(np.float32)
    top = np.zeros((h, 96, 3), np.uint8)
    shade = float(rng.uniform(80, 250))
    cv2.ellipse(top, (48, flat), (45, max(flat - 1, 1)), 0, 0, 360, (shade, shade, shade * 0.93), -1, cv2.LINE_AA)
    lit = top.any(-1)
    rgba[lit, :3] = top[lit]
    return Sprite(rgba)


def cymbal(rng: np.random.Generator) -> Sprite:
    flat = int(rng.integers(3, 16))
    m = mask(96, 2 * flat + 6)
    cv2.ellipse(m, (48, flat + 3), (46, flat), 0, 0, 360, 255, -1, cv2.LINE_AA)
    return filled(m, rng, rng.choice(["metal", "wood", "any"]))


def slab(rng: np.random.Generator, aspect: float = 0.2, kind: str = "any") -> Sprite:
    """A board, bar or table top."""
    h = max(int(128 * aspect), 6)
    m = mask(128, h)
    round_ = int(rng.integers(0, 4))
    poly(m, [(round_, 0), (127 - round_, 0), (127, round_), (127, h - 1), (0, h - 1), (0, round_)])
    return filled(m, rng, kind)


def head(rng: np.random.Generator, kind: str = "skin") -> Sprite:
    """A head from the front, without its mouth."""
    m = mask(80, 96)
    cv2.ellipse(m, (40, 50), (int(rng.integers(28, 39)), 44), 0, 0, 360, 255, -1, cv2.LINE_AA)
    if kind == "fur":
        for side in (-1, 1):
            x = 40 + side * int(rng.integers(18, 30))
            poly(m, [(x - 10, 26), (x + 10, 26), (x + side * int(rng.integers(0, 12)), 0)])
    face = filled(m, rng, kind, 0.2 if kind == "skin" else None)
    rgba = face.levels[0].astype(np.float32)
    ink = rng.uniform(5, 60)
    for side in (-1, 1):
        x = int(40 + side * rng.uniform(11, 17))
        cv2.circle(rgba, (x, int(rng.uniform(38, 46))), int(rng.integers(2, 6)), (ink, ink, ink, 255), -1)
    if kind == "fur":
        cv2.ellipse(rgba, (40, 58), (int(rng.integers(5, 10)), 5), 0, 0, 360, (ink, ink, ink, 255), -1)
    elif rng.random() < 0.7:
        hair = rgba[:26]
        hair[hair[..., 3] > 128, :3] = rng.uniform(10, 140, 3)
    return Sprite(rgba)


def torso(rng: np.random.Generator) -> Sprite:
    m = mask(80, 120)
    shoulder = int(rng.integers(6, 16))
    poly(m, [(shoulder, 12), (30, 0), (50, 0), (80 - shoulder, 12), (76, 119), (4, 119)])
    return filled(m, rng)


def thing(rng: np.random.Generator, art: Art, cls: str | None = None) -> Sprite:
    """An object to hit, drop or push: a picture of the class if there is one, of anything else, or a shape."""
    if cls and art.has(cls) and rng.random() < 0.6:
        return art.sprite(cls, rng)
    return art.sprite(None, rng) if rng.random() < 0.4 else blob(rng)
