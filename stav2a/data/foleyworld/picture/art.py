"""Materials to draw with: cut-out pictures, surface textures, and shapes filled with them.

All pictures are RGB uint8; a `Sprite` stores premultiplied-alpha copies at halved sizes, so that it can be pasted
small without aliasing.
"""

from __future__ import annotations

import csv
import hashlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

TEXTURE = 128  # pixels, both sides


class Sprite:
    """A picture with alpha [H, W, 4] (straight alpha), ready to paste at its own size or smaller."""

    def __init__(self, rgba: np.ndarray):
        straight = rgba.astype(np.float32)
        straight[..., :3] *= straight[..., 3:] / 255
        level = np.ascontiguousarray(straight.round().astype(np.uint8))
        self.levels = [level]
        while min(level.shape[:2]) > 7 and len(self.levels) < 5:
            level = cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            self.levels.append(level)
        self.height, self.width = rgba.shape[:2]
        self.aspect = self.height / self.width

    def part(self, mask: np.ndarray) -> Sprite:
        """The same picture with its alpha multiplied by a mask [H, W] in [0, 1]."""
        alpha = np.maximum(self.levels[0][..., 3:].astype(np.float32), 1)
        rgba = self.levels[0].astype(np.float32)
        rgba[..., :3] *= 255 / alpha
        rgba[..., 3] *= mask
        return Sprite(rgba.clip(0, 255))


