"""The background, the camera, and how film and compression change its picture."""

from __future__ import annotations

import cv2
import numpy as np

from stav2a.data.foleyworld.picture.art import Art, colour, colourise, procedural_textures
from stav2a.data.foleyworld.picture.brush import Brush
from stav2a.data.foleyworld.scene import Rectangle

CLOSE = 1.1  # zoom of the camera; 1 shows the whole stage


class Backdrop:
    """A still or slowly moving background [N, N, 3]: plain, textured, a room, outdoors, or clutter."""

    def __init__(self, rng: np.random.Generator, art: Art, size: int):
        n = self.size = size
        kind = rng.choice(["plain", "texture", "room", "outdoors", "clutter"], p=[0.1, 0.22, 0.26, 0.2, 0.22])
        image = np.empty((n, n, 3), np.uint8)
        image[:] = colour(rng, "dull").clip(0, 255).astype(np.uint8)
        if kind == "texture":
            image = cv2.resize(art.texture(rng), (n, n), interpolation=cv2.INTER_CUBIC)
        elif kind == "room":
            horizon = int(n * rng.uniform(0.35, 0.85))
            image[:horizon] = _stretch(rng, n, art)[:horizon]
            image[horizon:] = _stretch(rng, n, art)[: n - horizon]
            if rng.random() < 0.5:
                cv2.line(image, (0, horizon), (n, horizon), tuple(map(float, colour(rng).clip(0, 255))), 2)
        elif kind == "outdoors":
            horizon = int(n * rng.uniform(0.2, 0.7))
            ramp = np.linspace(0, 1, max(horizon, 1))[:, None, None]
            sky = np.array([120, 160, 220]) * rng.uniform(0.5, 1.1) * (1 - ramp) + rng.uniform(150, 250) * ramp
            image[:horizon] = np.broadcast_to(sky, (horizon, n, 3)).clip(0, 255)
            pool = procedural_textures()
            trees = colourise(cv2.resize(pool[int(rng.integers(len(pool)))], (n, n)), rng, "dull")
            ridge = horizon - n * rng.uniform(0.02, 0.2) * (1 + np.sin(np.linspace(0, rng.uniform(2, 20), n)))
            under = np.arange(n)[:, None] > ridge[None]
            image[under] = (trees * [0.6, 0.9, 0.5])[under].astype(np.uint8)
            image[horizon:] = _stretch(rng, n, art)[: n - horizon]
        brush = Brush(image)
        count = {"plain": 0, "texture": 1, "room": 5, "outdoors": 3, "clutter": 14}[kind]
        for _ in range(int(rng.integers(0, count + 1))):
            x, y = rng.uniform(0, 1, 2)
            if rng.random() < 0.6:
                tilt = rng.normal(0, 0.3)
                brush.sprite(art.sprite(None, rng), x, y, rng.uniform(0.1, 0.5), tilt, flip=rng.random() < 0.5)
            else:
                w, h = rng.uniform(0.03, 0.5, 2)
                brush.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], colour(rng))
        if rng.random() < 0.45:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3.0))
        if rng.random() < 0.7:  # uneven light
            gx, gy = rng.uniform(-0.5, 0.5, 2)
            y, x = np.mgrid[0:n, 0:n] / n - 0.5
            image = (image * (1 + gx * x + gy * y)[..., None]).clip(0, 255).astype(np.uint8)
        self.image = np.ascontiguousarray(image)
        self.other = None
        if rng.random() < 0.12:  # leaves, water, curtains: a texture that moves without sound
            amount = rng.uniform(1, 3)
            y, x = np.mgrid[0:n, 0:n].astype(np.float32)
            wave = (amount * np.sin(y / rng.uniform(4, 15) + x / rng.uniform(6, 30))).astype(np.float32)
            self.other = cv2.remap(self.image, x + wave, y + wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            self.pace = rng.uniform(1, 8)

    def draw(self, canvas: np.ndarray, t: float, scroll: float = 0.0) -> None:
        """Copy onto the canvas; `scroll` in stage units moves it to the left, as for a camera that follows."""
        image = self.image
        if self.other is not None:
            w = 0.5 + 0.5 * np.sin(t * self.pace)
            image = cv2.addWeighted(image, w, self.other, 1 - w, 0)
        cut = int(scroll * self.size) % self.size if scroll else 0
        canvas[:, : self.size - cut] = image[:, cut:]
        if cut:
            canvas[:, self.size - cut :] = image[:, :cut]


def _stretch(rng: np.random.Generator, n: int, art: Art) -> np.ndarray:
    texture = art.texture(rng)
    if rng.random() < 0.5:
        texture = cv2.convertScaleAbs(texture, alpha=0.3, beta=float(rng.uniform(20, 160)))
    return cv2.resize(texture, (n, n), interpolation=cv2.INTER_LINEAR)


class Camera:
    """Turns canvases [N, N, 3] into frames [size, size, 3]; the camera's own motion makes no sound."""

    def __init__(self, rng: np.random.Generator, duration_s: float, canvas: int, size: int, jolts=()):
        self.canvas, self.size = canvas, size
        self.rate = 50.0
        n = int(duration_s * self.rate) + 3
        t = np.arange(n) / self.rate
        self.x, self.y, self.turn, self.zoom = (np.zeros(n) for _ in range(4))
        mode = rng.choice(["tripod", "hand", "pan", "zoom", "jerky"], p=[0.45, 0.3, 0.1, 0.08, 0.07])
        if mode != "tripod":
            shaky = np.exp(rng.uniform(np.log(0.002), np.log(0.018)))
            for path, amount in ((self.x, shaky), (self.y, shaky), (self.turn, shaky)):
                for _ in range(4):
                    path += amount * np.sin(2 * np.pi * rng.uniform(0.2, 2.6) * t + rng.uniform(0, 6.3)) / 1.5
        if mode == "pan":
            self.x += rng.uniform(-0.12, 0.12) * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * t)
            self.y += rng.uniform(-0.05, 0.05) * np.sin(2 * np.pi * rng.uniform(0.05, 0.3) * t)
        elif mode == "zoom":
            self.zoom += rng.uniform(-0.2, 0.3) * (0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.03, 0.2) * t))
        elif mode == "jerky":
            for _ in range(int(rng.integers(1, 6))):
                a = rng.uniform(0, duration_s)
                step = 1 / (1 + np.exp(-(t - a) / rng.uniform(0.02, 0.12)))
                self.x += rng.normal(0, 0.05) * step
                self.y += rng.normal(0, 0.04) * step
        for time_s, strength in jolts:
            kick = np.where(t >= time_s, np.exp(-(t - time_s) / 0.07) * np.sin((t - time_s) * 70), 0)
            self.y += strength * kick
        # Wide pictures are squeezed into the square: the squeeze is split between both axes and covers the frame.
        aspect = rng.uniform(0.6, 0.9) if rng.random() < 0.45 else rng.uniform(0.85, 1.15)
        squeeze = np.sqrt([aspect, 1 / aspect])
        self.squeeze = np.diag(squeeze / min(squeeze.min() * 1.12, 1.0))
        self.base = CLOSE * size / canvas
        self.tilt = rng.normal(0, 0.04)

    def jolt(self, path: np.ndarray) -> None:
        """Add a vertical path [n] at 50 Hz (steps of a walking camera)."""
        self.y += np.interp(np.arange(len(self.y)), np.arange(len(path)), path)

    def window(self, bars: int = 0) -> Rectangle:
        """The part of the stage that is always in the picture.

        bars: black rows at the top and at the bottom of the frame. The window is at least 0.3 wide and high: a camera
        that moves further loses its subject at times.
        """
        low, high = [], []
        for path, squeeze, lost in ((self.x, self.squeeze[0, 0], 0), (self.y, self.squeeze[1, 1], bars)):
            extent = 0.5 * (1 - 2 * lost / self.size) / (CLOSE * squeeze * (1 + self.zoom.max()))
            start, stop = max(path.max() - extent, -0.5) + 0.02, min(path.min() + extent, 0.5) - 0.02
            middle = (start + stop) / 2
            low.append(0.5 + min(start, middle - 0.15))
            high.append(0.5 + max(stop, middle + 0.15))
        return low[0], low[1], high[0], high[1]

    def frame(self, picture: np.ndarray, t: float) -> np.ndarray:
        k = min(t * self.rate, len(self.x) - 2)
        i, w = int(k), k - int(k)
        x, y, turn, zoom = (p[i] * (1 - w) + p[i + 1] * w for p in (self.x, self.y, self.turn, self.zoom))
        scale = self.base * (1 + zoom)
        c, s = scale * np.cos(turn + self.tilt), scale * np.sin(turn + self.tilt)
        a = self.squeeze @ np.array([[c, -s], [s, c]])
        centre = np.array([0.5 + x, 0.5 + y]) * self.canvas
        m = np.column_stack([a, self.size / 2 - a @ centre])
        return cv2.warpAffine(
            picture, m, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )


