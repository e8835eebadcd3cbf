"""Crops of clips rendered in advance (`data cache`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from stav2a.data.foleyworld.cache import CachedWorld
from stav2a.data.foleyworld.plan import onset_times
from stav2a.data.foleyworld.world import FoleyWorld
from stav2a.data.soundbank import SAMPLE_RATE, SoundBank
from stav2a.train.runtime.stage import seed_of
from stav2a.train.sources.prepared import StretchSound


@dataclass(frozen=True)
class CachedStretch:
    """`first`: frame of the clip that the stretch begins with; `turn`: pass over the cache."""

    clip: int
    first: int
    turn: int
    score: StretchSound  # its onsets alone


class CachedClips:
    """Sample `i` -> a clip of the cache and the frame its stretch starts at; a `ClipSource`.

    Each pass over the cache takes the clips in another order and each stretch at another place. Pictures come
    from the disk; sound is mixed again for every sample, so that one picture goes with many recordings.
    `limit`: use the first clips only. `bank`, `sprites`: of the world that the clips were rendered from.
    """

    def __init__(
        self,
        folder: str | Path,
        crop_s: float,
        seed: int,
        split: str = "train",
        limit: int | None = None,
        bank: str = "",
        sprites: str = "",
    ):
        self.world, self.bank, self.sprites = CachedWorld(folder), bank, sprites
        self.count = min(len(self.world), limit or len(self.world))
        self.split, self.seed = split, seed
        if self.world.options["split"] != split:
            raise ValueError(f"{folder} holds clips of the {self.world.options['split']} split, not of {split}.")
        self.fps = self.world.options["fps"]
        self.frames_wanted = round(crop_s * self.fps)
        self.spare = round(self.world.options["duration_s"] * self.fps) - self.frames_wanted
        if self.spare < 0:
            raise ValueError(f"The clips of {folder} are shorter than {crop_s} s.")

    def __len__(self) -> int:
        return self.count

    def place(self, index: int) -> tuple[int, int, int]:
        """-> (clip, first frame, pass over the cache)."""
        turn, position = divmod(index, len(self))
        order = np.random.default_rng(seed_of(self.seed, "order", turn))
        clip = int(order.permutation(len(self))[position])
        rng = np.random.default_rng(seed_of(self.seed, "stretch", index))
        return clip, int(rng.integers(0, self.spare + 1)), turn

    def onsets_s(self, clip: int, first: int) -> list[float]:
        """Visible contacts of audible events inside the stretch, from its beginning."""
        start, length = first / self.fps, self.frames_wanted / self.fps
        times = (e["time_s"] - start for e in self.world.clips[clip][2]["events"] if e["audible"])
        return onset_times(time for time in times if 0 <= time < length)

    def plan(self, index: int) -> CachedStretch:
        clip, first, turn = self.place(index)
        return CachedStretch(clip, first, turn, StretchSound(self.onsets_s(clip, first)))

    def frames(self, index: int, plan: CachedStretch | None = None) -> np.ndarray:
        """uint8 [T_v, H, W, 3]."""
        plan = plan or self.plan(index)
        return np.asarray(self.world.frames(plan.clip)[plan.first : plan.first + self.frames_wanted])

    def sound(
        self, index: int, variant: int = 0, plan: CachedStretch | None = None, apart_from: Collection[str] = ()
    ) -> StretchSound:
        """Mixed by `live_world`; each pass has another take, `variant` passes on."""
        plan = plan or self.plan(index)
        number = plan.clip + self.world.options["start"]
        whole = self.live_world.sound(number, plan.turn + 1 + variant, apart_from=apart_from)
        per_frame = round(SAMPLE_RATE / self.fps)
        stop = plan.first + self.frames_wanted
        waveform = whole.waveform[plan.first * per_frame : stop * per_frame]
        return StretchSound(plan.score.onsets_s, waveform, whole.caption, whole.recordings)

    @cached_property
    def live_world(self) -> FoleyWorld:
        """The world the clips were rendered from, to mix other sounds for the same pictures."""
        o = self.world.options
        return FoleyWorld(
            SoundBank(self.bank, self.split) if self.bank else None,
            self.sprites or None,
            self.split,
            o["seed"],
            o["duration_s"],
            o["fps"],
            o["size"],
            length=2**31,
            scenes=tuple(o["scenes"]) if o["scenes"] else None,
        )


def varied(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augmented frames: mirrored half the time, with other contrast, brightness and tint."""
    if rng.random() < 0.5:
        frames = frames[:, :, ::-1]
    grey = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.06, 3))
    gain, lift = np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.05)
    tables = np.clip((grey[:, None] ** gamma * gain + lift) * 255, 0, 255).astype(np.uint8)
    flat = np.ascontiguousarray(frames).reshape(len(frames), -1, 3)
    return cv2.LUT(flat, tables[None]).reshape(frames.shape)


def resized_crop(frames: np.ndarray, size: int, least: float, rng: np.random.Generator) -> np.ndarray:
    """A part of the picture, the same in all frames [T_v, H, W, 3], scaled to `size` pixels on both sides.

    Its width and its height are `least` to 1 of the whole ones and at most a tenth apart (RandomResizedCrop of
    Szegedy et al. 2015, but without the crops so small that they leave out what sounds).
    """
    share = rng.uniform(least, 1.0)
    seen = frames
    for axis in (1, 2):
        kept = max(round(frames.shape[axis] * np.clip(share * np.exp(rng.uniform(-0.05, 0.05)), least, 1.0)), 1)
        seen = _window(seen, axis, kept, rng)
    return _scaled(seen, size, size)


def side_by_side(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two clips of one size in one picture, uint8 [T_v, H, W, 3]: left and right, or above each other.

    The mean over a picture tells little of which part moved: what is heard of two things at once must be learnt
    from many pairs. Each keeps at least seven tenths of its own picture, squeezed into its share.
    """
    across = 2 if rng.random() < 0.7 else 1
    if rng.random() < 0.5:
        first, second = second, first
    whole = first.shape[across]
    border = round(whole * rng.uniform(0.35, 0.65))
    parts = []
    for frames, share in ((first, border), (second, whole - border)):
        seen = _window(frames, across, round(whole * rng.uniform(0.7, 1.0)), rng)
        _, height, width, _ = frames.shape
        parts.append(_scaled(seen, height, share) if across == 2 else _scaled(seen, share, width))
    return np.concatenate(parts, across)


def _window(frames: np.ndarray, axis: int, kept: int, rng: np.random.Generator) -> np.ndarray:
    """`kept` rows (axis 1) or columns (axis 2) in a row, the same ones of every frame."""
    first = int(rng.integers(0, frames.shape[axis] - kept + 1))
    return frames.take(range(first, first + kept), axis)


def _scaled(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])