class Art:
    """Sprites of one split (tests have pictures of their own) and textures; works without a folder too."""

    def __init__(self, folder: str | Path | None, split: str = "train"):
        self.sprites: dict[str, list[Path]] = {}
        self._loaded: dict[Path, Sprite] = {}
        if folder is not None:
            with (Path(folder) / "manifest.csv").open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    if sprite_split(row["path"]) == ("test" if split == "test" else "train"):
                        self.sprites.setdefault(row["class"], []).append(Path(folder) / row["path"])
        self.all = [path for paths in self.sprites.values() for path in paths]

    def has(self, cls: str) -> bool:
        return cls in self.sprites

    def sprite(self, cls: str | None, rng: np.random.Generator) -> Sprite:
        """A picture of the class, or of any class for None; a `blob` if there is no picture."""
        paths = self.sprites.get(cls, []) if cls else self.all
        if not paths:
            return blob(rng)
        return self.load(paths[int(rng.integers(len(paths)))])

    def load(self, path: Path) -> Sprite:
        if path not in self._loaded:
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if picture.ndim == 2:
                picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGRA)
            if picture.shape[2] == 3:
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)
            self._loaded[path] = Sprite(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA))
        return self._loaded[path]

    def texture(self, rng: np.random.Generator) -> np.ndarray:
        """A surface [128, 128, 3] uint8: procedural, or an enlarged piece of a picture."""
        if self.all and rng.random() < 0.4:
            level = self.sprite(None, rng).levels[0]
            h, w = level.shape[:2]
            side = max(int(min(h, w) * rng.uniform(0.25, 0.6)), 6)
            for _ in range(4):
                y, x = int(rng.integers(0, max(h - side, 1))), int(rng.integers(0, max(w - side, 1)))
                piece = level[y : y + side, x : x + side]
                if piece[..., 3].mean() > 240:
                    return cv2.resize(piece[..., :3], (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)
        pool = procedural_textures()
        return colourise(pool[int(rng.integers(len(pool)))], rng)


def sprite_split(path: str) -> str:
    """Split of a picture: about a seventh of them, by the hash of the name, are for tests."""
    return "test" if hashlib.sha1(Path(path).name.encode()).digest()[0] % 7 == 0 else "train"


@lru_cache(maxsize=1)
def procedural_textures() -> tuple[np.ndarray, ...]:
    """Grey surfaces [128, 128] float32 in [0, 1]: clouds, grain, bricks, stripes, tiles, leaves, speckle, cloth."""
    rng = np.random.default_rng(1)
    out = []
    y, x = np.mgrid[0:TEXTURE, 0:TEXTURE].astype(np.float32)
    fy = np.fft.fftfreq(TEXTURE)[:, None]
    fx = np.fft.rfftfreq(TEXTURE)[None]
    for power, stretch in (
        (1.2, 1),
        (1.6, 1),
        (2.0, 1),
        (0.7, 1),
        (1.5, 8),
        (1.3, 0.1),
        (0.4, 1),
        (1.0, 4),
    ) * 2:
        radius = np.sqrt((fy * stretch) ** 2 + (fx / stretch) ** 2) + 1 / TEXTURE
        spectrum = (rng.standard_normal(radius.shape) + 1j * rng.standard_normal(radius.shape)) / radius**power
        out.append(np.fft.irfft2(spectrum, (TEXTURE, TEXTURE)))
    for _ in range(4):
        h, w = rng.uniform(8, 24), rng.uniform(14, 50)
        row = np.floor(y / h)
        edge = (np.mod(y, h) < 1.5) | (np.mod(x + (row % 2) * w / 2, w) < 1.5)
        shade = rng.random((200,))[(row * 7 + np.floor((x + (row % 2) * w / 2) / w) * 13).astype(int) % 200]
        out.append(np.where(edge, 0, 0.5 + 0.5 * shade) + 0.1 * rng.standard_normal(x.shape))
    for _ in range(4):
        angle, period = rng.uniform(0, 3.14), rng.uniform(5, 40)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        out.append(np.sign(wave) if rng.random() < 0.5 else wave)
    out.append(((x // 16 + y // 16) % 2) + 0.1 * rng.standard_normal(x.shape))
    for size in (3, 6, 12, 20):
        leaves = np.zeros((TEXTURE, TEXTURE), np.float32)
        for _ in range(900 // size):
            centre = tuple(int(v) for v in rng.integers(0, TEXTURE, 2))
            axes = (size, max(int(size * rng.uniform(0.3, 1)), 1))
            cv2.ellipse(leaves, centre, axes, rng.uniform(0, 360), 0, 360, float(rng.random()), -1, cv2.LINE_AA)
        out.append(leaves + 0.05 * rng.standard_normal(leaves.shape))
    out.append(np.sin(x * 1.6) * np.sin(y * 1.6) + 0.2 * rng.standard_normal(x.shape))
    return tuple(_unit(np.asarray(t, np.float32)) for t in out)


def _unit(texture: np.ndarray) -> np.ndarray:
    low, high = np.percentile(texture, (1, 99))
    return ((texture - low) / (high - low + 1e-6)).clip(0, 1).astype(np.float32)


def colour(rng: np.random.Generator, kind: str = "any") -> np.ndarray:
    """A colour [3] float32 in 0..255; kinds: any, skin, dull, dark, wood, metal, fur."""
    if kind == "skin":
        tone = rng.uniform(0, 1)
        return np.array([235, 190, 160]) * (1 - tone) + np.array([90, 55, 40]) * tone + rng.normal(0, 8, 3)
    if kind == "wood":
        return np.array([150, 105, 65]) * rng.uniform(0.5, 1.5) + rng.normal(0, 10, 3)
    if kind == "metal":
        return np.full(3, rng.uniform(60, 220)) + rng.normal(0, 10, 3)
    if kind == "fur":
        base = np.array([[200, 150, 90], [60, 45, 35], [230, 220, 205], [120, 85, 55], [40, 40, 42]])
        return base[int(rng.integers(5))] + rng.normal(0, 15, 3)
    hue = rng.random() * 6
    wheel = np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    saturation = rng.uniform(0, 0.5 if kind == "dull" else 0.95)
    value = rng.uniform(10, 70) if kind == "dark" else rng.uniform(30, 250)
    return value * (1 - saturation + saturation * wheel)


def colourise(grey: np.ndarray, rng: np.random.Generator, kind: str = "any") -> np.ndarray:
    """A grey surface [H, W] in [0, 1] between two colours: uint8 [H, W, 3]."""
    first = colour(rng, kind)
    second = first * rng.uniform(0.3, 0.9) if rng.random() < 0.6 else colour(rng, kind)
    mixed = first + grey[..., None] * (second - first)
    return mixed.clip(0, 255).astype(np.uint8)


def filled(mask: np.ndarray, rng: np.random.Generator, kind: str = "any", contrast: float | None = None) -> Sprite:
    """A mask [H, W] uint8 as an object with texture, shading and soft edges."""
    h, w = mask.shape
    pool = procedural_textures()
    grey = pool[int(rng.integers(len(pool)))]
    scale = rng.uniform(0.4, 1.6)
    side = int(np.clip(TEXTURE * scale, 24, TEXTURE))
    grey = cv2.resize(grey[:side, :side], (w, h))
    base = colour(rng, kind)
    contrast = rng.uniform(0.05, 0.5) if contrast is None else contrast
    reach = 2 * max(min(h, w) // 6, 1) + 1
    depth = cv2.blur(cv2.blur(mask, (reach, reach)), (reach, reach)).astype(np.float32) / 255
    gy, gx = np.gradient(depth)
    angle = rng.uniform(0, 2 * np.pi)
    light = (gx * np.cos(angle) + gy * np.sin(angle)) * min(h, w) * rng.uniform(0, 0.5)
    shade = (1 - contrast * grey) * (0.7 + 0.4 * depth) + light
    rgba = np.empty((h, w, 4), np.float32)
    rgba[..., :3] = (base * shade[..., None]).clip(0, 255)
    rgba[..., 3] = mask
    return Sprite(rgba)


def blob(rng: np.random.Generator, size: int = 96) -> Sprite:
    """A random object: a disc, polygon, box or rounded lump with a texture."""
    mask = np.zeros((size, size), np.uint8)
    half = size / 2
    style = int(rng.integers(4))
    if style == 0:
        axes = (int(half * rng.uniform(0.6, 0.95)), int(half * rng.uniform(0.6, 0.95)))
        cv2.ellipse(mask, (int(half), int(half)), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    elif style == 1:
        h, w = (rng.uniform(0.4, 0.95, 2) * half).astype(int)
        cv2.rectangle(mask, (int(half - w), int(half - h)), (int(half + w), int(half + h)), 255, -1)
    else:
        n = int(rng.integers(3, 9)) if style == 2 else 24
        angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
        radius = rng.uniform(0.5, 0.95, n) * half
        if style == 3:
            radius = half * (0.7 + 0.2 * np.sin(angle * rng.integers(1, 5) + rng.uniform(0, 6)))
        points = np.stack([half + radius * np.cos(angle), half + radius * np.sin(angle)], 1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)
    return filled(mask, rng)
