"""Drawing on a small canvas in stage coordinates: x to the right, y down, the stage is the unit square.

A `Brush` maps the stage to the canvas by a scale and an offset, so that a scene can fill the frame, be small in a
corner, or be seen close up. Everything is drawn with sub-pixel precision.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from stav2a.data.foleyworld.picture.art import Sprite

SHIFT = 4  # fractional bits of coordinates given to OpenCV
ONE = 1 << SHIFT


class Brush:
    """Draws on `canvas` uint8 [N, N, 3]."""

    def __init__(self, canvas: np.ndarray, scale: float = 1.0, x: float = 0.0, y: float = 0.0, mirror: bool = False):
        self.canvas = canvas
        self.size = canvas.shape[0]
        self.unit = scale * self.size  # pixels per stage unit
        self.x0, self.y0 = x * self.size, y * self.size
        self.mirror = mirror

    def px(self, points) -> np.ndarray:
        """Stage points [n, 2] to pixels, float64 [n, 2]."""
        p = np.array(points, np.float64).reshape(-1, 2)
        p *= self.unit
        if self.mirror:
            p[:, 0] = self.unit - p[:, 0]
        p[:, 0] += self.x0
        p[:, 1] += self.y0
        return p

    def _fixed(self, points) -> np.ndarray:
        p = self.px(points)
        p *= ONE
        np.clip(p, -1e6, 1e6, out=p)
        return p.astype(np.int32)

    def polygon(self, points, colour) -> None:
        cv2.fillPoly(self.canvas, [self._fixed(points)], _rgb(colour), cv2.LINE_AA, SHIFT)

    def line(self, points, colour, width: float = 0.01) -> None:
        """A polyline, `width` in stage units."""
        thick = max(round(width * self.unit), 1)
        cv2.polylines(self.canvas, [self._fixed(points)], False, _rgb(colour), thick, cv2.LINE_AA, SHIFT)

    def disc(self, x: float, y: float, radius: float, colour) -> None:
        centre = self._fixed((x, y))[0]
        r = max(round(radius * self.unit * ONE), ONE // 3)
        cv2.circle(self.canvas, (int(centre[0]), int(centre[1])), r, _rgb(colour), -1, cv2.LINE_AA, SHIFT)

    def ellipse(self, x: float, y: float, rx: float, ry: float, angle: float, colour, width: float = 0.0) -> None:
        """A filled ellipse, or an outline of the given width; `angle` in radians."""
        centre = self._fixed((x, y))[0]
        axes = (max(round(rx * self.unit * ONE), 4), max(round(ry * self.unit * ONE), 4))
        degrees = np.degrees(-angle if self.mirror else angle)
        thick = max(round(width * self.unit), 1) if width else -1
        point = (int(centre[0]), int(centre[1]))
        cv2.ellipse(self.canvas, point, axes, degrees, 0, 360, _rgb(colour), thick, cv2.LINE_AA, SHIFT)

    def limb(self, start, stop, width: float, colour) -> None:
        """A tapered capsule between two stage points."""
        a, b = np.asarray(start, float), np.asarray(stop, float)
        d = b - a
        n = np.array([-d[1], d[0]]) / (np.hypot(*d) + 1e-9) * width / 2
        self.polygon([a + n, b + 0.8 * n, b - 0.8 * n, a - n], colour)
        self.disc(a[0], a[1], width / 2, colour)
        self.disc(b[0], b[1], width * 0.4, colour)

    def sprite(
        self,
        sprite: Sprite,
        x: float,
        y: float,
        width: float,
        angle: float = 0.0,
        pivot: tuple[float, float] = (0.5, 0.5),
        flip: bool = False,
        stretch: tuple[float, float] = (1.0, 1.0),
        alpha: float = 1.0,
    ) -> None:
        """Paste with `pivot` (fractions of the picture) at (x, y), turned clockwise by `angle` radians."""
        target = abs(width) * self.unit
        level = sprite.levels[0]
        for smaller in sprite.levels[1:]:
            if smaller.shape[1] < target * 1.25:
                break
            level = smaller
        h, w = level.shape[:2]
        sx = target / w * stretch[0] * (-1 if flip else 1)
        sy = target / w * stretch[1]
        # Scalar arithmetic: this runs ten times per frame, and small arrays would cost more than the warp.
        c, s = math.cos(angle), math.sin(angle)
        a00, a01, a10, a11 = c * sx, -s * sy, s * sx, c * sy
        px = x * self.unit
        if self.mirror:
            a00, a01, px = -a00, -a01, self.unit - px
        bx = px + self.x0 - a00 * pivot[0] * w - a01 * pivot[1] * h
        by = y * self.unit + self.y0 - a10 * pivot[0] * w - a11 * pivot[1] * h
        xw, xh, yw, yh = a00 * w, a01 * h, a10 * w, a11 * h
        limit_y, limit_x = self.canvas.shape[:2]
        x1 = max(math.floor(bx + min(xw, 0) + min(xh, 0)) - 1, 0)
        y1 = max(math.floor(by + min(yw, 0) + min(yh, 0)) - 1, 0)
        x2 = min(math.ceil(bx + max(xw, 0) + max(xh, 0)) + 2, limit_x)
        y2 = min(math.ceil(by + max(yw, 0) + max(yh, 0)) + 2, limit_y)
        if x2 <= x1 or y2 <= y1:
            return
        m = np.array(((a00, a01, bx - x1), (a10, a11, by - y1)))
        patch = cv2.warpAffine(level, m, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
        paste(self.canvas[y1:y2, x1:x2], patch, alpha)

    def glow(self, x: float, y: float, radius: float, colour, strength: float = 1.0) -> None:
        """Add light with a soft edge (flashes, flames, lamps)."""
        centre = self.px((x, y))[0]
        r = radius * self.unit
        x1, y1 = np.maximum(np.floor(centre - r), 0).astype(int)
        x2, y2 = np.minimum(np.ceil(centre + r), self.canvas.shape[1]).astype(int)
        if x2 - x1 < 1 or y2 - y1 < 1:
            return
        m = np.array([[r / 32, 0, centre[0] - r - x1], [0, r / 32, centre[1] - r - y1]])
        light = cv2.warpAffine(_GLOW, m, (int(x2 - x1), int(y2 - y1)), flags=cv2.INTER_LINEAR)
        light = cv2.merge([cv2.convertScaleAbs(light, alpha=float(v) * strength / 255) for v in colour])
        part = self.canvas[y1:y2, x1:x2]
        cv2.add(part, light, dst=part)

    def smoke(self, x: float, y: float, radius: float, colour, alpha: float) -> None:
        """Draw a soft puff with opacity `alpha`."""
        x1, y1 = self.px((x, y))[0] - radius * self.unit
        side = 2 * radius * self.unit
        if side < 2:
            return
        ax, ay = max(int(x1), 0), max(int(y1), 0)
        bx, by = min(int(x1 + side) + 1, self.canvas.shape[1]), min(int(y1 + side) + 1, self.canvas.shape[0])
        if bx <= ax or by <= ay:
            return
        m = np.array([[side / 64, 0, x1 - ax], [0, side / 64, y1 - ay]])
        cover = cv2.warpAffine(_GLOW, m, (bx - ax, by - ay), flags=cv2.INTER_LINEAR)
        tinted = [cv2.convertScaleAbs(cover, alpha=float(min(max(v, 0), 255)) / 255) for v in colour]
        paste(self.canvas[ay:by, ax:bx], cv2.merge([*tinted, cover]), alpha)


def paste(place: np.ndarray, patch: np.ndarray, alpha: float = 1.0) -> None:
    """Blend a premultiplied patch [h, w, 4] into `place` [h, w, 3], in place."""
    if alpha < 1:
        patch = cv2.convertScaleAbs(patch, alpha=max(alpha, 0.0))
    rest = cv2.cvtColor(cv2.bitwise_not(patch[..., 3]), cv2.COLOR_GRAY2RGB)
    under = cv2.multiply(place, rest, scale=1 / 255)
    cv2.add(under, cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB), dst=place)


def _rgb(colour) -> tuple[float, float, float]:
    return tuple(float(min(max(v, 0), 255)) for v in colour)


def _make_glow() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    r = np.hypot(x - 31.5, y - 31.5) / 32
    return (255 * np.clip(1 - r, 0, 1) ** 1.5).astype(np.uint8)


_GLOW = _make_glow()