class Film:
    """Exposure, colour, blur, grain, flicker, black bars, titles and compression of a clip's frames."""

    def __init__(self, rng: np.random.Generator, size: int, art: Art):
        self.rng = rng
        self.size = size
        ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
        gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.08, 3))
        low = rng.uniform(0, 0.12)
        lut = ((low + (1 - low) * ramp * gain) * 255).clip(0, 255)
        if rng.random() < 0.12:
            lut = np.repeat(lut.mean(1, keepdims=True), 3, 1)
        self.lut = lut[None].astype(np.uint8)
        self.grey = rng.random() < 0.08
        self.blur = rng.uniform(0.3, 1.3) if rng.random() < 0.4 else 0.0
        self.grain = 0.0
        if rng.random() < 0.5:
            self.grain = np.exp(rng.uniform(np.log(1.0), np.log(14.0)))
            noise = rng.standard_normal((size * 2, size * 2, 3), np.float32) * self.grain
            self.plus, self.minus = (
                noise.clip(0, 255).astype(np.uint8),
                (-noise).clip(0, 255).astype(np.uint8),
            )
        self.flicker = rng.uniform(2, 14) if rng.random() < 0.1 else 0.0
        self.pace = rng.uniform(0.5, 12)
        self.quality = int(rng.integers(20, 80)) if rng.random() < 0.25 else 0
        self.bars = int(size * rng.uniform(0.04, 0.15)) if rng.random() < 0.08 else 0
        self.title = None
        if rng.random() < 0.1:
            place = (int(rng.uniform(0, 0.6) * size), int(rng.uniform(0.1, 0.98) * size))
            word = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(3, 12))))
            self.title = (
                word,
                place,
                float(rng.uniform(0.2, 0.6)),
                tuple(map(float, colour(rng).clip(0, 255))),
            )

    def develop(self, frame: np.ndarray, t: float) -> np.ndarray:
        frame = cv2.LUT(frame, self.lut)
        if self.grey:
            frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if self.blur:
            frame = cv2.GaussianBlur(frame, (5, 5), self.blur)
        if self.flicker:
            frame = cv2.add(frame, (float(self.flicker * np.sin(t * self.pace * 6.3)),) * 4)
        if self.title:
            word, place, scale, ink = self.title
            cv2.putText(frame, word, place, cv2.FONT_HERSHEY_DUPLEX, scale, ink, 1, cv2.LINE_AA)
        if self.bars:
            frame[: self.bars] = 0
            frame[-self.bars :] = 0
        if self.grain:
            y, x = self.rng.integers(0, self.size, 2)
            window = np.s_[y : y + self.size, x : x + self.size]
            frame = cv2.subtract(cv2.add(frame, self.plus[window]), self.minus[window])
        if self.quality:
            done, packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            assert done
            frame = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        return frame
